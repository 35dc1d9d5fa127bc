// What the change did, in tables: verdicts old and new, the funnel, each candidate of the frame, and the export.
import { el } from "../dom.js";
import { exported } from "./link.js";
import { address } from "./preset.js";
import { on, state } from "./state.js";

const WORDS = { p: "pass", f: "fail", i: "invalid", "?": "…" };
const KINDS = ["p", "f", "i"];
const into = (id, ...children) => document.getElementById(id).replaceChildren(...children);

function table(head, rows, label) {
  return el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, head.map((text, n) => el("th", { class: n ? "n" : "", scope: "col" }, text)))), el("tbody", {}, rows));
}

function paintMatrix() {
  const { verdicts } = state;
  if (!verdicts) return;
  const rows = KINDS.map((old) => el("tr", {}, el("th", { scope: "row" }, `was ${WORDS[old]}`), KINDS.map((now) => {
    const count = verdicts.matrix[old + now] ?? 0;
    return el("td", { class: `n${old !== now && count ? " changed" : ""}`, "data-pair": old + now }, count);
  })));
  const changed = Object.entries(verdicts.matrix).filter(([pair]) => pair[0] !== pair[1] && !pair.includes("?")).reduce((sum, [, n]) => sum + n, 0);
  const lines = [el("p", { class: "small", id: "changed-count" }, verdicts.left ? `${verdicts.left} frames still to judge${verdicts.computed ? `, ${verdicts.computed} maps computed` : ""} …` : `${changed} of ${state.frames.length} verdicts changed`)];
  if (verdicts.labels) {
    const was = verdicts.labels_old;
    lines.push(el("p", { id: "against-labels" }, `false rejects ${was.false_rejects} → ${verdicts.labels.false_rejects} of ${verdicts.labels.good} good; misses ${was.misses} → ${verdicts.labels.misses} of ${verdicts.labels.bad} bad`));
  }
  if (verdicts.distance) lines.push(el("p", { class: "small", id: "distance" }, verdicts.distance));
  into("matrix", table(["", "pass", "fail", "invalid"], rows, "verdicts old and new"), ...lines);
}

function paintFunnel() {
  if (!state.look) return into("funnel");
  if (!state.funnel.length) return into("funnel", el("p", { class: "small" }, state.look?.text ?? "no map"));
  const rows = state.funnel.map((step) => el("tr", { "data-step": step.step }, el("th", { scope: "row" }, step.name), el("td", { class: "n" }, step.pixels), el("td", { class: "n" }, step.areas), el("td", { class: "n" }, step.gone || "")));
  return into("funnel", table(["step", "map px", "areas", "gone"], rows, "funnel"));
}

function paintRegions() {
  const { look } = state;
  if (!look) return into("regions");
  if (look.invalid) return into("regions", el("p", {}, `invalid: ${look.invalid}. ${look.text ?? ""}`));
  const number = (value) => (value === null || value === undefined ? "" : Number(value.toPrecision(3)).toString());
  const kept = look.kept.slice(0, 100).map((one) => el("tr", {}, el("td", {}, "kept"), el("td", { class: "n" }, number(one.area)), el("td", { class: "n" }, number(one.score_max)), el("td", { class: "n" }, number(one.score_mean)), el("td", { class: "n" }, number(one.fill_ratio)), el("td", { class: "n" }, number(one.aspect_ratio)), el("td", { class: "n" }, number(one.solidity)), el("td", {}, "")));
  const before = state.funnel.flatMap((step) => step.lost).sort((a, b) => b.area - a.area);
  const gone = [...look.dropped.slice(0, 100), ...before.slice(0, 40)];
  const unlisted = before.length - 40;
  const dropped = gone.map((one) => el("tr", {}, el("td", { class: "why" }, one.filter), el("td", { class: "n" }, one.area), ...Array.from({ length: 5 }, () => el("td")), el("td", { class: "why" }, one.text)));
  const more = look.kept_count + look.dropped_count - look.kept.length - look.dropped.length;
  const facts = `${look.verdict}: map_max ${number(look.map_max)}, highest smoothed ${number(state.nearest?.smoothed_max)} against high ${number(state.nearest?.high)}; ${look.kept_count} kept, ${look.dropped_count} dropped${more > 0 ? `, ${more} of them not listed` : ""}`;
  return into("regions", el("p", { id: "look-facts" }, el("span", { class: `verdict ${look.verdict}` }, look.verdict), ` ${facts.slice(look.verdict.length + 2)}`), table(["", "area", "score_max", "score_mean", "fill", "aspect", "solidity", "why"], [...kept, ...dropped], "candidates"), ...(unlisted > 0 ? [el("p", { class: "small", id: "unlisted" }, `and ${unlisted} smaller areas that were gone before the filters`)] : []));
}

let asked = 0;

async function paintExport() {
  const mine = ++asked;
  try {
    const change = await exported();
    if (mine !== asked) return;
    const copy = (text) => el("button", { type: "button", on: { click: () => navigator.clipboard?.writeText(text) } }, "Copy");
    const part = (name, text, id) => [el("h2", {}, name, " ", copy(text)), el("pre", { id, tabindex: 0 }, text)];
    into(
      "export",
      ...(change.diff ? [] : [el("p", { class: "small" }, "Nothing differs from the line's config.")]),
      ...(change.diff ? [...part("Diff of the line's YAML", change.diff, "export-diff"), ...part("Under regions:", change.yaml, "export-yaml"), ...part("For edge replay, edge check", change.set, "export-set")] : []),
      ...(change.note ? [el("p", { class: "small" }, change.note)] : []),
      ...change.problems.map((problem) => el("p", { class: "wrong", role: "alert" }, problem.text)),
      ...(change.problems.length || !change.diff ? [] : [el("p", { class: "small", id: "export-fine" }, "edge check has nothing against it.")]),
      el("p", { class: "small" }, el("a", { href: address(), id: "preset" }, "This tuning as a link"), ": recording, frame and change are in the page's address."),
      el("p", { class: "small" }, `tuned on config ${state.configSha.slice(0, 12)} (${state.configName}); with the change ${change.config_sha256.slice(0, 12)}. The page never writes the line's config.`),
    );
  } catch (error) {
    if (mine === asked) into("export", el("p", { class: "wrong" }, error.message));
  }
}

let later = 0;
on("regions opened", () => { clearTimeout(later); later = setTimeout(paintExport, 400); });
on("address", () => document.getElementById("preset")?.setAttribute("href", address()));
on("verdicts", paintMatrix);
on("funnel", paintFunnel);
let drawing = 0;
on("look funnel", () => { clearTimeout(drawing); drawing = setTimeout(paintRegions, 250); }); // not while a slider moves
