// Frames as points: a circle for the first set, a square for the second; a lasso selects, the pointer names the nearest one.

const NEAR_PX = 12;
const SHADES = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7"];

export class Scatter {
  /** `chosen(indices)` hears of every selection, `near(index, event)` of the point under the pointer, or null. */
  constructor(canvas, chosen, near) {
    this.canvas = canvas;
    this.chosen = chosen;
    this.near = near;
    this.selected = new Set();
    this.lasso = null;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.end());
    canvas.addEventListener("pointerleave", () => this.near(null));
    canvas.addEventListener("keydown", (event) => event.key === "Escape" && this.select([]));
    new ResizeObserver(() => this.paint()).observe(canvas);
    document.addEventListener("edge:theme", () => this.paint());
  }

  /** Shows points `x`, `y` (null: not drawn); `shades` is a number a point, -1 for none; `sides` is 0 or 1. */
  show({ x, y, sides, shades }) {
    Object.assign(this, { x, y, sides, shades });
    const drawn = x.map((value, index) => index).filter((index) => x[index] !== null);
    this.drawn = drawn;
    this.bounds = { x: span(drawn, x), y: span(drawn, y) };
    this.paint();
  }

  select(indices) {
    this.selected = new Set(indices);
    this.chosen([...this.selected]);
    this.paint();
  }

  place(index) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { x, y } = this.bounds;
    return [12 + ((this.x[index] - x.low) / x.size) * (width - 24), height - 12 - ((this.y[index] - y.low) / y.size) * (height - 24)];
  }

  begin(event) {
    if (!this.x || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.lasso = [[event.offsetX, event.offsetY]];
  }

  move(event) {
    if (this.lasso) {
      this.lasso.push([event.offsetX, event.offsetY]);
      this.paint();
    } else if (this.x) this.near(this.nearest(event.offsetX, event.offsetY), event);
  }

  end() {
    const lasso = this.lasso;
    this.lasso = null;
    if (!lasso) return;
    if (lasso.length < 4) this.select([this.nearest(...lasso[0])].filter((index) => index !== null));
    else this.select(this.drawn.filter((index) => isInside(lasso, this.place(index))));
  }

  nearest(x, y) {
    let best = null;
    let least = NEAR_PX ** 2;
    for (const index of this.drawn) {
      const [px, py] = this.place(index);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  paint() {
    if (this.due || !this.x) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      this.paintNow();
    });
  }

  paintNow() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(canvas);
    const colours = SHADES.map((name) => style.getPropertyValue(name));
    const none = style.getPropertyValue("--line");
    const ink = style.getPropertyValue("--ink");
    const r = this.drawn.length > 4000 ? 1.2 : this.drawn.length > 800 ? 2 : 3.5;
    const dim = this.selected.size ? 0.35 : 0.85;
    for (const index of this.drawn) {
      const [x, y] = this.place(index);
      const shade = this.shades[index];
      context.globalAlpha = this.selected.has(index) ? 1 : dim;
      context.fillStyle = shade < 0 ? none : colours[shade % colours.length];
      if (this.sides[index] || r < 2) context.fillRect(x - r, y - r, 2 * r, 2 * r);
      else {
        context.beginPath();
        context.arc(x, y, r * 1.15, 0, 7);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = ink;
    context.lineWidth = 1;
    for (const index of this.selected) {
      if (this.x[index] === null) continue;
      const [x, y] = this.place(index);
      context.strokeRect(x - r - 1.5, y - r - 1.5, 2 * r + 3, 2 * r + 3);
    }
    if (this.lasso) {
      context.setLineDash([5, 4]);
      context.beginPath();
      this.lasso.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.stroke();
      context.setLineDash([]);
    }
  }
}

function span(drawn, values) {
  let low = Infinity;
  let high = -Infinity;
  for (const index of drawn) {
    low = Math.min(low, values[index]);
    high = Math.max(high, values[index]);
  }
  return { low, size: high - low || 1 };
}

/** Even-odd rule: a lasso may cross itself. */
export function isInside(polygon, [x, y]) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
