// Which frames: the form, the address bar and the search say the same, so that a link opens what somebody looked at.
import { call, el, put } from "../dom.js";
import { api, camera, found, mayLabel, state, tell } from "./state.js";
import { decides } from "./labels.js";

const form = document.getElementById("filters");
const status = (text) => put(document.getElementById("status"), text);
const LINKED = ["seq", "numbers"]; // no field of the form: links of other pages have them
let asked = 0;

function words() {
  const given = new URLSearchParams([...new FormData(form)].filter(([, text]) => text.trim()));
  const now = new URL(location.href).searchParams;
  for (const name of LINKED) if (now.get(name)) given.set(name, now.get(name));
  return given;
}

/** What frames can be searched by, into the form; what was chosen stays chosen. */
export async function refresh() {
  const choices = await call(`${api}/choices`);
  fill("recording", choices.recordings.map((one) => [one.id, one.name]), "all");
  fill("reason", choices.reasons.map((one) => [one, one]), "any");
  fill("dropped", choices.filters.map((one) => [one, one]), "any");
  state.kinds = [...new Set([...choices.kinds, ...state.kinds])];
  fill("kind", state.kinds.map((one) => [one, one]), "any");
  counts(choices);
  tell("kinds");
  return choices;
}

function fill(name, choices, any) {
  const field = form.elements.namedItem(name);
  const now = field.value || new URL(location.href).searchParams.get(name) || "";
  field.replaceChildren(el("option", { value: "" }, any), ...choices.map(([value, shown]) => el("option", { value }, shown)));
  field.value = choices.some(([value]) => value === now) ? now : "";
}

function counts({ frames, counts: of }) {
  const parts = ["good", "defect", "unsure", "disputed"].filter((one) => of[one]).map((one) => `${of[one].toLocaleString("en")} ${one}`);
  put(document.getElementById("counts"), `${(frames ?? 0).toLocaleString("en")} frame${frames === 1 ? "" : "s"} with pictures; labelled: ${parts.join(", ") || "none yet"}`);
}

export async function recount() {
  const labelled = await call(`/api/v1/labels/${camera}`);
  counts({ ...labelled, frames: known });
}
let known = 0;

/** Search, and show what is found. Words that are no search are said, and what was there stays. */
export async function search() {
  const number = ++asked;
  const given = words();
  const url = new URL(location.href);
  url.search = given;
  history.replaceState(null, "", url);
  status("Looking for frames …");
  writeChosen(given);
  try {
    const [choices, { ids, cut }] = await Promise.all([refresh(), call(`${api}?${given}`)]);
    if (number !== asked) return;
    known = choices.frames;
    decides.on = mayLabel && given.get("label") === "disputed";
    document.getElementById("work").hidden = !ids.length;
    found(ids);
    status(sentence(ids.length, cut, choices.frames, given));
  } catch (error) {
    if (number === asked) status(error.message);
  }
}

function sentence(count, cut, all, given) {
  if (!all) return "No frame of this camera has a picture yet: set outputs.evidence in its config, or recordings in web.yaml and edge record.";
  if (!count) return "No frame fits. Take a filter away.";
  const shown = `${count.toLocaleString("en")} frame${count === 1 ? "" : "s"}${cut ? ", the newest of more" : ""}`;
  return decides.on ? `${shown}. What you say here decides: the words of others before it don't count until it is taken back.` : `${shown}${[...given].length ? " fit." : "."}`;
}

document.getElementById("filtering").open = innerWidth > 600 || location.search.length > 1;

function read() {
  const { searchParams } = new URL(location.href);
  for (const field of form.elements) {
    if (!field.name || !searchParams.has(field.name)) continue;
    if (field.type === "checkbox") field.checked = searchParams.get(field.name) === field.value;
    else field.value = searchParams.get(field.name);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});

/** A link may name frames one by one; a button says so, and takes that away. */
function writeChosen(given) {
  const button = document.getElementById("chosen");
  const names = LINKED.flatMap((name) => (given.get(name) ?? "").split(",").filter(Boolean));
  button.hidden = !names.length;
  put(button, `only ${names.length === 1 ? "one chosen frame" : `${names.length.toLocaleString("en")} chosen frames`} ✕`);
}
document.getElementById("chosen").addEventListener("click", () => {
  const url = new URL(location.href);
  for (const name of LINKED) url.searchParams.delete(name);
  history.replaceState(null, "", url);
  search();
});
form.addEventListener("change", (event) => event.target.matches("select, input[type=checkbox]") && form.requestSubmit());

export async function begin() {
  read();
  try {
    await refresh(); // choices that a link names must be there before it is read again
  } catch (error) {
    status(error.message);
  }
  read();
  await search();
}
