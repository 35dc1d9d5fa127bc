// Frames as points: a lasso selects, the pointer names the nearest one, wheel, buttons and keys look closer.
import { drawPoints } from "./points.js";

const NEAR_PX = 12;
const MARGIN_PX = 12;
const MOST_ZOOM = 200;

export class Scatter {
  /** `chosen(indices)` hears of every selection, `near(index, event)` of the point under the pointer, or null. */
  constructor(canvas, chosen, near) {
    Object.assign(this, { canvas, chosen, near, selected: new Set(), lasso: null });
    this.whole();
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.end());
    canvas.addEventListener("pointercancel", () => this.leave());
    canvas.addEventListener("pointerleave", () => this.near(null));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(canvas);
    document.addEventListener("edge:theme", () => this.paint());
  }

  /** Shows points `x`, `y` (null: not drawn); `shades` is a number a point, -1 for none; `sides` is 0 or 1. */
  show({ x, y, sides, shades }) {
    if (x !== this.x) this.whole();
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

  /** Shows all points. */
  whole() {
    this.view = { zoom: 1, x: 0, y: 0 };
    this.paint();
  }

  /** Looks `factor` times closer; what lies at `x`, `y` (CSS pixels; the middle if left out) stays there. */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const { view } = this;
    const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
    const by = zoom / view.zoom;
    this.look(zoom, x - (x - view.x) * by, y - (y - view.y) * by);
  }

  pan(dx, dy) {
    this.look(this.view.zoom, this.view.x + dx, this.view.y + dy);
  }

  /** Part of the whole is always in sight; under a lasso nothing moves. */
  look(zoom, x, y) {
    if (this.lasso) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.view = { zoom, x: Math.min(Math.max(x, width * (1 - zoom)), 0), y: Math.min(Math.max(y, height * (1 - zoom)), 0) };
    this.paint();
  }

  /** What was in sight stays there in a plane of another size. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { width: before, height: above } = this.size ?? {};
    if (!width || !height) return;
    this.size = { width, height };
    this.leave();
    this.look(this.view.zoom, before ? (this.view.x * width) / before : 0, above ? (this.view.y * height) / above : 0);
  }

  /** Gives up what the pointer was about. */
  leave() {
    this.lasso = this.drag = null;
    this.paint();
  }

  /** The page goes on scrolling under a pointer that has not chosen the points by a click or by Tab. */
  wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }

  key(event) {
    const step = 40;
    const act = {
      Escape: () => this.select([]), "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), 0: () => this.whole(),
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  /** Where every point lies in CSS pixels, two numbers a point; measured once for each picture. */
  places() {
    if (this.placed) return this.placed;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { view, bounds, x, y } = this;
    const placed = new Float32Array(2 * x.length);
    const [across, up] = [(width - 2 * MARGIN_PX) / bounds.x.size, (height - 2 * MARGIN_PX) / bounds.y.size];
    for (const index of this.drawn) {
      placed[2 * index] = view.x + view.zoom * (MARGIN_PX + (x[index] - bounds.x.low) * across);
      placed[2 * index + 1] = view.y + view.zoom * (height - MARGIN_PX - (y[index] - bounds.y.low) * up);
    }
    this.placed = placed;
    return placed;
  }

  inSight() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const places = this.places();
    const isThere = (x, y) => x > -5 && y > -5 && x < width + 5 && y < height + 5;
    return this.view.zoom === 1 ? this.drawn : this.drawn.filter((index) => isThere(places[2 * index], places[2 * index + 1]));
  }

  begin(event) {
    if (!this.x || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (event.shiftKey) this.drag = [event.clientX, event.clientY];
    else this.lasso = [[event.offsetX, event.offsetY]];
  }

  move(event) {
    if (this.drag) {
      this.pan(event.clientX - this.drag[0], event.clientY - this.drag[1]);
      this.drag = [event.clientX, event.clientY];
    } else if (this.lasso) {
      this.lasso.push([event.offsetX, event.offsetY]);
      this.paint({ moved: false });
    } else if (this.x) this.near(this.nearest(event.offsetX, event.offsetY), event);
  }

  end() {
    const { lasso } = this;
    this.lasso = this.drag = null;
    if (!lasso) return;
    const places = this.places();
    if (lasso.length < 4) this.select([this.nearest(...lasso[0])].filter((index) => index !== null));
    else this.select(this.drawn.filter((index) => isInside(lasso, [places[2 * index], places[2 * index + 1]])));
  }

  nearest(x, y) {
    const places = this.places();
    let best = null;
    let least = NEAR_PX ** 2;
    for (const index of this.drawn) {
      const far = (places[2 * index] - x) ** 2 + (places[2 * index + 1] - y) ** 2;
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  /** Draws at the next frame; the points only where something `moved`, a lasso over what was drawn before. */
  paint({ moved = true } = {}) {
    if (moved) this.placed = this.picture = null;
    if (this.due || !this.x) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      this.paintNow();
    });
  }

  paintNow() {
    const { canvas, lasso } = this;
    if (!canvas.clientWidth || !canvas.clientHeight) return;
    if (!this.picture) {
      drawPoints(canvas, { drawn: this.inSight(), places: this.places(), shades: this.shades, sides: this.sides, selected: this.selected });
      canvas.dataset.zoom = this.view.zoom.toFixed(2);
    }
    if (!lasso) return;
    const context = canvas.getContext("2d");
    this.picture ??= context.getImageData(0, 0, canvas.width, canvas.height);
    context.putImageData(this.picture, 0, 0);
    context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--ink");
    context.setLineDash([5, 4]);
    context.beginPath();
    lasso.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.stroke();
    context.setLineDash([]);
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
