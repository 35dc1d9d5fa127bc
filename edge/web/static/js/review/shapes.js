// Where the defect is: boxes and polygons are drawn, dragged and deleted, by mouse and by keys alike.
import { put, svg } from "../dom.js";
import { draw as say } from "./labels.js";
import { current, mayLabel, on, shapesOf } from "./state.js";
import { pan, perPixel, shapesLayer, size, toFrame } from "./viewer.js";

const stage = document.getElementById("stage");
const chosen = { shape: null, corner: null };
let draft = null; // {kind, corners, cursor} while something is drawn
let drag = null;
let shown = []; // the frame's shapes, as they are dragged
const tellWhat = (text) => put(document.getElementById("drawing"), text);
export const draws = () => draft !== null;

const isBox = (shape) => typeof shape[0] === "number";
const cornersOf = (shape) => (isBox(shape) ? [[shape[0], shape[1]], [shape[2], shape[1]], [shape[2], shape[3]], [shape[0], shape[3]]] : shape);
const inside = ([x, y]) => [Math.min(Math.max(x, 0), size.width), Math.min(Math.max(y, 0), size.height)].map((one) => Number(one.toFixed(1)));
const boxOf = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];

/** Begin a box or a polygon; the same again ends it. */
export function begin(kind) {
  if (!mayLabel || current() === undefined) return;
  draft = draft?.kind === kind ? null : { kind, corners: [], cursor: [size.width / 2, size.height / 2] };
  stage.classList.toggle("draws", draft !== null);
  const how = kind === "box" ? "Drag a box, or put two corners by Space" : "Click corners; Enter closes, Backspace takes one back";
  tellWhat(draft ? `${how}; the arrows move, Escape ends.` : "");
  stage.focus();
  paint();
}

function end() {
  draft = null;
  stage.classList.remove("draws");
}

function close() {
  const { kind, corners } = draft;
  const shape = kind === "box" ? boxOf(corners[0], corners[1]) : corners;
  const cross = kind === "box" ? (shape[2] - shape[0]) * (shape[3] - shape[1]) : corners.length > 2;
  if (!cross) {
    if (kind === "box") draft.corners = []; // the next drag begins anew
    return tellWhat(kind === "box" ? "A box needs a width and a height." : "A polygon needs at least three corners.");
  }
  end();
  chosen.shape = shown.length;
  chosen.corner = null;
  change([...shown, shape]);
  return tellWhat("Drag the shape or its corners; Tab goes from corner to corner, arrows move it, Delete takes it away.");
}

function change(shapes) {
  shown = shapes;
  paint();
  say(current(), shapes);
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  stage.focus();
  const at = toFrame(event);
  stage.setPointerCapture(event.pointerId);
  if (draft) {
    draft.corners.push(inside(at));
    draft.cursor = inside(at);
    if (draft.kind === "box") drag = { box: true };
    return paint();
  }
  const { shape, corner } = event.target.dataset;
  chosen.shape = shape === undefined ? null : Number(shape);
  chosen.corner = corner === undefined ? null : Number(corner);
  drag = chosen.shape === null ? { pan: [event.clientX, event.clientY] } : { from: at, shape: shown[chosen.shape], moved: false };
  return paint();
});

stage.addEventListener("pointermove", (event) => {
  const at = toFrame(event);
  if (draft) {
    draft.cursor = inside(at);
    return paint();
  }
  if (drag?.pan) {
    pan(event.clientX - drag.pan[0], event.clientY - drag.pan[1]);
    drag.pan = [event.clientX, event.clientY];
  } else if (drag && mayLabel) {
    drag.moved = true;
    shown = shown.with(chosen.shape, moved(drag.shape, at[0] - drag.from[0], at[1] - drag.from[1]));
    paint();
  }
  return undefined;
});

stage.addEventListener("pointerup", (event) => {
  const was = drag;
  drag = null;
  if (draft?.kind === "box" && was?.box && draft.corners.length) {
    const at = inside(toFrame(event));
    const far = Math.hypot(at[0] - draft.corners[0][0], at[1] - draft.corners[0][1]) > 3 * perPixel();
    if (draft.corners.length === 2 || far) {
      draft.corners = [draft.corners[0], draft.corners[1] ?? at];
      close();
    }
  } else if (was?.moved) change(shown);
});
stage.addEventListener("pointercancel", () => {
  if (drag?.box) draft?.corners.pop();
  drag = null;
});
stage.addEventListener("dblclick", () => {
  if (draft?.kind !== "polygon") return;
  draft.corners.pop(); // the second click put one on the first
  close();
});

