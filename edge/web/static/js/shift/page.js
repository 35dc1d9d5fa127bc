// Shift: what changed on a line, the course of each statistic, and the answers as commands to copy.
import { ageText, openChannel, whyStale } from "../channel.js";
import { byId as id, call, el, pageData, put } from "../dom.js";
import { moment } from "../clock.js";
import { number } from "../words.js";
import { showCommands } from "./commands.js";
import { Courses } from "./courses.js";
import { Report } from "./report.js";

const { camera, has_review: hasReview } = pageData();
const courses = new Courses(id("courses"));
const LEVELS = { usual: "✓", info: "△", warn: "✕", lock: "✕✕" };
let lineState = null;
let at = 0;
let asking = 0;

const channel = openChannel([`state/${camera}`], {
  state: (payload) => {
    const before = lineState?.block_ended_ns;
    lineState = payload;
    at = performance.now();
    showCause();
    if (before !== undefined && before !== lineState.block_ended_ns) ask();
  },
  none: () => put(id("age"), "this browser has no WebSocket, which the page needs"),
});

/** Asks for the course and all that belongs to it; a later call overtakes an earlier one. */
async function ask() {
  const mine = ++asking;
  try {
    const found = await call(`/api/v1/cameras/${camera}/drift?since=${id("since").value}`);
    if (mine === asking) show(found);
  } catch (error) {
    if (mine === asking) put(id("coursenote"), error.message);
  }
}

function show(found) {
  const { course } = found;
  measures = found.measures;
  advice = found.advice;
  showCause();
  showCommands(id("commands"), found.commands);
  courses.show(course);
  put(id("coursenote"), courseText(course));
  id("namedbox").hidden = found.named.length === 0;
  id("named").replaceChildren(
    ...found.named.map((one) =>
      el("tr", {}, el("td", {}, moment(one.at_ns, { date: true })), el("td", {}, one.over ? "over" : `${LEVELS[one.level] ?? ""} ${one.level}`), el("td", {}, one.over ? "as it was" : one.words)),
    ),
  );
}

let measures = null;
let advice = [];

function showCause() {
  const drift = lineState?.drift ?? null;
  const level = drift?.level ?? "usual";
  const text = !lineState
    ? "asking …"
    : drift
      ? `${LEVELS[level]} ${level}: ${drift.words}`
      : measures === false
        ? "This line doesn't measure: its config has no drift. The commands beside this say how it learns what is usual."
        : lineState.block_ended_ns
          ? `${LEVELS.usual} as usual: no statistic lies beyond its band for long`
          : "No block of frames was measured yet: the first one comes after drift.every x drift.block frames.";
  put(id("cause"), text);
  id("cause").className = `cause ${drift ? level : lineState?.block_ended_ns ? "usual" : ""}`;
  const texts = drift ? advice.map((one) => `${one.words}: ${one.advice}`) : [];
  if (id("advice").dataset.shown !== texts.join("\n")) {
    id("advice").dataset.shown = texts.join("\n");
    id("advice").replaceChildren(...texts.map((one) => el("li", {}, one)));
  }
  const facts = drift
    ? [["since", moment(drift.since_ns, { date: true })], ["statistic", drift.statistic.replaceAll("_", " ") || "–"], ["deviates by", `${number(drift.z)} of the usual blocks' deviations`]]
    : [];
  id("facts").replaceChildren(...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function courseText(course) {
  const count = course.ended_ns.length;
  if (!count) return measures ? "No block in this time. Each is the median of drift.block measured frames; lines with outputs.jsonl keep them in the log." : "Nothing is measured.";
  const thinned = course.every > 1 ? `, one of ${course.every} is drawn` : "";
  return `${count} blocks${thinned}. A point is the median of a block, the band is where it usually lies; farthest from its band's middle first.`;
}

function showAge() {
  const why = whyStale(channel, lineState, at);
  put(id("age"), why ?? ageText(lineState, at));
  id("age").classList.toggle("red", Boolean(why));
  document.body.classList.toggle("isstale", Boolean(why));
}

setInterval(showAge, 200);
id("since").addEventListener("change", ask);
document.addEventListener("edge:clock", () => {
  courses.redraw();
  ask();
});
ask();
new Report(camera, hasReview).start();
