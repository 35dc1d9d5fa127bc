// ROI, exclusions and zones are drawn, dragged and deleted here, by mouse and by keys alike.
import { svg } from "../dom.js";
import { nearestEdge, shapes, snapped, withCorners, withShape } from "./geometry.js";
import { onView, pan, said, shapesLayer, toFrame, toScreen, view } from "./stage.js";
import { change, on, state } from "./state.js";

const SNAP_PX = 7;
const stage = document.getElementById("stage");
const chosen = { id: null, corner: null };
let drag = null;
let draft = null; // {kind, corners, cursor} while a polygon is being drawn

for (const kind of ["include", "exclude", "zone"]) {
  document.getElementById(`draw-${kind}`).addEventListener("click", () => begin(kind));
}

function begin(kind) {
  draft = draft?.kind === kind ? null : { kind, corners: [], cursor: [state.sizes.width / 2, state.sizes.height / 2] };
  said(draft ? "Click corners, or move with the arrow keys and press Space; Enter closes, Backspace takes one back, Escape ends." : "");
  stage.focus();
  draw();
}

function close() {
  if (draft.corners.length < 3) return said("A polygon needs at least three corners.");
  const regions = withShape(draft.kind, draft.corners);
  const [kind, index] = [draft.kind, draft.kind === "zone" ? regions.zones.length : regions.roi[draft.kind].length];
  draft = null;
  chosen.id = kind === "zone" ? `zones.${index - 1}` : `roi.${kind}.${index - 1}`;
  chosen.corner = null;
  change(regions);
  said("Drag corners or the shape; double-click an edge for a new corner; Tab goes from corner to corner, arrows move it, Delete takes it away.");
}

const find = () => shapes().find((one) => one.id === chosen.id);

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  stage.focus();
  const at = toFrame(event);
  if (draft) {
    const [first] = draft.corners;
    if (first && draft.corners.length > 2 && Math.hypot(first[0] - at[0], first[1] - at[1]) * view.zoom < 10) return close();
    draft.corners.push(snapped(at, SNAP_PX / view.zoom));
    draft.cursor = draft.corners.at(-1);
    return draw();
  }
  const { shape, corner } = event.target.dataset;
  stage.setPointerCapture(event.pointerId);
  chosen.id = shape ?? null;
  chosen.corner = corner === undefined ? null : Number(corner);
  const one = find();
  drag = one ? { corners: one.corners, from: at } : { pan: [event.clientX, event.clientY] };
  draw();
});

stage.addEventListener("pointermove", (event) => {
  if (draft) {
    draft.cursor = toFrame(event);
    return draw();
  }
  if (!drag) return undefined;
  if (drag.pan) {
    pan(event.clientX - drag.pan[0], event.clientY - drag.pan[1]);
    drag.pan = [event.clientX, event.clientY];
    return undefined;
  }
  const [x, y] = toFrame(event);
  return move(drag.corners, x - drag.from[0], y - drag.from[1]);
});

for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { drag = null; });

stage.addEventListener("dblclick", (event) => {
  const at = toFrame(event);
  if (draft) return close();
  const one = find();
  if (!one || one.isRect) return undefined;
  const edge = nearestEdge(one.corners, at);
  if (edge.distance * view.zoom > 12) return undefined;
  chosen.corner = edge.after + 1;
  return change(withCorners(one, one.corners.toSpliced(edge.after + 1, 0, at)));
});

function move(from, dx, dy) {
  const one = find();
  if (!one) return;
  let corners;
  if (chosen.corner === null) corners = kept(from, dx, dy);
  else if (one.isRect) corners = resized(from, chosen.corner, dx, dy);
  else corners = from.map((corner, index) => (index === chosen.corner ? snapped([corner[0] + dx, corner[1] + dy], SNAP_PX / view.zoom) : corner));
  change(withCorners(one, corners), `shape ${chosen.id}`);
}

