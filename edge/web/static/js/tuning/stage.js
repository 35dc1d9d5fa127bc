// The picture: frame, map and layers as canvases, boxes as SVG, zoom and pan. Coordinates are the frame's pixels.
import { el, put, svg } from "../dom.js";
import { on, state } from "./state.js";

const LAYERS = [
  ["frame", "frame", true], ["map", "map", false], ["candidates", "candidates", true], ["kept", "kept", true],
  ["dropped", "dropped", true], ["lost", "before filters", false], ["shapes", "shapes", true],
];
const LABELLED = 25;
const stage = document.getElementById("stage");
const pictures = { frame: el("canvas"), map: el("canvas"), bits: el("canvas", { class: "crisp" }) };
export const drawing = svg("svg", { "aria-hidden": "true" });
const boxes = svg("g");
const labels = svg("g");
export const shapesLayer = svg("g");
drawing.append(boxes, labels, shapesLayer);
stage.append(pictures.frame, pictures.map, pictures.bits, drawing);

export const shown = {};
export const view = { zoom: 1, x: 0, y: 0 };
const room = { width: 0, height: 0 }; // the stage's, read once: each reading between two writings lays the whole page out
const redraws = [];

/** Call `draw` whenever the view moves. */
export function onView(draw) {
  redraws.push(draw);
}

for (const [key, name, first] of LAYERS) {
  shown[key] = first;
  const box = el("input", { type: "checkbox", checked: first, id: `layer-${key}`, on: { change: () => { shown[key] = box.checked; paint(); } } });
  document.getElementById("layers").append(el("label", {}, box, name));
}

export function toScreen([x, y]) {
  return [x * view.zoom + view.x, y * view.zoom + view.y];
}

export function toFrame(event) {
  const area = stage.getBoundingClientRect();
  return [(event.clientX - area.left - view.x) / view.zoom, (event.clientY - area.top - view.y) / view.zoom];
}

export function fit() {
  const { width, height } = state.sizes;
  [room.width, room.height] = [stage.clientWidth, stage.clientHeight];
  view.zoom = Math.min(room.width / width, room.height / height);
  [view.x, view.y] = [(room.width - width * view.zoom) / 2, (room.height - height * view.zoom) / 2];
  place();
}

export function pan(dx, dy) {
  [view.x, view.y] = [view.x + dx, view.y + dy];
  place();
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const factor = Math.exp(-event.deltaY / 400);
  const [x, y] = toFrame(event);
  const area = stage.getBoundingClientRect();
  view.zoom = Math.min(Math.max(view.zoom * factor, 0.02), 60);
  [view.x, view.y] = [event.clientX - area.left - x * view.zoom, event.clientY - area.top - y * view.zoom];
  place();
}, { passive: false });
document.getElementById("fit").addEventListener("click", fit);
new ResizeObserver(() => state.id && fit()).observe(stage);

let loading = 0;

/** Load frame and map of the frame in view; one that comes too late is not shown. */
export async function load() {
  const frame = state.frames[state.view];
  const resized = frame.width !== state.sizes.width || frame.height !== state.sizes.height;
  state.sizes = { width: frame.width, height: frame.height };
  if (resized) fit();
  const mine = ++loading;
  await Promise.all([["frame", shown.frame], ["map", true]].map(async ([name]) => {
    const picture = new Image();
    picture.src = `/api/v1/tuning/${state.id}/frames/${state.view}/${name}.jpg`;
    try {
      await picture.decode();
    } catch {
      picture.width = picture.height = 1;
    }
    if (mine !== loading) return;
    if (name === "frame") sayGone(!picture.naturalWidth && !state.isEnded); // a closed session gives no picture
    const canvas = pictures[name];
    [canvas.width, canvas.height] = [Math.max(picture.naturalWidth, 1), Math.max(picture.naturalHeight, 1)];
    if (picture.naturalWidth) canvas.getContext("2d").drawImage(picture, 0, 0);
    place();
  }));
}

