// A picture with the boxes of the same record: both come in one message and are shown together or not at all.
import { boxRect, svg } from "./dom.js";

const NAMED = 30; // more names than that hide the picture
const SINGLE = 200; // boxes that say which they are under the pointer; those beyond are drawn as one

/** Shows records' pictures in `holder`, which holds a canvas and an svg. */
export class Picture {
  constructor(holder) {
    this.canvas = holder.querySelector("canvas");
    this.boxes = holder.querySelector("svg");
    this.empty = holder.querySelector(".empty");
    this.turn = 0; // what began in an earlier one is not shown
    this.waiting = null;
    this.working = false;
  }

  /** Answers "painted" with picture and boxes, "broken" where the picture can't be decoded, and "dropped" if a later call came
   * before its turn: what is being decoded is shown, of what came meanwhile the newest, so that a slow decoder shows some. */
  show(record, blob, size) {
    this.waiting?.answer("dropped");
    return new Promise((answer) => {
      this.waiting = { record, blob, size, answer };
      if (!this.working) this.work();
    });
  }

  async work() {
    const { turn } = this;
    this.working = true;
    while (turn === this.turn && this.waiting) {
      const { record, blob, size, answer } = this.waiting;
      this.waiting = null;
      const done = this.paint(turn, record, blob, size);
      answer(done);
      await done.catch(() => {}); // whoever waits for it hears
    }
    if (turn === this.turn) this.working = false;
  }

  async paint(turn, record, blob, size) {
    const bitmap = await createImageBitmap(blob).catch(() => null);
    try {
      if (turn !== this.turn) return "dropped";
      if (!bitmap) {
        this.tell("this picture can't be shown");
        return "broken";
      }
      if (this.canvas.width !== bitmap.width) this.canvas.width = bitmap.width;
      if (this.canvas.height !== bitmap.height) this.canvas.height = bitmap.height;
      this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
      this.canvas.hidden = false;
      if (this.empty) this.empty.hidden = true;
      this.draw(record, size ?? [bitmap.width, bitmap.height]);
      this.canvas.setAttribute("aria-label", `picture of record ${record.seq}, ${record.verdict}, ${record.regions?.length ?? 0} regions`);
      return "painted";
    } finally {
      bitmap?.close();
    }
  }

  /** Keeps what is painted: what is still being decoded is not shown. */
  hold() {
    this.turn++;
    this.working = false;
    this.waiting?.answer("dropped");
    this.waiting = null;
  }

  /** Shows why there is no picture. */
  clear(text) {
    this.hold();
    this.tell(text);
  }

  tell(text) {
    this.canvas.hidden = true;
    this.boxes.replaceChildren();
    if (this.empty) {
      this.empty.hidden = false;
      this.empty.textContent = text;
    }
  }

  draw(record, [width, height]) {
    const regions = record.regions ?? [];
    const unit = Math.max(width, height) / 100;
    const named = [];
    this.boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.boxes.classList.toggle("many", regions.length > NAMED);
    const boxes = regions.slice(0, SINGLE).map((region, index) => {
      const [x0, y0, , y1] = region.bbox_xyxy;
      const title = svg("title", {}, `region ${region.id}: score ${region.score_max}, ${region.area_px} px`);
      const box = boxRect(region.bbox_xyxy, title);
      const [x, y] = [x0, y0 > 3 * unit ? y0 - unit : y1 + 3 * unit];
      if (index >= NAMED || named.some((other) => Math.abs(other[0] - x) < 4 * unit && Math.abs(other[1] - y) < 2.6 * unit)) return box;
      named.push([x, y]);
      return svg("g", {}, box, svg("text", { x, y, "font-size": 2.6 * unit, class: "boxname" }, String(region.id)));
    });
    const rest = regions.slice(SINGLE).map(({ bbox_xyxy: [x0, y0, x1, y1] }) => `M${x0} ${y0}H${x1}V${y1}H${x0}Z`);
    // first, and so below: the names of single ones are under the pointer
    this.boxes.replaceChildren(...(rest.length ? [svg("path", { class: "box", d: rest.join("") })] : []), ...boxes);
  }
}
