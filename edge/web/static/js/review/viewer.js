// The frame at hand, large: its picture, the boxes of its record, what is known of it. Zoom is the SVG's view box.
import { boxRect, el, put, svg } from "../dom.js";
import { moment } from "../clock.js";
import { number, verdictText } from "../words.js";
import { current, kindsOf, need, on, outcome, picturePath, state } from "./state.js";

const stage = document.getElementById("stage");
export const drawing = svg("svg", { "aria-hidden": "true", preserveAspectRatio: "xMidYMid meet" });
const picture = svg("image", { x: 0, y: 0 });
const boxes = svg("g");
export const shapesLayer = svg("g");
drawing.append(picture, boxes, shapesLayer);
const loading = el("p", { class: "loading", role: "status", hidden: true }, "The picture is on its way …");
stage.append(drawing, loading);
for (const event of ["load", "error"]) picture.addEventListener(event, () => loaded(event));
export const size = { width: 4, height: 3 };
let view = [0, 0, 4, 3];
const MOST_PX = 1600; // of a picture's longer side, until somebody looks closer
const KEPT_BOXES = 24; // of each frame, in the index
let shown = null;
let waiting = null;

function loaded(event) {
  clearTimeout(waiting);
  put(loading, event === "load" ? "The picture is on its way …" : "The picture can't be read: a quota may have taken it, or it is damaged.");
  loading.hidden = event === "load";
}

/** Where a pointer is, in pixels of the frame. */
export function toFrame(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
  return [point.x, point.y];
}

/** How many pixels of the frame one pixel of the screen shows. */
export const perPixel = () => 1 / (drawing.getScreenCTM()?.a || 1);

function look(box) {
  view = box;
  drawing.setAttribute("viewBox", view.join(" "));
  document.dispatchEvent(new CustomEvent("edge:review-view"));
  const shows = (view[2] / size.width) * MOST_PX; // pixels of the picture in sight, of those that it has
  if (Math.max(size.width, size.height) > MOST_PX && shows < stage.clientWidth && picture.getAttribute("href") === pictureOf(shown)) picture.setAttribute("href", pictureOf(shown, 12000));
}

export const fit = () => look([0, 0, size.width, size.height]);

export function pan(dx, dy) {
  look([view[0] - dx * perPixel(), view[1] - dy * perPixel(), view[2], view[3]]);
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [x, y] = toFrame(event);
  const factor = Math.exp(event.deltaY / 400);
  const width = Math.min(Math.max(view[2] * factor, 8), size.width * 4);
  const by = width / view[2];
  look([x - (x - view[0]) * by, y - (y - view[1]) * by, width, view[3] * by]);
}, { passive: false });

function show() {
  const id = current();
  const detail = state.details.get(id);
  if (id === undefined || !detail) {
    if (id !== undefined) need(state.at, state.at + 1);
    return;
  }
  [size.width, size.height] = detail.size;
  if (id !== shown?.id || detail.at !== shown.at) {
    shown = detail;
    for (const [key, value] of [["width", size.width], ["height", size.height]]) picture.setAttribute(key, value);
    if (detail.gone) picture.removeAttribute("href");
    else {
      loaded("load"); // what was said of the frame before
      picture.setAttribute("href", pictureOf(detail));
      waiting = setTimeout(() => { loading.hidden = false; }, 250);
    }
    boxes.replaceChildren(...detail.boxes.map((box) => boxRect(box)));
    if (detail.gone) loaded("error");
    fit();
  }
  write(detail);
}

function pictureOf(detail, most = MOST_PX) {
  return `${picturePath(detail, "picture.jpg")}&most=${most}`;
}

/** The next picture is there before its turn comes. */
function prefetch() {
  need(state.at, state.at + 3);
  for (const id of state.ids.slice(state.at + 1, state.at + 3)) {
    const detail = state.details.get(id);
    if (detail && !detail.gone) new Image().src = pictureOf(detail);
  }
}

function write(detail) {
  const place = `${(state.at + 1).toLocaleString("en")} of ${state.ids.length.toLocaleString("en")}`;
  document.getElementById("where").replaceChildren(
    el("span", { class: `verdict ${detail.verdict ?? ""}` }, detail.gone ? "gone" : verdictText(detail.verdict)), detail.reason ? `${detail.reason} · ` : "", place,
  );
  const label = outcome(detail.votes);
  const kinds = kindsOf(detail.votes).join(" + ");
  put(document.getElementById("said-label"), label ? `label: ${label}${kinds ? ` (${kinds})` : ""}` : "no label");
  const said = detail.votes.map((vote) => `${vote.by}: ${vote.kinds.join(" + ") || vote.label}`).join(", ");
  const facts = [
    ["time", detail.at ? moment(detail.at, { date: true }) : "–"], ["seq", detail.seq ?? "–"], ["part", detail.part ?? "–"],
    ["score", `${number(detail.map_max)} of ${number(detail.threshold)}`], ["kept for", detail.why ?? "–"], ["dropped by", detail.dropped.join(", ") || "–"],
    ["recording", detail.recording ?? "–"], ["file", detail.ref ?? `frame ${detail.number ?? "–"}`], ["words", said || "–"],
    ...(detail.boxes.length < KEPT_BOXES ? [] : [["regions", `at most ${KEPT_BOXES} are drawn`]]),
  ];
  document.getElementById("facts").replaceChildren(...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

on("at", () => { show(); prefetch(); });
on("found", () => { shown = null; });
on("detail", (ids) => {
  if (ids.includes(current())) show();
  if (state.ids.slice(state.at + 1, state.at + 3).some((id) => ids.includes(id))) prefetch();
});
document.addEventListener("edge:clock", show);
