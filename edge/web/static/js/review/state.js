// What Review knows, and who wants to hear when it changes. Ids of a search stay as they are while somebody labels.
import { call, pageData } from "../dom.js";

export const { camera, who, labels: mayLabel } = pageData();
export const state = { ids: [], at: -1, kinds: [], details: new Map(), shapes: new Map() };
export const api = `/api/v1/cameras/${camera}/frames`;
const BLOCK = 60;
const hearers = new Map();
const asked = new Set();

/** Call `call` whenever one of `events` happens: found, at, detail, kinds, shapes, decided. */
export function on(events, hear) {
  for (const event of events.split(" ")) hearers.set(event, [...(hearers.get(event) ?? []), hear]);
}

export function tell(event, value) {
  for (const hear of hearers.get(event) ?? []) hear(value);
}

export const current = () => state.ids[state.at];

/** Other frames: those of a new search. What is known of them is asked for anew. */
export function found(ids) {
  Object.assign(state, { ids, at: ids.length ? 0 : -1, details: new Map(), shapes: new Map() });
  asked.clear();
  tell("found");
  tell("at");
}

export function go(index) {
  const to = Math.min(Math.max(index, 0), state.ids.length - 1);
  if (to === state.at) return;
  state.at = to;
  tell("at");
}

/** Ask for the details of the frames from `first` up to `last` that nobody asked for yet, in whole blocks. */
export function need(first, last) {
  for (let block = Math.floor(Math.max(first, 0) / BLOCK); block * BLOCK < Math.min(last, state.ids.length); block += 1) {
    if (!asked.has(block)) load(block);
  }
}

async function load(block) {
  asked.add(block);
  const { ids } = state;
  const wanted = ids.slice(block * BLOCK, (block + 1) * BLOCK);
  try {
    const details = await call(`${api}/details?ids=${wanted.join(",")}`);
    if (state.ids !== ids) return; // another search came in between
    const there = new Map(details.map((one) => [one.id, one]));
    for (const id of wanted) state.details.set(id, there.get(id) ?? { id, gone: true, votes: [], boxes: [], dropped: [], size: [4, 3] });
    tell("detail", wanted);
  } catch (error) {
    if (state.ids !== ids) return;
    setTimeout(() => asked.delete(block), 3000);
    tell("trouble", error.message);
  }
}

/** The shapes that count for a frame; asked for once. */
export async function shapesOf(id) {
  const known = state.shapes.get(id);
  if (known) return known;
  const detail = state.details.get(id);
  if (!detail?.votes.some((vote) => vote.mask)) return [];
  const { shapes } = await call(`/api/v1/labels/${camera}/${id}?at=${detail.at}`);
  if (!state.shapes.has(id)) state.shapes.set(id, shapes);
  return state.shapes.get(id);
}

/** Where a frame's picture is. An index that was begun anew gives ids to other frames, so the path has the frame's time, too. */
export const picturePath = ({ id, at }, name) => `${api}/${id}/${name}?at=${at}`;

/** What all words on a frame come to, as the server says it: good, defect, unsure, disputed, or null. */
export function outcome(votes) {
  if (!votes.length) return null;
  const sure = new Set(votes.filter((vote) => vote.label !== "unsure").map((vote) => vote.label));
  if (sure.size > 1) return "disputed";
  return sure.size ? [...sure][0] : "unsure";
}

export const kindsOf = (votes) => [...new Set(votes.flatMap((vote) => vote.kinds))].sort();
