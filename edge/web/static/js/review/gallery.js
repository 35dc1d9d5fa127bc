// The gallery: of 50,000 frames only those in sight are in the page, and only those where it stands still are loaded.
import { boxRect, el, svg } from "../dom.js";
import { verdictText } from "../words.js";
import { go, kindsOf, need, on, outcome, picturePath, state } from "./state.js";
import { waits } from "./unsent.js";

const CELL = { width: 168, height: 156 };
const REST_MS = 90;
const gallery = document.getElementById("gallery");
const all = el("div", { class: "all", role: "presentation" });
gallery.append(all);
const cells = new Map(); // index -> element
let columns = 1;
let resting = null;

export const shape = { get columns() { return columns; }, get rows() { return Math.max(1, Math.floor(gallery.clientHeight / CELL.height)); } };

function measure() {
  const inside = gallery.clientWidth;
  columns = Math.max(1, Math.floor(inside / CELL.width));
  all.style.height = `${Math.ceil(state.ids.length / columns) * CELL.height}px`;
  for (const cell of cells.values()) cell.remove();
  cells.clear();
  draw();
}

function inSight(more) {
  const first = Math.floor(gallery.scrollTop / CELL.height) - more;
  const last = Math.ceil((gallery.scrollTop + gallery.clientHeight) / CELL.height) + more;
  return [Math.max(first, 0) * columns, Math.min(Math.max(last, 1) * columns, state.ids.length)];
}

function draw() {
  const [first, last] = inSight(1);
  for (const [index, cell] of cells) {
    if (index >= first && index < last) continue;
    cell.remove();
    cells.delete(index);
  }
  for (let index = first; index < last; index += 1) if (!cells.has(index)) all.append(made(index));
  clearTimeout(resting);
  resting = setTimeout(loadInSight, REST_MS);
}

function loadInSight() {
  const [first, last] = inSight(1);
  need(first, last);
  for (const [index, cell] of cells) {
    const picture = cell.querySelector("img");
    const detail = state.details.get(state.ids[index]);
    if (detail && !picture.hasAttribute("src") && index >= first && index < last) {
      if (detail.gone) picture.dataset.gone = "";
      else picture.src = picturePath(detail, "thumbnail.jpg");
    }
  }
}

function made(index) {
  const picture = el("img", { alt: "", draggable: "false", decoding: "async" });
  picture.addEventListener("error", () => { picture.dataset.gone = ""; });
  const foot = el("div", { class: "foot" });
  const inner = el("div", { class: "inner" }, el("div", { class: "thumb" }, picture), foot);
  const cell = el("div", { class: "cell", role: "option", id: `cell-${index}`, "aria-setsize": state.ids.length, "aria-posinset": index + 1 }, inner);
  cell.style.width = `${gallery.clientWidth / columns}px`;
  cell.style.height = `${CELL.height}px`;
  cell.style.transform = `translate(${((index % columns) * gallery.clientWidth) / columns}px, ${Math.floor(index / columns) * CELL.height}px)`;
  cell.addEventListener("click", () => go(index));
  cells.set(index, cell);
  write(index);
  return cell;
}

/** What stands below a picture, and the boxes in it. */
function write(index) {
  const cell = cells.get(index);
  if (!cell) return;
  const id = state.ids[index];
  const detail = state.details.get(id);
  cell.setAttribute("aria-selected", String(index === state.at));
  const foot = cell.querySelector(".foot");
  if (!detail) return cell.setAttribute("aria-label", `frame ${index + 1}`);
  const label = outcome(detail.votes);
  const name = detail.gone ? "picture deleted" : verdictText(detail.verdict);
  const said = label === "defect" ? kindsOf(detail.votes).join(" + ") || "defect" : label ?? "";
  foot.replaceChildren(
    el("span", { class: `v-${detail.verdict}` }, name), el("span", {}, detail.seq ?? detail.number ?? ""),
    el("span", { class: `mark ${label ?? ""}${waits(detail) ? " waits" : ""}`, title: said }, { good: "✓ ", defect: "✕ ", unsure: "? ", disputed: "⚡ " }[label] ?? "", said),
  );
  cell.setAttribute("aria-label", `frame ${detail.seq ?? detail.number ?? index + 1}, ${detail.verdict ?? "no verdict"}, ${said || "no label"}`);
  const thumb = cell.querySelector(".thumb");
  thumb.querySelector("svg")?.remove();
  if (detail.boxes.length) {
    const [width, height] = detail.size;
    thumb.append(svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...detail.boxes.map((box) => boxRect(box))));
  }
  return undefined;
}

function show() {
  for (const index of cells.keys()) write(index);
  if (state.at < 0) return;
  gallery.setAttribute("aria-activedescendant", `cell-${state.at}`);
  const top = Math.floor(state.at / columns) * CELL.height;
  if (top < gallery.scrollTop) gallery.scrollTop = top;
  else if (top + CELL.height > gallery.scrollTop + gallery.clientHeight) gallery.scrollTop = top + CELL.height - gallery.clientHeight;
}

gallery.addEventListener("scroll", draw, { passive: true });
new ResizeObserver(measure).observe(gallery);
on("found", () => { gallery.scrollTop = 0; measure(); });
on("at", show);
on("detail", (ids) => { const fresh = new Set(ids); for (const index of cells.keys()) if (fresh.has(state.ids[index])) write(index); loadInSight(); });
on("unsent", () => { for (const index of cells.keys()) write(index); });
