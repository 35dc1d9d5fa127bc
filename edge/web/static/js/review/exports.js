// Exports of what is labelled: begun here, followed while they are written, with the commands that take them.
import { byId, call, el, pageData, put } from "../dom.js";
import { moment } from "../clock.js";
import { camera, mayLabel } from "./state.js";
import { count, trouble } from "./unsent.js";

const path = `/api/v1/exports/${camera}`;
const said = (text) => put(byId("export-status"), text);
let following = null;

async function begin() {
  while (count() && !trouble.text) {
    said("Waiting for the last labels to be written …");
    await new Promise((go) => setTimeout(go, 150));
  }
  if (count()) return said(`${count()} labels are not written yet: ${trouble.text}`);
  said("");
  try {
    await call(path, { method: "POST", body: {} });
    await list();
  } catch (error) {
    said(error.message);
  }
  return undefined;
}

async function list() {
  clearTimeout(following);
  try {
    const all = await call(path);
    byId("exports").replaceChildren(...all.map(written));
    if (all.some((one) => one.state === "running")) following = setTimeout(list, 700);
  } catch (error) {
    said(error.message);
  }
}

function written(one) {
  const folders = Object.entries(one.counts).map(([folder, frames]) => `${frames.toLocaleString("en")} ${folder}`);
  if (one.masks) folders.push(`${one.masks.toLocaleString("en")} mask${one.masks === 1 ? "" : "s"}`);
  const left = Object.entries(one.left_out).map(([why, frames]) => `${frames.toLocaleString("en")} ${why}`);
  const about = el("p", { class: "small" }, `${moment(one.at, { date: true })} by ${one.by}: ${folders.join(", ")}${left.length ? `; left out: ${left.join(", ")}` : ""}`);
  const card = el("section", { class: "export", "data-state": one.state, "data-name": one.name }, el("h3", {}, one.name), about);
  if (one.state === "running") card.append(el("progress", { max: one.total, value: one.done, "aria-label": `${one.done} of ${one.total} frames` }));
  else if (one.state === "failed") card.append(el("p", { class: "wrong" }, one.error));
  else card.append(...ready(one));
  return card;
}

function ready(one) {
  const good = (one.counts["train/good"] ?? 0) + (one.counts["test/good"] ?? 0);
  const bad = Object.keys(one.counts).some((folder) => folder.startsWith("test/") && folder !== "test/good");
  const commands = [];
  if (good) commands.push(`edge fit ${one.folder} -o models/new`, `edge calibrate ${one.folder} -c LINE.yaml -o ${one.camera}.calibration.yaml`);
  if (one.counts["test/good"] && bad) commands.push(`edge evaluate ${one.folder} -m models/new`, `edge check LINE.yaml --golden ${one.folder}`);
  const parts = [];
  if (commands.length) parts.push(el("pre", {}, commands.join("\n")));
  if (!good) parts.push(el("p", { class: "small" }, "No frame is labelled good: edge fit and edge calibrate learn from good ones."));
  else if (!bad || !one.counts["test/good"]) parts.push(el("p", { class: "small" }, `edge evaluate and check --golden need ${bad ? "good frames of two parts at least" : "defects, too"}.`));
  const remove = el("button", { type: "button", class: "quiet", on: { click: () => call(`${path}/${one.name}`, { method: "DELETE" }).then(list, (error) => said(error.message)) } }, "Delete");
  parts.push(el("p", {}, el("a", { href: `${path}/${one.name}.tar`, download: `${one.name}.tar` }, "Download as tar"), " ", remove));
  return parts;
}

if (mayLabel) {
  put(byId("set-folder"), pageData().set);
  byId("export").addEventListener("click", begin);
  byId("exporting").addEventListener("toggle", () => byId("exporting").open && list());
}
