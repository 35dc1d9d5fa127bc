// Words that the server has not taken yet: they stay in the browser's storage, each under a key of its own, and are sent again until it
// does. Tabs of one person on one camera share them: the newest word on a frame counts, and only who is sure that it was taken removes it.
import { call } from "../dom.js";
import { camera, tell, who } from "./state.js";

const PREFIX = `edge.review.word/${camera}/${encodeURIComponent(who)}/`;
const BEFORE = `edge.review.unsent.${camera}.${who}`; // one list of all, as an older page kept them
const OF_ONE = [400, 403, 404, 409, 413, 422]; // what is wrong may be wrong with this word alone: the others are tried
const MOST_WRONG = 5; // in a row, and the rest waits, too
const MOST_BUSY = 3; // answers 5xx to one word: it may be that word's own trouble, which may be given up
const AGAIN_MS = [2000, 20000];
const TAB = Math.random().toString(36).slice(2, 8);
const waiting = new Map(); // frame's name -> {key, said, id, at, kept, word, wrong, next}; word null takes one back
let pause = AGAIN_MS[0];
let timer = null;
let sending = false;
export const trouble = { text: "", refused: [] };

const nameOf = ({ kept, id, at }) => kept ?? `${id}@${at}`;
const placeOf = (one) => `${PREFIX}${encodeURIComponent(nameOf(one))}/`;

function keysUnder(place) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(place)).sort();
  } catch {
    return [];
  }
}

function parsed(key) {
  try {
    const one = JSON.parse(localStorage.getItem(key));
    return one && { ...one, key, said: key.slice(key.lastIndexOf("/") + 1), stored: true };
  } catch {
    return null;
  }
}

/** Keep a word as the newest on its frame, and forget those before it. A clock that was set back makes none older. */
function keep(one) {
  const before = keysUnder(placeOf(one));
  const last = [before.at(-1) ?? "", waiting.get(nameOf(one))?.key ?? ""].map((key) => Number.parseInt(key.slice(key.lastIndexOf("/") + 1), 10) || 0);
  one.said = `${String(Math.max(Date.now(), ...last.map((ms) => ms + 1))).padStart(15, "0")}-${TAB}`;
  one.key = placeOf(one) + one.said;
  waiting.set(nameOf(one), one);
  store(one);
  for (const key of before) localStorage.removeItem(key);
}

function store({ key, id, at, kept, word }) {
  try {
    localStorage.setItem(key, JSON.stringify({ id, at, kept, word }));
    waiting.get(nameOf({ id, at, kept })).stored = true;
  } catch {
    // a browser without room for them still has them on this page
  }
}

function forget(one) {
  if (waiting.get(nameOf(one))?.key === one.key) waiting.delete(nameOf(one));
  try {
    localStorage.removeItem(one.key);
  } catch {
    // it was never there
  }
}

/** Take in what other tabs, or this page before it was loaded anew, keep; what they had taken is none of ours any more. */
function look() {
  const there = new Map();
  for (const key of keysUnder(PREFIX)) {
    const one = parsed(key);
    if (!one) continue;
    const other = there.get(nameOf(one));
    if (other) localStorage.removeItem(other.said < one.said ? other.key : key);
    if (!other || other.said < one.said) there.set(nameOf(one), one);
  }
  for (const [name, one] of waiting) {
    const other = there.get(name);
    if (other ? other.said > one.said : one.stored) waiting.delete(name);
  }
  for (const [name, one] of there) if (!waiting.has(name)) waiting.set(name, one);
}

function takeOver() {
  try {
    for (const one of JSON.parse(localStorage.getItem(BEFORE) ?? "[]")) keep(one);
    if ([...waiting.values()].every((one) => one.stored)) localStorage.removeItem(BEFORE);
  } catch {
    // nothing was kept, or it can't be read
  }
}

export const count = () => waiting.size;
export const waits = (frame) => waiting.has(nameOf(frame));
/** How many words the server answered that it can't take, for now or for ever. */
export const stuck = () => [...waiting.values()].filter((one) => one.next).length;

/** Send a word on a frame ({id, at, kept}), or take one back (`word` null). A newer word on the same frame takes its place. */
export function send({ id, at, kept }, word) {
  keep({ id, at, kept, word });
  tell("unsent");
  flush();
}

/** Try again now; with `all`, those too that were tried a moment ago. */
export function flush(all = false) {
  clearTimeout(timer);
  timer = null;
  if (all === true) for (const one of waiting.values()) if (one.next) one.next = 1;
  if (!sending) sendAll();
}

/** Give up the words that the server answered that it can't take. */
export function discard() {
  const given = [...waiting.values()].filter((one) => one.next);
  given.forEach(forget);
  settle();
  for (const one of given) tell("refused", one.id);
}

async function sendAll() {
  sending = true;
  try {
    await (navigator.locks ? navigator.locks.request(PREFIX, sendEach) : sendEach()); // one tab after the other
  } finally {
    sending = false;
    settle();
  }
}

async function sendEach() {
  let wrong = 0;
  look();
  while (wrong < MOST_WRONG) {
    const due = [...waiting.values()].filter((one) => (one.next ?? 0) <= Date.now());
    const [one] = due.sort((a, b) => (a.next ?? 0) - (b.next ?? 0) || (a.tries ?? 0) - (b.tries ?? 0)); // one that fails lets the others go first
    if (!one) return;
    if (one.stored && keysUnder(placeOf(one)).at(-1) !== one.key) { // another tab said something newer, or had this taken
      look();
      continue;
    }
    try {
      const { votes } = await sent(one);
      forget(one);
      [pause, wrong] = [AGAIN_MS[0], 0];
      settle();
      if (!waits(one)) tell("accepted", { id: one.id, at: one.at, votes });
    } catch (error) {
      if (error.code === "invalid_word") {
        forget(one);
        trouble.refused.push(error.message);
        tell("refused", one.id);
        continue;
      }
      one.wrong = error.status ? error.message : "the page's server does not answer";
      const isOfOne = OF_ONE.includes(error.status);
      if (!isOfOne && !(error.status >= 500)) return;
      one.tries = (one.tries ?? 0) + 1;
      if (isOfOne || one.tries >= MOST_BUSY) one.next = Date.now() + Math.min(AGAIN_MS[0] * 2 ** one.tries, AGAIN_MS[1]);
      if (!isOfOne) return; // the server may have no room for any
      wrong += 1;
    }
  }
}

/** Say what waits, and try again in a while. */
function settle() {
  trouble.text = [...waiting.values()].find((one) => one.wrong)?.wrong ?? "";
  if (waiting.size && !sending) {
    clearTimeout(timer);
    timer = setTimeout(flush, pause);
    pause = Math.min(2 * pause, AGAIN_MS[1]);
  }
  tell("unsent");
}

function sent({ id, at, kept, word }) {
  const path = `/api/v1/labels/${camera}/${id}`;
  const frame = kept === undefined ? { at, who } : { at, kept, who };
  if (word === null) return call(`${path}?${new URLSearchParams(frame)}`, { method: "DELETE" });
  return call(path, { method: "PUT", body: { ...word, ...frame } });
}

addEventListener("online", () => flush(true));
addEventListener("focus", () => waiting.size && flush(true));
addEventListener("storage", ({ key }) => {
  if (key === null) for (const one of waiting.values()) store(one); // somebody emptied the storage
  else if (key.startsWith(PREFIX)) look();
  else return;
  if (waiting.size && !sending && timer === null) timer = setTimeout(flush, AGAIN_MS[0]);
  tell("unsent");
});
takeOver();
look();
if (waiting.size) setTimeout(flush, 0);
