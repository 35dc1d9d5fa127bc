// Fleet: a tile for each line, trouble first on demand; with ?kiosk=1 one line after the other fills the screen.
import { ageText, openChannel, whyStale } from "./channel.js";
import { el, pageData, put } from "./dom.js";
import { count, faultText, number, verdictText } from "./words.js";
import { Picture } from "./picture.js";

const KIOSK_MS = 10000;
const grid = document.getElementById("tiles");
const empty = document.getElementById("empty");
const sort = document.getElementById("sort");
const tiles = new Map();
const kiosk = new URLSearchParams(location.search).has("kiosk");
document.body.classList.toggle("kiosk", kiosk);

const channel = openChannel(
  ["fleet", ...pageData().cameras.map((camera) => `preview/${camera}`)],
  {
    fleet: (payload) => payload.forEach(hear),
    preview: showPicture,
    none: () => put(empty, "This browser has no WebSocket, which the page needs: any browser since 2012 has."),
  },
  { fps: 1 },
);

/** Paints a picture with its own record's boxes and verdict: the tile's head may be of a later part by then. */
async function showPicture({ record, size }, blob, camera) {
  const tile = tiles.get(camera);
  const done = await tile?.picture.show(record, blob, size);
  if (done !== "painted" && done !== "broken") return;
  put(tile.fields.pictured, `picture: ${verdictText(record.verdict)}, seq ${record.seq}`);
  tile.fields.pictured.hidden = done === "broken";
}

function make(camera) {
  const field = (name) => el("dd", { "data-field": name });
  const row = (label, name) => [el("dt", {}, label), field(name)];
  const root = el(
    "a",
    { class: "tile card", href: `/cam/${camera}`, "data-camera": camera },
    el("span", { class: "tilehead" }, el("strong", {}, camera), el("span", { class: "verdict", "data-field": "verdict" }, "–")),
    el(
      "span",
      { class: "picture" },
      el("canvas", { role: "img", "aria-label": "no picture yet", hidden: true }),
      document.createElementNS("http://www.w3.org/2000/svg", "svg"),
      el("span", { class: "empty" }, "no picture yet"),
    ),
    el("span", { class: "small", "data-field": "pictured", hidden: true }),
    el("span", { class: "stale", "data-field": "stale", hidden: true }),
    el("span", { class: "trouble", "data-field": "trouble", hidden: true }),
    el(
      "dl",
      { class: "facts" },
      row("state", "state"),
      row("recipe", "recipe"),
      row("parts/min", "rate"),
      row("p50", "p50"),
      row("fail", "fail"),
      row("invalid", "invalid"),
      row("lost", "lost"),
      row("ring", "ring"),
    ),
  );
  root.querySelector("svg").setAttribute("aria-hidden", "true");
  const fields = Object.fromEntries([...root.querySelectorAll("[data-field]")].map((found) => [found.dataset.field, found]));
  const tile = { camera, root, fields, picture: new Picture(root.querySelector(".picture")), lineState: null, at: 0 };
  tiles.set(camera, tile);
  grid.append(root);
  channel.add(`preview/${camera}`);
  return tile;
}

function hear(lineState) {
  const tile = tiles.get(lineState.camera) ?? make(lineState.camera);
  tile.lineState = lineState;
  tile.at = performance.now();
  const { fields } = tile;
  put(fields.verdict, verdictText(lineState.record?.verdict));
  fields.verdict.className = `verdict ${lineState.record?.verdict ?? ""}`;
  put(fields.state, [lineState.line_state ?? "not heard yet", lineState.source_state, lineState.simulated ? "simulated" : null].filter(Boolean).join(" · "));
  put(fields.recipe, lineState.recipe ?? "–");
  put(fields.rate, number(lineState.parts_per_minute));
  put(fields.p50, lineState.p50_ms === null ? "–" : `${number(lineState.p50_ms)} ms`);
  put(fields.fail, count(lineState.counts.fail));
  put(fields.invalid, count(lineState.counts.invalid));
  put(fields.lost, count(lineState.lost));
  put(fields.ring, number(lineState.ring_fill));
  const trouble = [...lineState.faults.map(faultText), lineState.drift && lineState.drift.level !== "info" ? `drift: ${lineState.drift.words}` : null].filter(Boolean).join("\n");
  put(fields.trouble, trouble);
  fields.trouble.hidden = !trouble;
  if (!lineState.pictures) {
    tile.picture.clear(lineState.running ? "previews are off: outputs.zmq.preview" : "no picture yet");
    fields.pictured.hidden = true;
  }
  look(tile);
}

function look(tile) {
  const why = whyStale(channel, tile.lineState, tile.at);
  put(tile.fields.stale, why ?? "");
  tile.fields.stale.hidden = !why;
  tile.root.classList.toggle("isstale", Boolean(why));
  tile.root.title = ageText(tile.lineState, tile.at);
  tile.weight = (why ? 4 : 0) + (tile.lineState?.faults.length ? 2 : 0) + (tile.lineState?.record?.verdict === "fail" ? 1 : 0);
}

function arrange() {
  const list = [...tiles.values()];
  list.sort((a, b) => (sort.checked ? b.weight - a.weight : 0) || a.camera.localeCompare(b.camera));
  list.forEach((tile, index) => {
    if (grid.children[index] !== tile.root) grid.insertBefore(tile.root, grid.children[index] ?? null);
  });
  empty.hidden = list.length > 0;
}

setInterval(() => {
  tiles.forEach(look);
  arrange();
}, 200);
sort.addEventListener("change", arrange);

if (kiosk) {
  let turn = 0;
  const next = () => {
    const list = [...grid.children];
    list.forEach((root, index) => root.classList.toggle("front", index === turn % list.length));
    turn++;
  };
  setTimeout(next, 1000); // the tiles are there by then
  setInterval(next, KIOSK_MS);
}
