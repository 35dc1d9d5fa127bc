// Tuning: opens a recording, joins the parts, and holds the keys of the whole page.
import { byId, call, el, pageData, put } from "../dom.js";
import { connect, disconnect, look } from "./link.js"; // the first to hear of a change: the worker is asked before anything is drawn
import { build } from "./controls.js";
import { fit, load } from "./stage.js";
import { applyLinked } from "./preset.js";
import { forgetSteps, on, redo, state, tell, undo } from "./state.js";
import { go, nextChanged } from "./strip.js";
import "./shapes.js";
import "./charts.js";
import "./report.js";

const { camera, controls } = pageData();
const status = (text) => put(byId("status"), text);

async function list() {
  const found = await call(`/api/v1/cameras/${camera}/recordings`);
  byId("recording").replaceChildren(...found.map((one) => el("option", { value: one.id }, one.name)));
  if (!found.length) {
    byId("open").disabled = true;
    status("No recording of this camera is here: set outputs.evidence in its config, or recordings in web.yaml and edge record.");
    return;
  }
  const { searchParams } = new URL(location.href);
  if (searchParams.get("recording")) byId("recording").value = searchParams.get("recording");
  for (const key of ["since", "until"]) if (searchParams.get(key)) byId(key).value = searchParams.get(key);
  if (searchParams.has("recording") || found.length === 1) await open();
}

const nanoseconds = (id) => (byId(id).value ? String(BigInt(new Date(byId(id).value).getTime()) * 1000000n) : null);

let opening = 0;

/** Open the recording that is chosen; `keep` goes on with the controls as they stand, after a worker ended. */
async function open({ keep = false } = {}) {
  const mine = ++opening;
  status("Opening …");
  const late = setTimeout(() => status("Opening … It waits for a core: the lines come first."), 3000);
  try {
    const before = state.id;
    const opened = await call("/api/v1/tuning", { method: "POST", body: { camera, recording: byId("recording").value, since_ns: nanoseconds("since"), until_ns: nanoseconds("until") } });
    if (mine !== opening) { // another one was chosen meanwhile
      call(`/api/v1/tuning/${opened.id}`, { method: "DELETE" }).catch(() => {});
      return;
    }
    disconnect();
    if (before) call(`/api/v1/tuning/${before}`, { method: "DELETE" }).catch(() => {}); // it may be gone already
    Object.assign(state, { id: opened.id, frames: opened.frames, base: opened.regions, levels: opened.levels, display: opened.display, configName: opened.config, configSha: opened.config_sha256, old: "?".repeat(opened.frames.length), new: "?".repeat(opened.frames.length), maxima: [], look: null, funnel: [], verdicts: null, trouble: null, isEnded: false });
    if (!keep) {
      state.regions = structuredClone(opened.regions);
      forgetSteps();
      state.view = Math.min(Number(new URL(location.href).searchParams.get("frame") ?? 1) - 1 || 0, opened.frames.length - 1);
    }
    state.view = Math.min(Math.max(state.view, 0), opened.frames.length - 1);
    byId("notes").replaceChildren(...opened.notes.map((note) => el("li", {}, note)));
    byId("notes").hidden = !opened.notes.length;
    byId("work").hidden = false;
    build(controls);
    tell("opened");
    state.sizes = { width: 0, height: 0 };
    await load();
    if (mine !== opening) return;
    fit();
    connect(() => ended());
    status((keep ? null : applyLinked()) ?? "");
  } catch (error) {
    if (mine === opening) status(error.message);
  } finally {
    clearTimeout(late);
  }
}

function ended() {
  state.isEnded = true;
  const again = el("button", { type: "button", on: { click: () => open({ keep: true }) } }, "Open it again");
  byId("status").replaceChildren(`${state.trouble ?? "The connection has ended."} What you changed stays. `, again);
}

byId("open").addEventListener("click", () => open());
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("before").addEventListener("click", () => jump(-1));
byId("after").addEventListener("click", () => jump(1));

function jump(way) {
  const to = nextChanged(way);
  if (to === null) status(`No changed frame ${way > 0 ? "after" : "before"} this one${state.isJudged ? "." : " yet: frames are still being judged."}`);
  else {
    status("");
    go(to);
  }
}

let holding = false;

function hold(down) {
  if (holding === down || !state.id) return;
  holding = down;
  byId("hold").setAttribute("aria-pressed", String(down));
  document.documentElement.dataset.held = down ? "old" : "";
  look({ old: down });
}

byId("hold").addEventListener("pointerdown", () => hold(true));
for (const end of ["pointerup", "pointerleave", "blur"]) byId("hold").addEventListener(end, () => hold(false));
byId("hold").addEventListener("keydown", (event) => (event.key === " " || event.key === "Enter") && hold(true));
byId("hold").addEventListener("keyup", () => hold(false));

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
  if ((event.ctrlKey || event.metaKey) && !typing && ["z", "y", "Z"].includes(event.key)) {
    event.preventDefault();
    if (event.key === "z") undo();
    else redo();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") jump(1);
  else if (event.key === "p") jump(-1);
  else if (event.key === "o") hold(true);
  else if (event.key === ",") go(state.view - 1);
  else if (event.key === ".") go(state.view + 1);
});
document.addEventListener("keyup", (event) => event.key === "o" && hold(false));

/** A page that goes away needs its session no more: the worker keeps tables of every frame for it. */
addEventListener("pagehide", () => {
  if (state.id) fetch(`/api/v1/tuning/${state.id}`, { method: "DELETE", keepalive: true }).catch(() => {});
});

on("view", () => look());
on("opened view", () => {
  const frame = state.frames[state.view];
  byId("to-review").hidden = !frame;
  if (frame) byId("to-review").href = `/cam/${camera}/review?${new URLSearchParams({ recording: byId("recording").value, numbers: frame.number })}`;
});
on("waiting", () => status(state.isWaiting ? "Waiting for a core: the lines come first." : ""));
on("trouble", () => status(state.trouble));
list().catch((error) => status(error.message));
