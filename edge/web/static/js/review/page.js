// Review: joins the parts, and holds the keys of the whole page.
import { byId, el, put } from "../dom.js";
import "./exports.js";
import { begin, recount } from "./filters.js";
import { shape } from "./gallery.js";
import { canUndo, kindWord, own, say, undo } from "./labels.js";
import { begin as draw, draws } from "./shapes.js";
import { current, go, mayLabel, on, state } from "./state.js";
import { count, discard, flush, stuck, trouble } from "./unsent.js";
import { fit } from "./viewer.js";

const WORDS = [["g", "good", "Good"], ["d", "defect", "Defect"], ["u", "unsure", "Unsure"]];
const keys = byId("keys");
let naming = null;

function button(key, text, act, attributes = {}) {
  return el("button", { type: "button", on: { click: () => { act(); if (!naming && !draws()) byId("gallery").focus(); } }, ...attributes }, el("kbd", { "aria-hidden": "true" }, key), text);
}

/** One button for each word and kind; the one that stands for this person's word is pressed. */
function writeKeys() {
  if (!mayLabel) {
    keys.replaceChildren(el("span", { class: "small" }, "Your role looks; a reviewer labels."));
    return;
  }
  if (naming) return;
  const mine = own(current());
  const pressed = (label, kind) => String(mine?.label === label && (kind === undefined ? !mine.kinds.length : mine.kinds.includes(kind)));
  keys.replaceChildren(
    ...WORDS.map(([key, label, text]) => button(key, text, () => say({ label, kinds: [] }), { "aria-pressed": pressed(label), "data-label": label })),
    ...state.kinds.slice(0, 9).map((kind, n) => button(n + 1, kind, () => say(kindWord(n + 1, false)), { "aria-pressed": pressed("defect", kind), "data-kind": kind })),
    button("n", "new kind", name), el("span", { class: "gap" }),
    button("b", "box", () => draw("box")), button("p", "polygon", () => draw("polygon")), el("span", { class: "gap" }),
    button("x", "take back", () => say(null), { disabled: !mine }), button("z", "undo", undo, { disabled: !canUndo(), id: "undo" }),
  );
}

/** A new kind of defect is named here; it takes the next number. */
function name() {
  naming = el("input", { type: "text", maxlength: 48, "aria-label": "Name of the new kind of defect", placeholder: "name, then Enter" });
  const end = (kind) => {
    naming = null;
    if (kind) say({ label: "defect", kinds: [kind] });
    writeKeys();
    byId("gallery").focus();
  };
  naming.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end("");
    else if (event.key === "Enter") end(naming.value.trim());
  });
  naming.addEventListener("blur", () => naming && end(""));
  keys.replaceChildren(naming);
  naming.focus();
}

function toggleBoxes() {
  document.body.classList.toggle("hide-boxes");
}

const ACTS = {
  ArrowLeft: () => go(state.at - 1), ArrowRight: () => go(state.at + 1),
  ArrowUp: () => go(state.at - shape.columns), ArrowDown: () => go(state.at + shape.columns),
  PageUp: () => go(state.at - shape.columns * shape.rows), PageDown: () => go(state.at + shape.columns * shape.rows),
  Home: () => go(0), End: () => go(state.ids.length - 1),
  g: () => say({ label: "good", kinds: [] }), d: () => say({ label: "defect", kinds: [] }), u: () => say({ label: "unsure", kinds: [] }),
  x: () => say(null), z: undo, n: () => mayLabel && name(), b: () => draw("box"), p: () => draw("polygon"), o: toggleBoxes, 0: fit,
};

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), select, textarea") || byId("work").hidden) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || draws()) return;
  const digit = /^Digit([1-9])$/.exec(event.code) ?? /^([1-9])$/.exec(event.key);
  const act = ACTS[event.key];
  if (digit) {
    const word = kindWord(Number(digit[1]), event.shiftKey);
    if (word) say(word, { moves: !event.shiftKey });
  } else if (act) act();
  else return;
  event.preventDefault();
});

let written = "";

function writeUnsent() {
  const box = byId("unsent");
  const waiting = count();
  const refused = trouble.refused.at(-1);
  const now = JSON.stringify([waiting, trouble.text, trouble.refused, stuck()]);
  if (now === written) return; // a button that is made anew under a finger isn't pressed
  written = now;
  box.hidden = !(waiting && trouble.text) && !refused;
  const parts = [];
  if (waiting && trouble.text) parts.push(`${waiting} label${waiting === 1 ? " is" : "s are"} kept here and sent again: ${trouble.text} `, el("button", { type: "button", on: { click: () => flush(true) } }, "Send now"));
  const left = stuck();
  if (left && waiting && trouble.text) parts.push(" ", el("button", { type: "button", title: "Labels that the server says it can't take now", on: { click: discard } }, `Give up ${left}`));
  if (refused) parts.push(` ${trouble.refused.length} refused: ${refused} `, el("button", { type: "button", on: { click: () => { trouble.refused.length = 0; writeUnsent(); } } }, "OK"));
  box.replaceChildren(...parts);
}

let recounting = null;
on("accepted", () => {
  clearTimeout(recounting);
  recounting = setTimeout(() => recount().catch(() => {}), 400);
});
on("unsent refused accepted", writeUnsent);
on("at found detail kinds", writeKeys);
on("trouble", (text) => put(byId("status"), text));
writeUnsent();
begin();
