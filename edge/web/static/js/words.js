// How values are written, on every page alike.

export function number(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1000 ? value.toFixed(0) : size >= 100 ? value.toFixed(1) : value.toPrecision(digits + 1);
}

export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

const SHAPES = { pass: "✓", fail: "✕", invalid: "?" };

/** A verdict with its shape: colour alone says nothing to one man in twelve. */
export function verdictText(verdict) {
  return verdict ? `${SHAPES[verdict] ?? ""} ${verdict}` : "–";
}

export function faultText(fault) {
  return `${fault.code}: ${fault.text}`;
}
