// The whole recording as a strip: each frame's verdict now, and a mark where it changed. It scales from one frame to 50,000.
import { put } from "../dom.js";
import { moment } from "../clock.js";
import { isChanged, on, state, tell } from "./state.js";

const canvas = document.getElementById("strip");
const where = document.getElementById("where");
const WORST = { f: 3, i: 2, p: 1, "?": 0 };
const WORDS = { p: "pass", f: "fail", i: "invalid", "?": "not judged yet" };

export function go(index) {
  const next = Math.min(Math.max(index, 0), state.frames.length - 1);
  if (next === state.view) return;
  state.view = next;
  tell("view");
}

/** The next frame whose verdict changed, after the one in view or before it; null where there is none. */
export function nextChanged(way) {
  for (let index = state.view + way; index >= 0 && index < state.frames.length; index += way) if (isChanged(index)) return index;
  return null;
}

const colours = () => {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.entries({ p: "--pass", f: "--fail", i: "--invalid", "?": "--line", mark: "--accent", ink: "--ink" }).map(([key, name]) => [key, style.getPropertyValue(name).trim()]));
};

function paint() {
  const count = state.frames.length;
  if (!count) return;
  const scale = devicePixelRatio || 1;
  const width = Math.max(Math.round(canvas.clientWidth * scale), 1);
  if (canvas.width !== width) canvas.width = width;
  canvas.height = Math.round(46 * scale);
  const context = canvas.getContext("2d");
  const of = colours();
  const height = canvas.height;
  context.clearRect(0, 0, width, height);
  const columns = Math.min(width, count);
  const wide = width / columns;
  for (let column = 0; column < columns; column += 1) {
    const [first, last] = [Math.floor((column * count) / columns), Math.floor(((column + 1) * count) / columns)];
    let [worst, before, changed] = ["?", "?", false];
    for (let index = first; index < last; index += 1) {
      const [now, old] = [state.new[index] ?? "?", state.old[index] ?? "?"];
      if (WORST[now] > WORST[worst]) worst = now;
      if (WORST[old] > WORST[before]) before = old;
      changed ||= isChanged(index);
    }
    const [x, gap] = [column * wide, wide > 3 ? 1 : 0];
    context.fillStyle = of[before];
    context.fillRect(x, 0, wide - gap, height * 0.24);
    context.fillStyle = of[worst];
    const tall = worst === "p" ? 0.36 : 0.52; // a shape besides the colour
    context.fillRect(x, height * (0.82 - tall), wide - gap, height * tall);
    if (changed) {
      context.fillStyle = of.mark;
      context.fillRect(x, height * 0.86, Math.max(wide - gap, 1), height * 0.14);
    }
  }
  context.strokeStyle = of.ink;
  context.lineWidth = 2 * scale;
  context.strokeRect((state.view / count) * width, 1, Math.max(wide, 4 * scale), height - 2);
  say();
}

function say() {
  const frame = state.frames[state.view];
  const [now, old] = [state.new[state.view] ?? "?", state.old[state.view] ?? "?"];
  const verdict = old === now || old === "?" ? WORDS[now] : `${WORDS[old]} → ${WORDS[now]}`;
  const facts = [`frame ${state.view + 1} of ${state.frames.length}`, frame.seq !== null && `seq ${frame.seq}`, frame.part !== null && `part ${frame.part}`, moment(frame.received_ns), verdict, frame.label && `label: ${frame.label}`, frame.recorded && frame.recorded[0] !== old && old !== "?" && `the record says ${frame.recorded}${frame.recorded_reason ? `: ${frame.recorded_reason}` : ""}`];
  put(where, facts.filter(Boolean).join(" · "));
  canvas.setAttribute("aria-valuenow", state.view + 1);
  canvas.setAttribute("aria-valuemax", state.frames.length);
  canvas.setAttribute("aria-valuetext", `frame ${state.view + 1}, ${verdict}`);
}

let held = false;
const at = (event) => Math.floor(((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth) * state.frames.length);
canvas.addEventListener("pointerdown", (event) => { held = true; canvas.setPointerCapture(event.pointerId); go(at(event)); });
canvas.addEventListener("pointermove", (event) => held && go(at(event)));
canvas.addEventListener("pointerup", () => { held = false; });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  go(Number.isFinite(step) ? state.view + step : step < 0 ? 0 : state.frames.length - 1);
});
new ResizeObserver(paint).observe(canvas);
on("verdicts view opened", paint);
document.addEventListener("edge:theme", paint);
document.addEventListener("edge:clock", () => state.frames.length && say());