/** A whole shape stays inside the frame. */
function kept(corners, dx, dy) {
  const [xs, ys] = [corners.map((c) => c[0]), corners.map((c) => c[1])];
  const x = Math.min(Math.max(dx, -Math.min(...xs)), state.sizes.width - Math.max(...xs));
  const y = Math.min(Math.max(dy, -Math.min(...ys)), state.sizes.height - Math.max(...ys));
  return corners.map((corner) => [corner[0] + x, corner[1] + y]);
}

function resized(corners, index, dx, dy) {
  const moved = snapped([corners[index][0] + dx, corners[index][1] + dy], SNAP_PX / view.zoom);
  const opposite = corners[(index + 2) % 4];
  const least = 2 / view.zoom;
  if (Math.abs(moved[0] - opposite[0]) < least || Math.abs(moved[1] - opposite[1]) < least) return corners;
  return [moved, [opposite[0], moved[1]], opposite, [moved[0], opposite[1]]];
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

stage.addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  const step = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(state.sizes.width / 500));
  if (draft) return keyWhileDrawing(event, arrow, step);
  const all = shapes();
  if (event.key === "Tab" && all.length && chosen.id) {
    const one = find();
    if (!one) return undefined;
    event.preventDefault();
    const next = (chosen.corner === null ? 0 : chosen.corner + (event.shiftKey ? -1 : 1) + one.corners.length) % one.corners.length;
    chosen.corner = next;
    return draw();
  }
  if ((event.key === "[" || event.key === "]") && all.length) {
    const at = all.findIndex((one) => one.id === chosen.id);
    chosen.id = all[(at + (event.key === "]" ? 1 : all.length - 1) + (at < 0 ? all.length : 0)) % all.length].id;
    chosen.corner = null;
    return draw();
  }
  if (event.key === "Escape") {
    chosen.id = chosen.corner = null;
    return draw();
  }
  const one = find();
  if (!one) return undefined;
  if (arrow) {
    event.preventDefault();
    event.stopPropagation();
    return move(one.corners, arrow[0] * step, arrow[1] * step);
  }
  if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    const corner = chosen.corner !== null && !one.isRect && one.corners.length > 3;
    change(withCorners(one, corner ? one.corners.toSpliced(chosen.corner, 1) : null));
    if (!corner) chosen.id = null;
    chosen.corner = null;
    return draw();
  }
  return undefined;
});

function keyWhileDrawing(event, arrow, step) {
  if (arrow) draft.cursor = [draft.cursor[0] + arrow[0] * step * 5, draft.cursor[1] + arrow[1] * step * 5];
  else if (event.key === " ") draft.corners.push(snapped(draft.cursor, 0));
  else if (event.key === "Backspace") draft.corners.pop();
  else if (event.key === "Enter") close();
  else if (event.key === "Escape") draft = null;
  else return;
  event.preventDefault();
  event.stopPropagation();
  draw();
}

function draw() {
  shapesLayer.replaceChildren();
  for (const kind of ["include", "exclude", "zone"]) document.getElementById(`draw-${kind}`).setAttribute("aria-pressed", String(draft?.kind === kind));
  if (!state.regions) return;
  for (const one of shapes()) {
    const here = one.id === chosen.id;
    const points = one.corners.map((corner) => toScreen(corner).join(",")).join(" ");
    shapesLayer.append(svg("polygon", { class: `shape ${one.kind}${here ? " chosen" : ""}`, points, "data-shape": one.id }));
    for (const [index, corner] of one.corners.entries()) {
      const [cx, cy] = toScreen(corner);
      shapesLayer.append(svg("circle", { class: `corner${here && index === chosen.corner ? " chosen" : ""}`, cx, cy, r: here ? 6 : 4, "data-shape": one.id, "data-corner": index }));
    }
  }
  if (!draft) return;
  const points = [...draft.corners, draft.cursor].map((corner) => toScreen(corner).join(",")).join(" ");
  shapesLayer.append(svg("polyline", { class: `shape ${draft.kind} chosen`, points }));
  for (const corner of [...draft.corners, draft.cursor]) {
    const [cx, cy] = toScreen(corner);
    shapesLayer.append(svg("circle", { class: "corner", cx, cy, r: 5 }));
  }
}

on("regions opened view", draw);
onView(draw);
