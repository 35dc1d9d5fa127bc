// The connection to the session's worker: the newest change goes out, what comes back is put into the state.
import { call } from "../dom.js";
import { state, tell } from "./state.js";

let socket = null;
let number = 0;
let answered = 0;
let waiting = null;
const marks = new Map();

/** How long the last changes took from the call to the painted overlay, in ms: for the bench. */
export const timings = [];

export function connect(onEnd) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket?.close();
  [number, answered, waiting] = [0, 0, null];
  const opened = new WebSocket(`${scheme}://${location.host}/api/v1/tuning/${state.id}/ws`);
  socket = opened;
  opened.binaryType = "arraybuffer";
  opened.addEventListener("message", (event) => receive(event.data));
  opened.addEventListener("open", () => judge());
  opened.addEventListener("close", () => opened === socket && onEnd());
}

/** Ask for the regions in force. While an answer is on its way only the newest change is kept. */
export function judge() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (number > answered) {
    waiting = true;
    return;
  }
  number += 1;
  marks.set(number, performance.now());
  socket.send(JSON.stringify({ op: "judge", n: number, view: state.view, regions: state.regions }));
}

/** Look at another frame, or with `old` at this one under the line's own config. */
export function look({ old = false } = {}) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op: "look", view: state.view, old }));
}

async function receive(data) {
  const length = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  if (head.error && head.op !== "died" && head.op !== "stopped") {
    state.problems = [{ key: head.error.key ?? "", path: head.error.path ?? "", text: said(head.error) }];
    tell("problems");
    return next(head.n);
  }
  if (head.op === "died" || head.op === "stopped") {
    state.trouble = said(head.error);
    tell("trouble");
  } else if (head.op === "look") {
    if (head.view !== state.view) return next(head.n);
    state.look = { ...head, layers: await layersOf(head, new Uint8Array(data, 4 + length)), n: head.n };
    if (head.n && state.problems.length && !head.invalid) {
      state.problems = [];
      tell("problems");
    }
    tell("look");
    if (marks.has(head.n)) requestAnimationFrame(() => setTimeout(() => painted(head)));
    next(head.n);
  } else if (head.op === "funnel") {
    if (head.view === state.view) [state.funnel, state.nearest] = [head.steps, head];
    tell("funnel");
  } else if (head.op === "problems") {
    state.problems = head.problems;
    tell("problems");
  } else if (head.op === "verdicts") {
    [state.old, state.new, state.told] = [head.old, head.new, head];
    if (head.maxima) state.maxima = head.maxima;
    tell("verdicts");
  }
}

function painted(head) {
  timings.push({ n: head.n, kind: head.kind, ms: performance.now() - marks.get(head.n) });
  marks.delete(head.n);
  document.documentElement.dataset.painted = String(head.n);
  document.documentElement.dataset.paintedMs = timings.at(-1).ms.toFixed(1);
}

function next(n) {
  if (n) answered = Math.max(answered, n);
  if (!waiting) return;
  waiting = null;
  judge();
}

/** Two layers of bits, zlib's format, as two arrays with a bit for each pixel of the map. */
async function layersOf(head, packed) {
  if (!packed.length || !head.map) return null;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bits = new Uint8Array(await new Response(stream).arrayBuffer());
  const half = bits.length / 2;
  return { candidates: bits.subarray(0, half), kept: bits.subarray(half) };
}

function said(error) {
  return [error.what, error.received && `received: ${error.received}`, error.expected && `expected: ${error.expected}`, error.fix].filter(Boolean).join("\n");
}

export async function exported() {
  return call(`/api/v1/tuning/${state.id}/export`);
}
