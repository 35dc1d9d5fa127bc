// Points on a canvas: a circle for the first set, a square for the second. Thousands are written as pixels, all at once.

const SHADES = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7"];
const FEW = 4000;

/** Draws the points `drawn` at `places` (two numbers a point, in CSS pixels); `selected` stand out, with a frame around each. */
export function drawPoints(canvas, { drawn, places, shades, sides, selected }) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colours = SHADES.map((name) => style.getPropertyValue(name).trim());
  const look = { drawn, places, shades, sides, selected, ratio, colours, none: style.getPropertyValue("--line").trim(), dim: selected.size ? 0.35 : 0.85 };
  if (drawn.length > FEW) asPixels(context, look);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const r = drawn.length > FEW ? 1.2 : drawn.length > 800 ? 2 : 3.5;
  if (drawn.length <= FEW) asShapes(context, look, r);
  context.globalAlpha = 1;
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 1;
  if (selected.size > FEW) return; // so many frames hide what they frame: the others are dim
  for (const index of drawn) {
    if (selected.has(index)) context.strokeRect(places[2 * index] - r - 1.5, places[2 * index + 1] - r - 1.5, 2 * r + 3, 2 * r + 3);
  }
}

function asShapes(context, { drawn, places, shades, sides, selected, colours, none, dim }, r) {
  for (const index of drawn) {
    const [x, y] = [places[2 * index], places[2 * index + 1]];
    const shade = shades[index];
    context.globalAlpha = selected.has(index) ? 1 : dim;
    context.fillStyle = shade < 0 ? none : colours[shade % colours.length];
    if (sides[index]) context.fillRect(x - r, y - r, 2 * r, 2 * r);
    else {
      context.beginPath();
      context.arc(x, y, r * 1.15, 0, 7);
      context.fill();
    }
  }
}

/** fillRect takes 5 µs a point, a pixel of an ImageData 0.1 µs: 50,000 points are drawn within a frame. */
function asPixels(context, { drawn, places, shades, selected, ratio, colours, none, dim }) {
  const { width, height } = context.canvas;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const alphas = [Math.round(255 * dim), 255].map((alpha) => [...colours, none].map((colour) => packed(colour, alpha)));
  const side = Math.max(Math.round(2 * ratio), 2);
  for (const chosen of selected.size ? [0, 1] : [0]) {
    const of = alphas[chosen];
    for (const index of drawn) {
      if (selected.size && selected.has(index) !== Boolean(chosen)) continue;
      const shade = shades[index];
      const colour = of[shade < 0 ? colours.length : shade % colours.length];
      const [x, y] = [Math.round(places[2 * index] * ratio - side / 2), Math.round(places[2 * index + 1] * ratio - side / 2)];
      for (let row = Math.max(y, 0); row < Math.min(y + side, height); row += 1) {
        for (let column = Math.max(x, 0); column < Math.min(x + side, width); column += 1) pixels[row * width + column] = colour;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

/** A colour `#rrggbb` as a pixel of an ImageData. */
function packed(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) || 0);
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}
