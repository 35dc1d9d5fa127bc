// A control for every key of `regions:`, made from its JSON Schema: slider, number, help, default, off.
import { el, put } from "../dom.js";
import { change, on, state, valueAt, withValue } from "./state.js";

const STEPS = 1000;
const made = new Map();

/** Build all controls; `list` is what the server made of the schema. */
export function build(list) {
  const root = document.getElementById("controls");
  root.replaceChildren(el("h2", {}, "regions:"));
  for (const one of list) {
    const control = (one.kind === "shapes" ? shapesControl : one.kind === "section" ? sectionControl : leafControl)(one);
    made.set(one.key, control);
    root.append(control.row);
  }
  showAll();
}

function rowOf(one, ...children) {
  const name = one.key.split(".").at(-1);
  const defaultText = one.default === null || one.default === undefined ? (one.nullable ? "off" : "") : Array.isArray(one.default) ? "none" : String(one.default);
  const facts = [one.unit, defaultText && `default ${defaultText}`].filter(Boolean).join(", ");
  const problem = el("span", { class: "problem", hidden: true, role: "alert", id: `problem-${one.key}` });
  const row = el(
    "div",
    { class: `control${one.key.includes(".") ? " inner" : ""}`, "data-key": one.key },
    el("span", { class: "name", id: `name-${one.key}` }, name, facts ? el("small", {}, `  ${facts}`) : ""),
    ...children,
    el("details", {}, el("summary", {}, "what it does"), one.help),
    problem,
  );
  return { row, problem };
}

function leafControl(one) {
  if (one.kind === "choice") return choiceControl(one);
  if (one.kind === "switch") return switchControl(one);
  if (one.kind === "path") return pathControl(one);
  const named = `name-${one.key}`;
  const number = el("input", { type: "number", step: one.kind === "integer" ? (one.odd ? 2 : 1) : "any", "aria-labelledby": named, id: `number-${one.key}` });
  const slider = el("input", { type: "range", min: 0, max: STEPS, step: "any", "aria-labelledby": named, id: `slider-${one.key}` });
  const active = el("input", { type: "checkbox", "aria-label": `${one.key} on`, hidden: !one.nullable });
  const { row, problem } = rowOf(one, el("span", { class: "row" }, active, number), slider);
  const put = (value) => {
    if (value !== null && Number.isFinite(value)) change(withValue(one.key, bounded(one, value)), one.key);
  };
  slider.addEventListener("input", () => put(valueOf(one, Number(slider.value) / STEPS)));
  slider.addEventListener("change", () => show()); // let go between two values
  slider.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!way) return;
    event.preventDefault(); // a step of the key's own size instead of the slider's
    put(stepped(one, valueAt(one.key) ?? startOf(one), way * (event.shiftKey ? 10 : 1)));
  });
  number.addEventListener("change", () => {
    put(number.value === "" ? null : Number(number.value));
    show({ typed: true });
  });
  number.addEventListener("blur", () => show()); // what was typed may not be what was taken
  active.addEventListener("change", () => change(withValue(one.key, active.checked ? startOf(one) : null), one.key));
  const show = ({ typed = false } = {}) => {
    const value = valueAt(one.key);
    const on_ = value !== null && value !== undefined;
    row.hidden = one.key.includes(".") && value === undefined;
    active.checked = on_;
    number.disabled = slider.disabled = !on_ && one.nullable;
    if (typed || document.activeElement !== number) number.value = on_ ? String(Number(value.toPrecision(7))) : "";
    slider.value = String(on_ ? STEPS * shareOf(one, value) : 0);
    slider.setAttribute("aria-valuetext", on_ ? String(value) : "off");
    mark(row, one);
  };
  return { row, problem, show, ends: () => ends(one) };
}

function choiceControl(one) {
  const select = el("select", { "aria-labelledby": `name-${one.key}`, id: `choice-${one.key}` }, one.words.map((word) => el("option", { value: word }, word)));
  const { row, problem } = rowOf(one, select);
  select.addEventListener("change", () => {
    let regions = withValue(one.key, select.value);
    if (one.key === "smooth.kind") regions = fittedSmooth(regions);
    if (one.key === "roi.units") regions.roi = inUnits(regions.roi, select.value);
    change(regions);
  });
  return { row, problem, show: () => { row.hidden = valueAt(one.key) === undefined; select.value = valueAt(one.key) ?? ""; mark(row, one); } };
}

