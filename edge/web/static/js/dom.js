// The page's elements are made here. Text is always a text node: whatever a fault, a recipe or a file is called is only shown.

/** Plain data that the server gave this page. */
export function pageData() {
  return JSON.parse(document.body.dataset.page);
}

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text nodes. `on` holds listeners. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** A region's box, as records have it. */
export const boxRect = ([x0, y0, x1, y1], ...children) => svg("rect", { class: "box", x: x0, y: y0, width: x1 - x0, height: y1 - y0 }, ...children);

/** Set an element's text only where it changes, so that screen readers and selections are left in peace. */
export function put(element, text) {
  const now = text === null || text === undefined ? "" : String(text);
  if (element && element.textContent !== now) element.textContent = now;
}

/** A call of the API. Errors come as Error with the server's words; a session that ended says so, and work on the page stays. */
export async function call(path, { method = "GET", body } = {}) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401) {
    document.dispatchEvent(new CustomEvent("edge:session-ended"));
    throw refusal(401, "the session has ended: log in again in another tab; what is on this page stays");
  }
  const content = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw refusal(answer.status, [content.what, content.expected && `expected: ${content.expected}`, content.fix].filter(Boolean).join("; ") || answer.statusText, content.code);
  return content;
}

function refusal(status, text, code) {
  return Object.assign(new Error(text), { status, code });
}
