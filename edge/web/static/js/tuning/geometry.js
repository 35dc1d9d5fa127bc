// Shapes of `regions:` as the editor moves them: lists of corners in the frame's pixels, and back into the config's units.
import { state } from "./state.js";

/** Every shape in force: where it stands in `regions`, its kind, its units, its corners in frame pixels. */
export function shapes() {
  const { roi, zones } = state.regions ?? {};
  const found = [];
  for (const kind of ["include", "exclude"]) {
    for (const [index, shape] of (roi?.[kind] ?? []).entries()) found.push({ id: `roi.${kind}.${index}`, kind, index, units: roi.units, shape });
  }
  for (const [index, zone] of (zones ?? []).entries()) found.push({ id: `zones.${index}`, kind: "zone", index, units: zone.units, shape: zone.shape });
  return found.map((one) => ({ ...one, isRect: typeof one.shape[0] === "number", corners: cornersOf(one.shape, one.units) }));
}

function cornersOf(shape, units) {
  const [w, h] = units === "norm" ? [state.sizes.width, state.sizes.height] : [1, 1];
  if (typeof shape[0] !== "number") return shape.map(([x, y]) => [x * w, y * h]);
  const [x0, y0, x1, y1] = shape;
  return [[x0 * w, y0 * h], [x1 * w, y0 * h], [x1 * w, y1 * h], [x0 * w, y1 * h]];
}

/** The regions with a shape's corners moved; null takes the shape away. A rectangle stays one. */
export function withCorners(one, corners) {
  const copy = structuredClone(state.regions);
  const shape = corners === null ? null : shapeOf(corners, one.units, one.isRect);
  if (one.kind === "zone") {
    if (shape === null) copy.zones.splice(one.index, 1);
    else copy.zones[one.index].shape = shape;
    return copy;
  }
  if (shape === null) copy.roi[one.kind].splice(one.index, 1);
  else copy.roi[one.kind][one.index] = shape;
  const { include, exclude, mask } = copy.roi;
  if (!include.length && !exclude.length && !mask) copy.roi = null;
  return copy;
}

/** The regions with a new polygon of this kind. A zone begins with the least area that is in force, so that it does something. */
export function withShape(kind, corners) {
  const copy = structuredClone(state.regions);
  if (kind === "zone") {
    const area = Math.max(copy.min_area_px, 1) * 2;
    copy.zones.push({ units: "norm", shape: shapeOf(corners, "norm", false), threshold: null, min_area_px: copy.max_area_px ? Math.min(area, copy.max_area_px) : area });
    return copy;
  }
  copy.roi ??= { units: "norm", include: [], exclude: [], mask: null };
  copy.roi[kind].push(shapeOf(corners, copy.roi.units, false));
  return copy;
}

function shapeOf(corners, units, isRect) {
  const { width, height } = state.sizes;
  const points = corners.map(([x, y]) => {
    const inside = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    return units === "norm" ? [round(inside[0] / width, 4), round(inside[1] / height, 4)] : [round(inside[0], 1), round(inside[1], 1)];
  });
  if (!isRect) return points;
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

const round = (value, digits) => Number(value.toFixed(digits));

/** Pull a point to the frame's border where it is nearly there. */
export function snapped([x, y], reach) {
  const { width, height } = state.sizes;
  const near = (value, size) => (value < reach ? 0 : value > size - reach ? size : value);
  return [near(x, width), near(y, height)];
}

/** Where on the outline a point lies: after which corner a new one would stand, and how far away. */
export function nearestEdge(corners, [px, py]) {
  let best = { after: 0, distance: Infinity };
  for (const [index, [x0, y0]] of corners.entries()) {
    const [x1, y1] = corners[(index + 1) % corners.length];
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const t = length ? Math.min(Math.max(((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / length, 0), 1) : 0;
    const distance = Math.hypot(px - x0 - t * (x1 - x0), py - y0 - t * (y1 - y0));
    if (distance < best.distance) best = { after: index, distance };
  }
  return best;
}
