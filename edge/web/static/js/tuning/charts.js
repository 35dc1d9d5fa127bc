// Two histograms with limits that are dragged: map_max of all frames, and one measure of all candidates.
import { call, el, svg } from "../dom.js";
import { change, on, state, valueAt, withValue } from "./state.js";

const [WIDTH, HEIGHT, FLOOR] = [400, 150, 128];
const BINS = 50;
const MEASURES = { area: ["min_area_px", "max_area_px"], score_max: ["min_score_max"], score_mean: ["min_score_mean"], fill_ratio: ["min_fill_ratio"], aspect_ratio: ["max_aspect_ratio"], solidity: ["min_solidity"] };

const select = document.getElementById("measure");
select.append(...Object.keys(MEASURES).map((name) => el("option", { value: name }, name)));
select.addEventListener("change", loadSpread);
let spread = null;

function chart(into, { low, high, stacks, limits, name }) {
  const shown = JSON.stringify([low, high, stacks, limits.map((limit) => limit.at), name]);
  if (into.dataset.shown === shown) return; // a grip that is about to be taken stays
  into.dataset.shown = shown;
  const x = (value) => ((value - low) / (high - low || 1)) * (WIDTH - 20) + 10;
  const value = (at) => low + ((at - 10) / (WIDTH - 20)) * (high - low);
  const most = Math.max(1, ...stacks.map((stack) => stack.reduce((sum, [, count]) => sum + count, 0)));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": name });
  const wide = (WIDTH - 20) / stacks.length;
  for (const [index, stack] of stacks.entries()) {
    let top = FLOOR;
    for (const [kind, count] of stack) {
      const tall = count ? Math.max((Math.log1p(count) / Math.log1p(most)) * 110 * (count / stack.reduce((s, [, c]) => s + c, 0)), 1.5) : 0;
      top -= tall;
      if (tall) picture.append(svg("rect", { class: `bar-${kind}`, x: 10 + index * wide, y: top, width: Math.max(wide - 0.6, 0.6), height: tall }, svg("title", {}, `${count}`)));
    }
  }
  picture.append(svg("line", { class: "axis", x1: 10, x2: WIDTH - 10, y1: FLOOR, y2: FLOOR }));
  picture.append(svg("text", { x: 10, y: HEIGHT - 6 }, short(low)), svg("text", { x: WIDTH - 10, y: HEIGHT - 6, "text-anchor": "end" }, short(high)));
  for (const limit of limits) picture.append(...limitOf(limit, picture, x, value, [low, high]));
  const focused = into.contains(document.activeElement) ? document.activeElement.dataset.limit : null;
  into.replaceChildren(picture);
  if (focused) into.querySelector(`[data-limit="${focused}"]`)?.focus();
}

const short = (value) => Number(value.toPrecision(4)).toString();

/** A limit is a line with a grip: dragged by the mouse, moved by arrow keys. */
function limitOf({ name, at, put }, picture, x, value, [low, high]) {
  if (at === null || at === undefined) return [];
  const px = Math.min(Math.max(x(at), 4), WIDTH - 4);
  const line = svg("line", { class: "limit", x1: px, x2: px, y1: 6, y2: FLOOR });
  const grip = svg("circle", { class: "limit-grip", cx: px, cy: name === "low" ? 26 : 12, r: 6, tabindex: 0, role: "slider", "aria-label": name, "aria-valuenow": short(at), "aria-valuemin": short(low), "aria-valuemax": short(high), "data-limit": name });
  const text = svg("text", { x: px > WIDTH - 90 ? px - 10 : px + 10, y: name === "low" ? 30 : 16, "text-anchor": px > WIDTH - 90 ? "end" : "start" }, `${name} ${short(at)}`);
  grip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const area = picture.getBoundingClientRect(); // of now: each move draws a picture of its own
    dragging = { put, of: (move) => value(Math.min(Math.max(((move.clientX - area.left) / area.width) * WIDTH, 10), WIDTH - 10)) };
  });
  grip.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    put(at + (way * (high - low)) / 200);
  });
  return [line, grip, text];
}

let dragging = null;
addEventListener("pointermove", (event) => dragging && dragging.put(dragging.of(event)));
addEventListener("pointerup", () => { dragging = null; });

function levels(key) {
  return (value) => {
    const now = typeof state.regions.threshold === "object" ? state.regions.threshold : { high: state.verdicts.high, low: state.verdicts.low };
    const next = { ...now, [key]: Number(value.toPrecision(5)) };
    if (next.low !== null && next.low > next.high) next[key === "high" ? "low" : "high"] = next[key];
    change(withValue("threshold", next), `threshold.${key}`);
  };
}

function paintMaxima() {
  const known = state.maxima.map((value, index) => [value, index]).filter(([value]) => value !== null);
  const into = document.getElementById("histogram");
  if (!known.length || !state.verdicts) return;
  const [low, high] = known.reduce(([a, b], [v]) => [Math.min(a, v), Math.max(b, v)], [state.verdicts.high, state.verdicts.high]);
  const stacks = Array.from({ length: BINS }, () => ({ good: 0, bad: 0, none: 0 }));
  for (const [value, index] of known) {
    const { label } = state.frames[index];
    stacks[Math.min(Math.floor(((value - low) / (high - low || 1)) * BINS), BINS - 1)][label ? (label === "good" ? "good" : "bad") : "none"] += 1;
  }
  const limits = [{ name: "high", at: state.verdicts.high, put: levels("high") }, { name: "low", at: state.verdicts.low, put: levels("low") }];
  chart(into, { low: Math.min(low, state.verdicts.low ?? low), high, stacks: stacks.map((s) => Object.entries(s)), limits, name: "map_max of all frames; good, bad and unlabelled" });
}

async function loadSpread() {
  if (!state.id) return;
  try {
    spread = await call(`/api/v1/tuning/${state.id}/histogram?key=${select.value}`);
  } catch {
    spread = null; // the connection's own notice says why
  }
  paintSpread();
}

function paintSpread() {
  const into = document.getElementById("spread");
  if (!spread?.counts.length) {
    delete into.dataset.shown;
    into.replaceChildren(el("p", { class: "small" }, "no candidate above the thresholds"));
    return;
  }
  const limits = MEASURES[spread.key].map((key) => ({
    name: key, at: valueAt(key) || null,
    put: (value) => change(withValue(key, key.endsWith("_px") ? Math.max(Math.round(value), 1) : Number(Math.max(value, key === "max_aspect_ratio" ? 1 : 0).toPrecision(4))), key),
  }));
  chart(into, { low: spread.edges[0], high: spread.edges.at(-1), stacks: spread.counts.map((count) => [["none", count]]), limits, name: `${spread.key} of all candidates` });
}

on("verdicts", () => {
  if (!dragging) paintMaxima();
  if (!state.verdicts.left && !dragging && spread?.rows !== state.verdicts.rows) loadSpread().then(() => { if (spread) spread.rows = state.verdicts.rows; });
});
let later = 0;
on("regions", () => {
  if (dragging) paintMaxima();
  clearTimeout(later);
  later = setTimeout(() => { paintMaxima(); paintSpread(); }, 250); // not while a slider moves
});
