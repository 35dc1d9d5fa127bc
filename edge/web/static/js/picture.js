// A picture with the boxes of the same record: both come in one message and are shown together or not at all.
import { svg } from "./dom.js";

const NAMED = 30; // more names than that hide the picture

/** Shows records' pictures in `holder`, which holds a canvas and an svg. */
export class Picture {
  constructor(holder) {
    this.canvas = holder.querySelector("canvas");
    this.boxes = holder.querySelector("svg");
    this.empty = holder.querySelector(".empty");
    this.latest = 0;
  }

  /** Paints picture and boxes; false if a later call overtook this one while it was being decoded. */
  async show(record, blob, size) {
    const mine = ++this.latest;
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      if (mine !== this.latest) return false;
      this.clear("this picture can't be shown");
      return true;
    }
    if (mine !== this.latest) {
      bitmap.close();
      return false;
    }
    if (this.canvas.width !== bitmap.width) this.canvas.width = bitmap.width;
    if (this.canvas.height !== bitmap.height) this.canvas.height = bitmap.height;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.canvas.hidden = false;
    if (this.empty) this.empty.hidden = true;
    this.draw(record, size ?? [bitmap.width, bitmap.height]);
    this.canvas.setAttribute("aria-label", `picture of record ${record.seq}, ${record.verdict}, ${record.regions?.length ?? 0} regions`);
    bitmap.close();
    return true;
  }

  /** Keeps what is painted: what is still being decoded is not shown. */
  hold() {
    this.latest++;
  }

  /** Shows why there is no picture. */
  clear(text) {
    this.latest++;
    this.canvas.hidden = true;
    this.boxes.replaceChildren();
    if (this.empty) {
      this.empty.hidden = false;
      this.empty.textContent = text;
    }
  }

  draw(record, [width, height]) {
    this.boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const unit = Math.max(width, height) / 100;
    this.boxes.replaceChildren(
      ...(record.regions ?? []).slice(0, 200).map((region, index) => {
        const [x0, y0, x1, y1] = region.bbox_xyxy;
        const title = svg("title", {}, `region ${region.id}: score ${region.score_max}, ${region.area_px} px`);
        const box = svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: "box" }, title);
        if (index >= NAMED) return box;
        const text = svg("text", { x: x0, y: y0 > 3 * unit ? y0 - unit : y1 + 3 * unit, "font-size": 2.6 * unit, class: "boxname" }, String(region.id));
        return svg("g", {}, box, text);
      }),
    );
  }
}