/** A median takes 3 or 5, and only a gaussian a sigma. */
function fittedSmooth(regions) {
  const { kind, size, sigma } = regions.smooth;
  regions.smooth = { kind, size: kind === "median" ? Math.min(size, 5) : size, sigma: kind === "gaussian" ? sigma : null };
  return regions;
}

function inUnits(roi, units) {
  const [w, h] = units === "norm" ? [1 / state.sizes.width, 1 / state.sizes.height] : [state.sizes.width, state.sizes.height];
  const of = (value, n) => Number((value * (n % 2 ? h : w)).toFixed(units === "norm" ? 4 : 1));
  const turned = (shape) => (typeof shape[0] === "number" ? shape.map(of) : shape.map((point) => point.map(of)));
  return { ...roi, units, include: roi.include.map(turned), exclude: roi.exclude.map(turned) };
}

function switchControl(one) {
  const box = el("input", { type: "checkbox", "aria-labelledby": `name-${one.key}`, id: `switch-${one.key}` });
  const { row, problem } = rowOf(one, box);
  box.addEventListener("change", () => change(withValue(one.key, box.checked)));
  return { row, problem, show: () => { box.checked = valueAt(one.key); mark(row, one); } };
}

function pathControl(one) {
  const words = el("span", { class: "row" });
  const { row, problem } = rowOf(one, words);
  return { row, problem, show: () => { row.hidden = valueAt(one.key) === undefined; put(words, valueAt(one.key) ?? "none (set it in the config)"); mark(row, one); } };
}

/** Sections that are there or not, or have a word in their place: smooth, threshold. */
function sectionControl(one) {
  const [word] = one.words;
  const box = el("input", { type: "checkbox", "aria-labelledby": `name-${one.key}`, id: `section-${one.key}` });
  const { row, problem } = rowOf(one, el("span", { class: "row" }, word ? "by hand" : "on", box));
  box.addEventListener("change", () => change(withValue(one.key, box.checked ? firstOf(one.key) : word ?? null)));
  return { row, problem, show: () => { box.checked = typeof valueAt(one.key) === "object" && valueAt(one.key) !== null; mark(row, one); } };
}

function firstOf(key) {
  if (key === "smooth") return { kind: "median", size: 3, sigma: null };
  return { high: state.verdicts?.high ?? state.levels.high, low: state.verdicts?.low ?? state.levels.low };
}

function shapesControl(one) {
  const count = el("span", { class: "row" });
  const zones = el("div", { class: "zones" });
  const { row, problem } = rowOf(one, count, one.key === "zones" ? zones : "");
  const show = () => {
    const value = valueAt(one.key);
    row.hidden = one.key.includes(".") && value === undefined;
    put(count, Array.isArray(value) ? `${value.length} shape${value.length === 1 ? "" : "s"}` : value ? "drawn" : "whole frame");
    if (one.key === "zones" && !zones.contains(document.activeElement)) zones.replaceChildren(...value.map((zone, index) => zoneRow(zone, index)));
    mark(row, one);
  };
  return { row, problem, show };
}

function zoneRow(zone, index) {
  const field = (label, value, put) => {
    const input = el("input", { type: "number", step: "any", value: value ?? "", "aria-label": `zone ${index + 1}, ${label}`, placeholder: "line's" });
    input.addEventListener("change", () => {
      const copy = structuredClone(state.regions);
      put(copy.zones[index], input.value === "" ? null : Number(input.value));
      change(copy);
    });
    return el("label", {}, label, input);
  };
  const level = (key) => (target, value) => {
    const high = key === "high" ? value : target.threshold?.high ?? state.verdicts.high;
    const low = key === "low" ? value : target.threshold?.low ?? null;
    target.threshold = high === null ? null : { high, low: low === null ? null : Math.min(low, high) };
  };
  return el("div", {}, `zone ${index + 1}: `, field("least area", zone.min_area_px, (target, value) => { target.min_area_px = value; }), field("high", zone.threshold?.high, level("high")), field("low", zone.threshold?.low, level("low")));
}