function place() {
  const { width, height } = state.sizes;
  const put = (canvas, sx, sy, ox, oy) => {
    canvas.style.transform = `matrix(${sx * view.zoom}, 0, 0, ${sy * view.zoom}, ${ox * view.zoom + view.x}, ${oy * view.zoom + view.y})`;
  };
  put(pictures.frame, width / pictures.frame.width, height / pictures.frame.height, 0, 0);
  const map = state.look?.map;
  if (map) {
    const [sx, sy, ox, oy] = map.map_to_image;
    put(pictures.map, (sx * map.width) / pictures.map.width, (sy * map.height) / pictures.map.height, ox, oy);
    put(pictures.bits, sx, sy, ox, oy);
  }
  boxes.setAttribute("transform", `matrix(${view.zoom}, 0, 0, ${view.zoom}, ${view.x}, ${view.y})`);
  writeLabels();
  for (const draw of redraws) draw();
}

const path = (list) => list.map(({ box: [x0, y0, x1, y1] }) => `M${x0} ${y0}H${x1}V${y1}H${x0}Z`).join("");

function paint() {
  pictures.frame.hidden = !shown.frame;
  pictures.map.hidden = !(shown.map && state.look?.map); // a look says where it lies
  pictures.map.style.opacity = shown.frame ? "0.55" : "1";
  pictures.bits.hidden = !(shown.candidates || shown.kept);
  shapesLayer.style.display = shown.shapes ? "" : "none";
  const { look } = state;
  if (look?.layers) paintBits(look);
  else pictures.bits.getContext("2d").clearRect(0, 0, pictures.bits.width, pictures.bits.height);
  paintBoxes();
  place();
}

function paintBoxes() {
  const { look } = state;
  const lost = state.funnel.flatMap((step) => step.lost);
  const kinds = [["lost", shown.lost ? lost : []], ["dropped", shown.dropped ? look?.dropped ?? [] : []], ["kept", shown.kept ? look?.kept ?? [] : []]];
  boxes.replaceChildren(...kinds.filter(([, list]) => list.length).map(([kind, list]) => svg("path", { class: `box ${kind}`, d: path(list) })));
  document.documentElement.dataset.overlay = [look?.kept_count ?? "", look?.dropped_count ?? "", lost.length, look?.verdict ?? ""].join(" ");
}

let image = null;

function paintBits({ map, layers }) {
  const canvas = pictures.bits;
  if (canvas.width !== map.width || canvas.height !== map.height) [canvas.width, canvas.height] = [map.width, map.height];
  if (image?.width !== map.width || image.height !== map.height) image = new ImageData(map.width, map.height);
  const pixels = new Uint32Array(image.data.buffer);
  pixels.fill(0);
  const [amber, red] = [0x99_3d_bd_f3, 0xb0_4a_3a_ff]; // ABGR
  if (shown.candidates) fill(pixels, layers.candidates, amber);
  if (shown.kept) fill(pixels, layers.kept, red);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function fill(pixels, { places, bytes }, colour) {
  for (let n = 0; n < places.length; n += 1) {
    for (let bit = 0, at = places[n] * 8; bit < 8; bit += 1, at += 1) if (bytes[n] & (128 >> bit) && at < pixels.length) pixels[at] = colour;
  }
}

function writeLabels() {
  const { look } = state;
  if (!look) return labels.replaceChildren();
  const marked = [...(shown.kept ? look.kept ?? [] : []).slice(0, LABELLED), ...(shown.dropped ? look.dropped ?? [] : []).slice(0, LABELLED)];
  const taken = [];
  const texts = [];
  for (const one of marked) {
    const [x, y] = toScreen([one.box[0], one.box[1]]);
    const space = { x, y: y - 15, width: one.text.length * 6.4, height: 14 };
    if (x < 0 || y < 12 || x > room.width || y > room.height) continue;
    if (taken.some((t) => t.x < space.x + space.width && space.x < t.x + t.width && t.y < space.y + space.height && space.y < t.y + t.height)) continue;
    taken.push(space);
    texts.push(svg("text", { x, y: y - 4 }, one.text));
  }
  return labels.replaceChildren(...texts);
}

on("look", paint);
on("funnel", paintBoxes);
on("view", load);
const GONE = "This frame's picture is gone: a quota may have taken it, or it is damaged.";

function sayGone(isGone) {
  if (isGone) said(GONE);
  else if (document.getElementById("said").textContent === GONE) said("");
}

export const said = (text) => put(document.getElementById("said"), text);
