// Words that the server has not taken yet: they stay on the page and in the browser's storage, and are sent again until it does.
import { call } from "../dom.js";
import { camera, tell, who } from "./state.js";

const KEY = `edge.review.unsent.${camera}.${who}`;
const waiting = new Map(); // id -> {id, at, word}; word null takes one back
const AGAIN_MS = [2000, 20000];
let pause = AGAIN_MS[0];
let timer = null;
let sending = false;
export const trouble = { text: "", refused: [] };

for (const one of stored()) waiting.set(one.id, one);

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

function keep() {
  try {
    if (waiting.size) localStorage.setItem(KEY, JSON.stringify([...waiting.values()]));
    else localStorage.removeItem(KEY);
  } catch {
    // a browser without room for them still has them on this page
  }
  tell("unsent");
}

export const count = () => waiting.size;
export const waits = (id) => waiting.has(id);

/** Send a word, or take one back (`word` null), after those before it. A newer word on the same frame takes its place. */
export function send(id, at, word) {
  waiting.delete(id);
  waiting.set(id, { id, at, word });
  keep();
  flush();
}

/** Try again now. */
export function flush() {
  clearTimeout(timer);
  timer = null;
  if (!sending) sendAll();
}

async function sendAll() {
  sending = true;
  while (waiting.size) {
    const [one] = waiting.values();
    try {
      const { votes } = await sent(one);
      if (waiting.get(one.id) === one) waiting.delete(one.id);
      pause = AGAIN_MS[0];
      trouble.text = "";
      keep();
      if (!waiting.has(one.id)) tell("accepted", { id: one.id, votes });
    } catch (error) {
      if ([400, 403, 404, 422].includes(error.status)) {
        if (waiting.get(one.id) === one) waiting.delete(one.id);
        trouble.refused.push(error.message);
        keep();
        tell("refused", one.id);
        continue;
      }
      trouble.text = error.status ? error.message : "the page's server does not answer";
      timer = setTimeout(flush, pause);
      pause = Math.min(2 * pause, AGAIN_MS[1]);
      keep();
      break;
    }
  }
  sending = false;
}

function sent({ id, at, word }) {
  const path = `/api/v1/labels/${camera}/${id}`;
  if (word === null) return call(`${path}?who=${encodeURIComponent(who)}&at=${at}`, { method: "DELETE" });
  return call(path, { method: "PUT", body: { ...word, at, who } });
}

addEventListener("online", flush);
addEventListener("focus", () => waiting.size && flush());
if (waiting.size) setTimeout(flush, 0);
