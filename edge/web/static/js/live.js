// Live: one line's picture, record, rates and strip. Everything shown at once belongs to one record.
import { ageText, openChannel, whyStale } from "./channel.js";
import { byId as id, call, el, pageData, put } from "./dom.js";
import { moment } from "./clock.js";
import { Picture } from "./picture.js";
import { ScoreChart } from "./score_chart.js";
import { showSide } from "./side.js";
import { Strip } from "./strip.js";
import { number, verdictText } from "./words.js";

const PICTURES_KEPT = 150;
const LISTED = 100;
const { camera } = pageData();
const picture = new Picture(id("view").querySelector(".picture"));
const failPicture = new Picture(id("failpicture"));
const chart = new ScoreChart(id("chart"));
const strip = new Strip(id("strip"), (record) => step(record));
const kept = new Map(); // pictures by instance and seq, the newest of them: stepping back shows what was seen
let lineState = null;
let at = 0;
let frozen = false;

const key = (record) => `${record.instance ?? record.instance_id}/${record.seq}`;
const channel = openChannel([`state/${camera}`, `records/${camera}`, `preview/${camera}`], {
  state: hearState,
  records: (payload) => {
    if (payload.snapshot) strip.replace(payload.snapshot);
    else strip.add(payload.new);
    if (!frozen) strip.choose(null);
    chart.show(strip.records);
    if (!lineState?.pictures && !frozen && strip.records.length) showBrief(strip.records.at(-1));
  },
  preview: hearPicture,
  none: () => put(id("age"), "this browser has no WebSocket, which the page needs"),
});

function hearState(payload) {
  lineState = payload;
  at = performance.now();
  showSide(lineState);
  id("recipe").hidden = !lineState.recipe;
  put(id("recipe"), lineState.recipe ? `recipe ${lineState.recipe}` : "");
  id("simulated").hidden = !lineState.simulated;
  const fail = lineState.last_fail;
  if (fail) put(id("failtext"), `seq ${fail.seq}, part ${fail.part ?? "–"}, ${moment(fail.at)}, score ${number(fail.map_max)}`);
  if (!lineState.pictures) picture.clear(lineState.running ? "previews are off: set outputs.zmq.preview in the line's config" : "no picture: the daemon is not running");
}

function hearPicture(head, blob) {
  const { record, size } = head;
  kept.set(key(record), { record, blob, size });
  if (kept.size > PICTURES_KEPT) kept.delete(kept.keys().next().value);
  if (record.verdict === "fail") failPicture.show(record, blob, size);
  if (!frozen) showRecord(record, blob, size);
}

/** Shows a whole record and its picture, which came in one message: what is said changes when the picture is painted. */
async function showRecord(record, blob, size) {
  if (blob && (await picture.show(record, blob, size)) === "dropped") return;
  showHead(record, record.created_ns, record.part_id ?? record.part_id_first);
  id("regions").replaceChildren(...(record.regions ?? []).slice(0, LISTED).map(regionRow));
  const dropped = Object.entries(record.regions_dropped ?? {});
  const beyond = (record.regions?.length ?? 0) - LISTED;
  const words = [beyond > 0 ? `and ${beyond} more regions` : "", dropped.length ? `dropped by filters: ${dropped.map(([name, n]) => `${name} ${n}`).join(", ")}` : ""];
  put(id("dropped"), words.filter(Boolean).join("; "));
  if (!blob && lineState?.pictures) picture.clear("no picture of this record was sent: previews show five a second, and fails");
}

function showBrief(record) {
  showHead(record, record.at, record.part);
}

function showHead(record, moment_ns, part) {
  put(id("verdict"), verdictText(record.verdict));
  id("verdict").className = `verdict ${record.verdict}`;
  put(id("reason"), record.reason ?? "");
  put(id("seq"), record.seq);
  put(id("part"), part ?? "–");
  put(id("at"), moment(moment_ns));
  const share = record.threshold ? record.map_max / record.threshold : null;
  put(id("score"), share === null ? "no score" : `score ${number(record.map_max)} of threshold ${number(record.threshold)} (${share < 10 ? `${Math.round(share * 100)} %` : `${Math.round(share)} times`})`);
  id("gauge").style.width = `${Math.min(Math.max((share ?? 0) * 66.6, 0), 100)}%`;
  id("gauge").classList.toggle("over", record.verdict === "fail");
}

function regionRow(region) {
  const cell = (value) => el("td", { class: "n" }, number(value));
  const { score_max, score_mean, area_px, fill_ratio, aspect_ratio, solidity } = region;
  return el("tr", {}, el("td", { class: "n" }, region.id), ...[score_max, score_mean, area_px, fill_ratio, aspect_ratio, solidity].map(cell), el("td", {}, region.bbox_xyxy.join(" ")));
}

function freeze(on) {
  frozen = on;
  if (on) picture.hold();
  id("freeze").setAttribute("aria-pressed", on);
  put(id("freeze"), on ? "Go on" : "Freeze");
  id("view").classList.toggle("frozen", on);
  if (!on) strip.choose(null);
  else if (!strip.chosen) strip.choose(strip.records.find((record) => String(record.seq) === id("seq").textContent) ?? strip.beside(0));
}

/** Freezes and shows another record of the strip; whole, as the server still has it. */
async function step(record) {
  if (!record) return;
  if (!frozen) freeze(true);
  strip.choose(record);
  const seen = kept.get(key(record));
  if (seen) return showRecord(seen.record, seen.blob, seen.size);
  showBrief(record);
  id("regions").replaceChildren();
  put(id("dropped"), "");
  picture.clear("no picture of this record was sent: previews show five a second, and fails");
  if (record.kind !== "inspection" || !record.instance) return;
  try {
    const whole = await call(`/api/v1/cameras/${camera}/records/${encodeURIComponent(record.instance)}/${record.seq}`);
    if (strip.chosen === record) showRecord(whole, null, null);
  } catch (error) {
    if (strip.chosen === record) put(id("dropped"), error.message);
  }
}

const KEYS = {
  " ": () => freeze(!frozen),
  ArrowLeft: () => step(strip.beside(-1)),
  ArrowRight: () => step(strip.beside(1)),
  Home: () => step(strip.records[0]),
  End: () => freeze(false),
  f: () => step(strip.fail(-1)),
  F: () => step(strip.fail(1)),
};
document.addEventListener("keydown", (event) => {
  const inField = event.target.closest("input, select, textarea, button, a") !== null;
  if (inField || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
id("freeze").addEventListener("click", () => freeze(!frozen));
id("back").addEventListener("click", KEYS.ArrowLeft);
id("on").addEventListener("click", KEYS.ArrowRight);

setInterval(() => {
  const why = whyStale(channel, lineState, at);
  put(id("age"), why ?? ageText(lineState, at));
  id("age").className = why ? "age red" : "age";
  document.body.classList.toggle("isstale", Boolean(why));
}, 200);
