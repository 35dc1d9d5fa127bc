// The cards beside the picture: state, latency, losses, outputs; and the bar of faults that can't be missed.
import { byId as id, el, put } from "./dom.js";
import { count, faultText, number } from "./words.js";

export function showSide(lineState) {
  rows(id("facts"), [
    ["state", lineState.line_state ?? "not heard yet"],
    ["source", lineState.source_state ?? "–"],
    ["parts/min", number(lineState.parts_per_minute)],
    ["pass", count(lineState.counts.pass)],
    ["fail", count(lineState.counts.fail)],
    ["invalid", count(lineState.counts.invalid)],
    ["ring", number(lineState.ring_fill)],
    ["engine", engineText(lineState.engine)],
    ["model", lineState.model?.name ?? "–"],
    ["config", lineState.config_sha256?.slice(0, 12) ?? "–"],
  ]);
  const stages = Object.entries(lineState.latency_ms);
  sync(id("latency"), stages.map(([name, { p50, p99 }]) => [name, number(p50), number(p99)]), (cells) =>
    el("tr", {}, ...cells.map((text, index) => el("td", { class: index ? "n" : "" }, text))),
  );
  const losses = Object.entries(lineState.losses);
  rows(id("losses"), losses.length ? losses.map(([name, n]) => [name, count(n)]) : [["none", ""]]);
  rows(id("outputs"), Object.entries(lineState.outputs).map(([name, output]) => [name, output.ok ? "well" : (output.fault ?? "not well")]));
  const faults = lineState.faults.map(faultText);
  if (lineState.drift && lineState.drift.level !== "info") faults.push(`drift: ${lineState.drift.words}`);
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
