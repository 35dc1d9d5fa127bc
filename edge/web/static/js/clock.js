// Times are shown in UTC, as in the log, or as this screen's clock has them; the choice is kept in the browser.
const KEY = "edge.clock";

export function isUtc() {
  return localStorage.getItem(KEY) !== "local";
}

export function toggleClock() {
  localStorage.setItem(KEY, isUtc() ? "local" : "utc");
  document.dispatchEvent(new CustomEvent("edge:clock"));
}

/** A moment in ns since 1970 as 2026-11-30 07:10:04.123. */
export function moment(ns, { date = false } = {}) {
  if (ns === null || ns === undefined) return "";
  const ms = Number(ns) / 1e6;
  const at = new Date(isUtc() ? ms : ms - new Date(ms).getTimezoneOffset() * 60000);
  const text = at.toISOString().replace("T", " ").replace("Z", "");
  return date ? text : text.slice(11);
}
