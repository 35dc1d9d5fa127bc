// The address of the page holds what is being tuned: recording, frame, and the regions where they differ from the line's own.
import { change, on, state, tell } from "./state.js";

const KEY = "#regions=";
const WAIT_MS = 500;
const brought = location.hash; // as the page was opened: this module writes the address anew while a recording still opens

/** Regions that the address brought; null without any. Throws where they can't be read. */
export function linked() {
  return brought.startsWith(KEY) ? JSON.parse(decodeURIComponent(brought.slice(KEY.length))) : null;
}

let applied = false;

/** Puts the address's regions in force once, as one step of undo. Returns why not, in words, or null. */
export function applyLinked() {
  if (applied) return null;
  applied = true;
  try {
    const regions = linked();
    if (regions === null) return null;
    if (typeof regions !== "object" || Array.isArray(regions)) throw new Error("no object");
    change({ ...structuredClone(state.base), ...regions });
    return null;
  } catch {
    return "The link's change can't be read: the line's own config is in force.";
  }
}

/** Sections of regions that differ from the line's own. */
export function differing() {
  return Object.fromEntries(Object.entries(state.regions).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(state.base[key])));
}

/** The address of this very view. */
export function address() {
  const query = new URLSearchParams(location.search);
  query.set("recording", document.getElementById("recording").value);
  query.set("frame", state.view + 1);
  const changed = differing();
  const hash = Object.keys(changed).length ? KEY + encodeURIComponent(JSON.stringify(changed)) : "";
  return `${location.pathname}?${query}${hash}`;
}

let later = 0;
on("regions opened view", () => {
  clearTimeout(later);
  later = setTimeout(() => {
    if (!state.base) return;
    history.replaceState(null, "", address());
    tell("address");
  }, WAIT_MS);
});
