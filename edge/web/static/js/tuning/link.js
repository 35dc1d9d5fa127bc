// The connection to the session's worker: the newest change goes out, what comes back is put into the state.
import { call } from "../dom.js";
import { on, state, tell } from "./state.js";

let socket = null;
let number = 0;
let answered = 0;
let waiting = null;
let patience = 0;
const PATIENCE_MS = 1500;
const marks = new Map();

/** How long the last changes took from the call to the painted overlay, in ms: for the bench. */
export const timings = [];

/** Hear no more of the recording that was open. */
export function disconnect() {
  const left = socket;
  socket = null;
  left?.close();
}

export function connect(onEnd) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  disconnect();
  [number, answered, waiting] = [0, 0, null];
  const opened = new WebSocket(`${scheme}://${location.host}/api/v1/tuning/${state.id}/ws`);
  socket = opened;
  opened.binaryType = "arraybuffer";
  opened.addEventListener("message", (event) => opened === socket && receive(event.data));
  opened.addEventListener("open", () => judge());
  opened.addEventListener("close", () => opened === socket && onEnd());
}

/** Ask for the regions in force. While an answer is on its way only the newest change is kept. */
export function judge() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  document.documentElement.dataset.settled = document.documentElement.dataset.judged = "no";
  state.isJudged = false;
  if (number > answered) {
    waiting = true;
    return;
  }
  number += 1;
  marks.set(number, performance.now());
  clearTimeout(patience);
  patience = setTimeout(() => { state.isWaiting = true; tell("waiting"); }, PATIENCE_MS);
  socket.send(JSON.stringify({ op: "judge", n: number, view: state.view, regions: state.regions }));
}

/** Look at another frame, or with `old` at this one under the line's own config. */
export function look({ old = false } = {}) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op: "look", view: state.view, old }));
}

function receive(data) {
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
    state.look = { ...head, layers: layersOf(head, new Uint8Array(data, 4 + length)), n: head.n };
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
    [state.old, state.new, state.verdicts] = [head.old, head.new, head];
    if (head.maxima) state.maxima = head.maxima;
    state.isJudged = head.n === number && !waiting && !head.left; // of every frame, under what was changed last
    tellVerdicts();
  }
}

let telling = false;

/** Strip, matrix and histogram wait until the overlay is painted: they take as long as it does. */
function tellVerdicts() {
  if (telling) return;
  telling = true;
  requestAnimationFrame(() => setTimeout(() => { telling = false; if (state.verdicts) tell("verdicts"); document.documentElement.dataset.judged = state.isJudged ? "yes" : "no"; }));
}

function painted(head) {
  timings.push({ n: head.n, kind: head.kind, ms: performance.now() - marks.get(head.n) });
  marks.delete(head.n);
  document.documentElement.dataset.painted = String(head.n);
  if (head.n === number && !waiting) document.documentElement.dataset.settled = "yes";
  document.documentElement.dataset.paintedMs = timings.at(-1).ms.toFixed(1);
}

function next(n) {
  if (n) answered = Math.max(answered, n);
  if (answered === number) clearTimeout(patience);
  if (state.isWaiting) {
    state.isWaiting = false;
    tell("waiting");
  }
  if (!waiting) return;
  waiting = null;
  judge();
}

/** Two layers: of each the bytes of eight pixels that aren't empty, as count, places, bytes. */
function layersOf(head, packed) {
  if (!packed.length || !head.map) return null;
  const data = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  const layer = () => {
    const count = data.getUint32(at, true);
    const places = new Uint32Array(packed.slice(at + 4, at + 4 + 4 * count).buffer);
    const bytes = packed.subarray(at + 4 + 4 * count, at + 4 + 5 * count);
    at += 4 + 5 * count;
    return { places, bytes };
  };
  return { candidates: layer(), kept: layer() };
}

function said(error) {
  return [error.what, error.received && `received: ${error.received}`, error.expected && `expected: ${error.expected}`, error.fix].filter(Boolean).join("\n");
}

export async function exported() {
  return call(`/api/v1/tuning/${state.id}/export`);
}

on("regions", judge);
on("view", () => {
  [state.look, state.funnel, state.nearest] = [null, [], null]; // they are of the frame before
  tell("look");
  tell("funnel");
});