function moved(shape, dx, dy) {
  const corners = cornersOf(shape);
  if (chosen.corner === null) {
    const [xs, ys] = [corners.map((c) => c[0]), corners.map((c) => c[1])];
    const x = Math.min(Math.max(dx, -Math.min(...xs)), size.width - Math.max(...xs));
    const y = Math.min(Math.max(dy, -Math.min(...ys)), size.height - Math.max(...ys));
    const all = corners.map((c) => inside([c[0] + x, c[1] + y]));
    return isBox(shape) ? boxOf(all[0], all[2]) : all;
  }
  const here = inside([corners[chosen.corner][0] + dx, corners[chosen.corner][1] + dy]);
  if (!isBox(shape)) return corners.with(chosen.corner, here);
  const box = boxOf(here, corners[(chosen.corner + 2) % 4]);
  return box[2] > box[0] && box[3] > box[1] ? box : shape;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(size.width / 500));
  const used = draft ? whileDrawing(event.key, step) : onShape(event, step);
  if (!used) return;
  event.preventDefault();
  event.stopPropagation();
  paint();
});

function whileDrawing(key, step) {
  if (ARROWS[key]) draft.cursor = inside([draft.cursor[0] + ARROWS[key][0] * step * 5, draft.cursor[1] + ARROWS[key][1] * step * 5]);
  else if (key === " ") {
    draft.corners.push(draft.cursor);
    if (draft.kind === "box" && draft.corners.length === 2) close();
  } else if (key === "Backspace") draft.corners.pop();
  else if (key === "Enter") {
    if (draft.kind === "polygon" || draft.corners.length > 1) close();
  }
  else if (key === "Escape") {
    end();
    tellWhat("");
  } else return false;
  return true;
}

function onShape(event, step) {
  const { key } = event;
  if ((key === "[" || key === "]") && shown.length) {
    chosen.shape = ((chosen.shape ?? (key === "]" ? -1 : 0)) + (key === "]" ? 1 : shown.length - 1)) % shown.length;
    chosen.corner = null;
    return true;
  }
  const shape = shown[chosen.shape];
  if (!shape) return false;
  const count = cornersOf(shape).length;
  if (key === "Tab") chosen.corner = chosen.corner === null ? 0 : (chosen.corner + (event.shiftKey ? count - 1 : 1)) % count;
  else if (key === "Escape") chosen.shape = chosen.corner = null;
  else if (ARROWS[key] && mayLabel) change(shown.with(chosen.shape, moved(shape, ARROWS[key][0] * step, ARROWS[key][1] * step)));
  else if ((key === "Delete" || key === "Backspace") && mayLabel) {
    const corner = chosen.corner !== null && !isBox(shape) && count > 3;
    const next = corner ? shown.with(chosen.shape, shape.toSpliced(chosen.corner, 1)) : shown.toSpliced(chosen.shape, 1);
    if (!corner) chosen.shape = null;
    chosen.corner = null;
    change(next);
  } else return false;
  return true;
}

function paint() {
  const radius = 5 * perPixel();
  shapesLayer.replaceChildren();
  for (const [index, shape] of shown.entries()) {
    const here = index === chosen.shape;
    const corners = cornersOf(shape);
    shapesLayer.append(svg("polygon", { class: `shape${here ? " chosen" : ""}`, points: corners.map((c) => c.join(",")).join(" "), "data-shape": index }));
    for (const [at, [cx, cy]] of corners.entries()) shapesLayer.append(svg("circle", { class: `corner${here && at === chosen.corner ? " chosen" : ""}`, cx, cy, r: radius, "data-shape": index, "data-corner": at }));
  }
  if (!draft) return;
  const line = draft.kind === "box" && draft.corners.length ? cornersOf(boxOf(draft.corners[0], draft.cursor)) : [...draft.corners, draft.cursor];
  shapesLayer.append(svg("polygon", { class: "shape chosen", points: line.map((c) => c.join(",")).join(" ") }));
  for (const [cx, cy] of [...draft.corners, draft.cursor]) shapesLayer.append(svg("circle", { class: "corner", cx, cy, r: radius }));
}

async function load() {
  const id = current();
  try {
    const shapes = id === undefined ? [] : await shapesOf(id);
    if (id === current()) shown = [...shapes];
  } catch {
    shown = []; // the words are there; where the defect is comes with the next look
  }
  paint();
}

on("at", () => {
  end();
  drag = null; // a button that is still down moves nothing on another frame
  tellWhat("");
  chosen.shape = chosen.corner = null;
  shown = [];
  load();
});
on("shapes detail", () => !drag && !draft && load());
document.addEventListener("edge:review-view", paint);
