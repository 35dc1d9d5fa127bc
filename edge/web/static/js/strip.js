// The strip of the last 600 records: one cell each, by colour and by shape. Pass is low, fail full height, invalid is open, lost
// frames are a dot; a click or the arrow keys choose one.

const MOST = 600;
const HEIGHT = 44;

export class Strip {
  constructor(canvas, choose) {
    this.canvas = canvas;
    this.records = [];
    this.chosen = null;
    canvas.addEventListener("click", (event) => {
      const record = this.at(event.offsetX);
      if (record) choose(record);
    });
    canvas.addEventListener("pointermove", (event) => {
      const record = this.at(event.offsetX);
      canvas.title = record ? `${record.seq}: ${record.verdict}${record.reason ? ` (${record.reason})` : ""}` : "";
    });
    new ResizeObserver(() => this.paint()).observe(canvas);
    document.addEventListener("edge:theme", () => this.paint());
  }

  replace(records) {
    this.records = records.slice(-MOST);
    this.paint();
  }

  add(records) {
    this.records = this.records.concat(records).slice(-MOST);
    this.paint();
  }

  /** The record `step` cells from the chosen one, or from the newest. */
  beside(step) {
    const index = this.chosen ? this.records.indexOf(this.chosen) : this.records.length - 1;
    return this.records[Math.min(Math.max((index < 0 ? this.records.length - 1 : index) + step, 0), this.records.length - 1)];
  }

  /** The nearest fail before (-1) or after (1) the chosen record. */
  fail(direction) {
    let index = this.chosen ? this.records.indexOf(this.chosen) : this.records.length;
    for (index += direction; index >= 0 && index < this.records.length; index += direction) {
      if (this.records[index].verdict === "fail") return this.records[index];
    }
    return null;
  }

  choose(record) {
    this.chosen = record;
    this.paint();
  }

  get step() {
    return this.canvas.clientWidth / MOST;
  }

  at(x) {
    return this.records[this.records.length - Math.ceil((this.canvas.clientWidth - x) / this.step)];
  }

  paint() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      this.paintNow();
    });
  }

  paintNow() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    const style = getComputedStyle(canvas);
    const colour = Object.fromEntries(["pass", "fail", "invalid", "skip", "ink"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
    const cell = Math.max(this.step - (this.step > 2 ? 0.6 : 0), 0.8);
    this.records.forEach((record, index) => {
      const x = width - (this.records.length - index) * this.step;
      if (record.kind !== "inspection") {
        context.fillStyle = colour.skip;
        context.fillRect(x, 16, cell, 5);
        context.fillRect(x, 25, cell, 5);
      } else if (record.verdict === "fail") {
        context.fillStyle = colour.fail;
        context.fillRect(x, 0, cell, HEIGHT);
      } else if (record.verdict === "invalid") {
        context.fillStyle = colour.invalid;
        context.fillRect(x, 8, cell, 10);
        context.fillRect(x, HEIGHT - 8, cell, 8);
      } else {
        const share = record.threshold ? Math.min(Math.max(record.map_max / record.threshold, 0), 1) : 0;
        context.fillStyle = colour.pass;
        context.fillRect(x, HEIGHT - 6 - 20 * share, cell, 6 + 20 * share);
      }
      if (record === this.chosen) {
        context.fillStyle = colour.ink;
        context.fillRect(x - 1, 0, cell + 2, 3);
        context.fillRect(x - 1, HEIGHT - 3, cell + 2, 3);
      }
    });
    const fails = this.records.filter((record) => record.verdict === "fail").length;
    canvas.setAttribute("aria-label", `the last ${this.records.length} records, ${fails} of them fails`);
  }
}
