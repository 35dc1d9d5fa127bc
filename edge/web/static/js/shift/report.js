// A report of edge shift: its first line, what moved, and the frames of both sets as points to select.
import { byId as id, call, el, put } from "../dom.js";
import { number } from "../words.js";
import { showCommands } from "./commands.js";
import { Scatter } from "./scatter.js";

const MOST_LISTED = 200;
const MOST_COLOURS = 8;

export class Report {
  constructor(camera, hasReview) {
    Object.assign(this, { camera, hasReview });
    this.scatter = new Scatter(id("scatter"), (indices) => this.list(indices), (index, event) => this.hover(index, event));
    id("report").addEventListener("change", () => this.open(id("report").value));
    id("view").addEventListener("change", () => this.draw());
    id("colour").addEventListener("change", () => this.draw());
    id("clear").addEventListener("click", () => this.scatter.select([]));
    id("closer").addEventListener("click", () => this.scatter.zoom(1.5));
    id("farther").addEventListener("click", () => this.scatter.zoom(1 / 1.5));
    id("whole").addEventListener("click", () => this.scatter.whole());
  }

  /** Asks which reports there are, and opens the newest. */
  async start() {
    try {
      const { reports, folders } = await call(`/api/v1/cameras/${this.camera}/shifts`);
      put(id("noreports"), whyNone(reports, folders));
      id("noreports").hidden = reports.length > 0;
      id("reportbox").hidden = reports.length === 0;
      id("report").replaceChildren(...reports.map((one) => el("option", { value: one.id }, `${one.created ?? ""} ${one.sets.join(" → ")} (${one.name})`)));
      if (reports.length) await this.open(reports[0].id);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    id("noreports").hidden = false;
    put(id("noreports"), error.message);
  }

  async open(which) {
    const path = `/api/v1/cameras/${this.camera}/shifts/${which}`;
    this.path = path;
    try {
      const report = await call(path);
      if (path !== this.path) return;
      this.report = report;
      put(id("headline"), report.headline);
      put(id("apart"), apartText(report));
      id("notes").replaceChildren(...(report.notes ?? []).map((note) => el("li", {}, note)));
      id("moved").replaceChildren(...report.statistics.map(row));
      put(id("nameA"), report.sets[0]?.name);
      put(id("nameB"), report.sets[1]?.name);
      this.points = null;
      const points = await call(`${path}/points`);
      if (path !== this.path) return;
      this.points = points;
      id("pointbox").hidden = false;
      id("nopoints").hidden = true;
      this.choices();
      this.scatter.select([]);
      this.draw();
    } catch (error) {
      id("pointbox").hidden = true;
      id("nopoints").hidden = false;
      put(id("nopoints"), error.message);
    }
  }

  choices() {
    const { points } = this;
    id("view").replaceChildren(...points.views.map((view, index) => el("option", { value: index }, view.name)));
    id("colour").replaceChildren(...["set", ...Object.keys(points.values)].map((name) => el("option", { value: name }, name.replaceAll("_", " "))));
  }

  /** The value of each point by which it is coloured now. */
  values() {
    const { points, report } = this;
    const name = id("colour").value;
    return name === "set" ? points.side.map((side) => report.sets[side].name) : points.values[name];
  }

  draw() {
    const { points } = this;
    if (!points) return; // another report is on its way
    const view = points.views[id("view").value];
    const values = this.values();
    const counts = new Map();
    for (const value of values) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
    const order = id("colour").value === "set" ? [...counts.keys()] : [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
    const place = new Map(order.map((value, index) => [value, Math.min(index, MOST_COLOURS - 1)]));
    this.scatter.show({ x: view.x, y: view.y, sides: points.side, shades: values.map((value) => (value === null ? -1 : place.get(value))) });
    put(id("axes"), [view.across && `across: ${view.across}`, view.up && `up: ${view.up}`, `by ${points.embedding}`].filter(Boolean).join("; "));
    id("values").replaceChildren(
      ...order.slice(0, MOST_COLOURS).map((value, index) => {
        const rest = index === MOST_COLOURS - 1 && order.length > MOST_COLOURS;
        const text = rest ? `${order.length - index} others` : `${value} (${counts.get(value)})`;
        const members = () => values.flatMap((own, at) => (own !== null && place.get(own) === index && view.x[at] !== null ? [at] : []));
        return el("button", { type: "button", class: `value s${index}`, title: "select these", on: { click: () => this.scatter.select(members()) } }, text);
      }),
    );
    id("scatter").setAttribute("aria-label", `${view.name} of ${this.scatter.drawn.length} frames; the buttons below select groups, Escape none`);
  }

  hover(index, event) {
    const box = id("hover");
    if (!this.points) return;
    if (index !== this.under) {
      this.under = index;
      box.hidden = index === null;
      if (index !== null) box.replaceChildren(...this.facts(index));
    }
    if (index !== null && event) {
      const half = event.offsetX > id("scatter").clientWidth / 2;
      box.classList.toggle("left", !half);
    }
  }

  facts(index) {
    const { points, report } = this;
    const values = Object.entries(points.values).flatMap(([name, own]) => (own[index] === null ? [] : [`${name} ${own[index]}`]));
    const texts = el("span", {}, `${report.sets[points.side[index]].name}: ${points.file[index]}`, el("br"), values.join(", "));
    if (!points.pictures) return [texts];
    const { ends } = points.pictures;
    const src = `${this.path}/picture.jpg?start=${index ? ends[index - 1] : 0}&end=${ends[index]}`;
    return [el("img", { src, alt: "", width: 64 }), texts];
  }

  list(indices) {
    const { points, report } = this;
    id("selection").hidden = indices.length === 0;
    if (!points || !indices.length) return;
    const drawn = indices.length > MOST_LISTED ? `, the first ${MOST_LISTED} are listed` : "";
    put(id("selected"), `${indices.length} frames selected${drawn}`);
    id("files").replaceChildren(...indices.slice(0, MOST_LISTED).map((index) => el("li", {}, `${report.sets[points.side[index]].name}: ${points.file[index]}`)));
    const sides = [0, 1].map((side) => indices.filter((index) => points.side[index] === side)).map((own) => own.map((index) => points.file[index]));
    id("links").replaceChildren(...sides.flatMap((files, side) => this.link(files, side)));
    const commands = sides.flatMap((files, side) => (files.length && files.length <= MOST_LISTED ? [labelCommand(report.sets[side], files)] : []));
    showCommands(id("labelcommands"), commands);
  }

  /** A link to Review, for frames of a recording that the page knows. */
  link(files, side) {
    const recording = this.report.recordings[side];
    const numbers = files.map((file) => Number(/(\d+)\.[a-z]+$/.exec(file)?.[1] ?? NaN));
    if (!this.hasReview || !recording || !files.length || numbers.some(Number.isNaN)) return [];
    const query = new URLSearchParams({ recording, numbers: numbers.slice(0, 2000).join(",") });
    return [el("a", { href: `/cam/${this.camera}/review?${query}` }, `Review these ${files.length} frames of ${this.report.sets[side].name}`)];
  }
}

function labelCommand(set, files) {
  const frames = files.map((file) => `--frames ${quote(file)}`).join(" ");
  return { why: `Say what these ${files.length} of ${set.name} are`, command: `edge label ${quote(set.root ?? set.path)} --as defect ${frames}` };
}

function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

function row(one) {
  const cell = (value) => el("td", { class: "n" }, value);
  return el(
    "tr",
    {},
    el("td", {}, `${one.name.replaceAll("_", " ")} [${one.unit}]`),
    ...one.middles.map((middle) => cell(number(middle))),
    cell(number(one.z)),
    cell(number(one.delta)),
    el("td", {}, one.changed ? "✕ changed" : ""),
  );
}

function apartText({ separability: apart, model }) {
  const texts = [];
  if (apart) {
    const { value, low, high } = apart.auroc;
    texts.push(`Told apart by ${apart.embedding}: AUROC ${value.toFixed(3)} (${low.toFixed(2)} to ${high.toFixed(2)}; 0.5 is no difference), MMD p ${number(apart.mmd.p)}, Mahalanobis ${number(apart.mahalanobis_ratio)} times the usual.`);
  }
  if (model) {
    const shares = Object.entries(model.rejected).map(([name, share]) => `${(100 * share).toFixed(1)} % of ${name}`);
    texts.push(`${model.name} rejects ${shares.join(", ")}.`);
  }
  return texts.join(" ");
}

function whyNone(reports, folders) {
  if (reports.length) return "";
  return folders
    ? "No report of this camera's frames lies in the folders of shifts: the third command above writes one here."
    : "The page knows no folder of reports: name one in its web.yaml, shifts: [/var/lib/edge/shifts], and let edge shift -o write there.";
}