function mark(row, one) {
  row.classList.toggle("changed", JSON.stringify(valueAt(one.key)) !== JSON.stringify(valueAt(one.key, state.base)));
}

let area = 65536;
/** Pixels of the map that was looked at last; between two frames there is none. */
function mapArea() {
  if (state.look?.map) area = Math.max(state.look.map.width * state.look.map.height, 1);
  return area;
}

/** The ends of a slider: of the schema, or for scores and areas of what this recording holds. */
function ends(one) {
  if (one.scale === "score") {
    const most = Math.max(state.display[1], state.levels?.high ?? 0, highest());
    return [Math.min(state.display[0], 0), most * 1.02];
  }
  if (one.scale === "area") return [one.min ?? 0, mapArea()];
  return [one.min ?? 0, one.max ?? 20];
}

let looked = null;
let found = 0;

/** The highest of all maxima; looked for once in each list of them, which may be of 50,000 frames. */
function highest() {
  if (looked !== state.maxima) [looked, found] = [state.maxima, state.maxima.reduce((most, value) => Math.max(most, value ?? 0), 0)];
  return found;
}

function valueOf(one, share) {
  const [low, high] = ends(one);
  if (one.scale === "area") return Math.round(low + (high - low + 1) ** share - 1);
  return low + (high - low) * share;
}

function shareOf(one, value) {
  const [low, high] = ends(one);
  if (one.scale === "area") return Math.min(Math.log(value - low + 1) / Math.log(high - low + 1), 1);
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}

function stepped(one, value, steps) {
  const [low, high] = ends(one);
  if (one.scale === "area") return value + Math.sign(steps) * Math.max(1, Math.round(value * 0.04)) * Math.abs(steps);
  if (one.kind === "integer") return one.odd && one.off === 0 && value + steps === 1 ? value + 3 * steps : value + steps * (one.odd ? 2 : 1);
  return value + ((high - low) / 200) * steps;
}

/** A value that the schema takes: within its ends, whole, odd where only odd ones work. */
function bounded(one, value) {
  const [low, high] = [one.min ?? -Infinity, one.scale === "area" || one.scale === "score" ? Infinity : one.max ?? Infinity];
  let fits = Math.min(Math.max(value, low), high);
  if (one.kind !== "integer") return Number(fits.toPrecision(5));
  fits = Math.round(fits);
  if (!one.odd || (fits === 0 && one.off === 0)) return fits;
  if (fits < 3) return one.off === 0 && fits < 2 ? 0 : 3;
  const odd = fits % 2 ? fits : fits + 1;
  if (one.key === "smooth.size" && state.regions.smooth?.kind === "median") return Math.min(odd, 5);
  return odd;
}

function startOf(one) {
  if (one.scale === "score") return Number((state.verdicts?.low ?? state.levels.low ?? state.levels.high).toPrecision(5));
  if (one.key === "max_area_px") return Math.max(10000, (state.regions.min_area_px ?? 0) * 2);
  return { min_fill_ratio: 0.15, max_aspect_ratio: 6, min_solidity: 0.8, max_regions: 20, "smooth.sigma": 1 }[one.key] ?? one.min ?? 1;
}

export function showAll() {
  if (!state.regions) return;
  for (const [key, control] of made) {
    const now = [JSON.stringify(valueAt(key)), JSON.stringify(valueAt(key, state.base)), control.ends?.()].join();
    if (control.shown === now) continue; // one slider moves, and some thirty controls stand
    control.shown = now;
    control.show();
  }
}

function showProblems() {
  for (const control of made.values()) control.problem.hidden = true;
  for (const { key, path, text } of state.problems) {
    const control = made.get(path) ?? made.get(key) ?? made.get("threshold");
    if (!control) continue;
    put(control.problem, text);
    control.problem.hidden = false;
  }
}

on("regions opened", showAll);
on("problems", showProblems);
