// What the Tuning page knows, and who wants to hear when it changes. The work stays here whatever the connection does.
export const state = {
  id: null, frames: [], base: null, regions: null, view: 0, old: "", new: "", maxima: [], display: [0, 1], levels: null,
  look: null, funnel: [], problems: [], verdicts: null, sizes: { width: 1, height: 1 },
};

const hearers = new Map();

/** Call `call` whenever one of `events` happens: opened, regions, look, funnel, verdicts, view, problems. */
export function on(events, call) {
  for (const event of events.split(" ")) hearers.set(event, [...(hearers.get(event) ?? []), call]);
}

export function tell(event) {
  for (const call of hearers.get(event) ?? []) call();
}

/** A value of `regions` by a path with dots; undefined where a section above it is null. */
export function valueAt(path, regions = state.regions) {
  return path.split(".").reduce((node, key) => (node !== null && typeof node === "object" ? node[key] : undefined), regions);
}

/** A copy of `regions` with another value; sections above it are made. */
export function withValue(path, value, regions = state.regions) {
  const copy = structuredClone(regions);
  const keys = path.split(".");
  let node = copy;
  for (const key of keys.slice(0, -1)) {
    if (node[key] === null || typeof node[key] !== "object") node[key] = {};
    node = node[key];
  }
  node[keys.at(-1)] = value;
  return copy;
}

const done = [];
const undone = [];
let lastPath = null;
let lastAt = 0;

/** Put other regions in force. Moves of one control within a second are one step of undo. */
export function change(regions, path = null) {
  const now = performance.now();
  if (path === null || path !== lastPath || now - lastAt > 1000) done.push(state.regions);
  [lastPath, lastAt] = [path, now];
  undone.length = 0;
  state.regions = regions;
  tell("regions");
}

export function undo() {
  if (!done.length) return;
  undone.push(state.regions);
  state.regions = done.pop();
  lastPath = null;
  tell("regions");
}

export function redo() {
  if (!undone.length) return;
  done.push(state.regions);
  state.regions = undone.pop();
  lastPath = null;
  tell("regions");
}

export function forgetSteps() {
  done.length = undone.length = 0;
  lastPath = null;
}

export const isChanged = (index) => state.old[index] !== state.new[index] && state.old[index] !== "?" && state.new[index] !== "?";
