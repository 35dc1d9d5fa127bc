// The cards beside the picture: state, latency, losses, outputs; and the bar of faults that can't be missed.
import { byId as id, el, put } from "./dom.js";
import { count, faultText, number } from "./words.js";

export function showSide(told) {
  rows(id("facts"), [
    ["state", told.line_state ?? "not heard yet"],
    ["source", told.source_state ?? "–"],
    ["parts/min", number(told.parts_per_minute)],
    ["pass", count(told.counts.pass)],
    ["fail", count(told.counts.fail)],
    ["invalid", count(told.counts.invalid)],
    ["ring", number(told.ring_fill)],
    ["engine", engineText(told.engine)],
    ["model", told.model?.name ?? "–"],
    ["config", told.config_sha256?.slice(0, 12) ?? "–"],
  ]);
  const stages = Object.entries(told.latency_ms);
  sync(id("latency"), stages.map(([name, { p50, p99 }]) => [name, number(p50), number(p99)]), (cells) =>
    el("tr", {}, ...cells.map((text, index) => el("td", { class: index ? "n" : "" }, text))),
  );
  const losses = Object.entries(told.losses);
  rows(id("losses"), losses.length ? losses.map(([name, n]) => [name, count(n)]) : [["none", ""]]);
  rows(id("outputs"), Object.entries(told.outputs).map(([name, output]) => [name, output.ok ? "well" : (output.fault ?? "not well")]));
  const faults = told.faults.map(faultText);
  if (told.drift && told.drift.level !== "info") faults.push(`drift: ${told.drift.words}`);
  id("faults").hidden = faults.length === 0;
  sync(id("faults"), faults.map((text) => [text]), ([text]) => el("div", {}, text));
}

function engineText(engine) {
  return [engine?.name, engine?.precision].filter(Boolean).join(", ") || "–";
}

function rows(list, pairs) {
  sync(list, pairs, ([name, text]) => [el("dt", {}, name), el("dd", {}, text)], 2);
}

/** Rewrites a list only where it changed, so that texts can be selected and read aloud. */
function sync(parent, items, make, each = 1) {
  const now = JSON.stringify(items);
  if (parent.dataset.shown === now) return;
  parent.dataset.shown = now;
  const same = parent.children.length === items.length * each;
  if (same && each === 2) items.forEach(([name, text], index) => { put(parent.children[2 * index], name); put(parent.children[2 * index + 1], text); });
  else parent.replaceChildren(...items.flatMap(make));
}
