// A person's words on frames: said at once on the page, sent behind it, and taken back one by one.
import { call } from "../dom.js";
import { api, camera, current, go, mayLabel, on, shapesOf, state, tell, who } from "./state.js";
import { send } from "./unsent.js";

const done = []; // {id, before}: what the person's word was
export const decides = { on: false }; // in a search for disputed frames a word ends the disagreement
export const canUndo = () => done.length > 0;
export const own = (id) => state.details.get(id)?.votes.find((vote) => vote.by === who) ?? null;

/** Say what the frame at hand shows: `label`, a `kind`, or null to take the word back. `moves` goes on to the next frame. */
export async function say(word, { id = current(), moves = true } = {}) {
  const detail = state.details.get(id);
  if (!mayLabel || !detail || detail.gone) return;
  let before;
  try {
    before = await wordOf(id);
  } catch (error) {
    tell("trouble", error.message);
    return;
  }
  if (word === null && before === null) return;
  done.push({ id, before });
  if (done.length > 1000) done.shift();
  apply(id, word, decides.on || null);
  if (moves && current() === id) go(state.at + 1);
}

/** The person's word as it would be said again, with its shapes; null if there is none. */
async function wordOf(id) {
  const vote = own(id);
  if (!vote) return null;
  const shapes = vote.mask ? await shapesOf(id) : [];
  return { label: vote.label, kinds: vote.kinds, shapes, decides: Boolean(vote.decides) };
}

/** `ends`: true, this word ends a disagreement; false, what this person's word before ended is open again; null, as before. */
function apply(id, word, ends) {
  const detail = state.details.get(id);
  const said = word && { label: word.label, kinds: word.kinds ?? [], shapes: word.label === "defect" ? word.shapes ?? state.shapes.get(id) ?? [] : [], decides: ends };
  const decided = Boolean(own(id)?.decides);
  let others = detail.votes.filter((vote) => vote.by !== who);
  if (said && ends) {
    detail.aside = [...(detail.aside ?? []), ...others];
    others = [];
  } else if (decided && (!said || ends === false)) {
    others = [...(detail.aside ?? []), ...others];
    detail.aside = [];
  }
  const deciding = ends ?? decided;
  detail.votes = said ? [...others, { by: who, label: said.label, kinds: said.kinds, mask: said.shapes.length > 0, decides: deciding }] : others;
  state.shapes.set(id, said?.shapes ?? []);
  for (const kind of said?.kinds ?? []) if (!state.kinds.includes(kind)) state.kinds.push(kind);
  send(detail, said);
  tell("detail", [id]);
  tell("shapes");
  tell("kinds");
}

/** Take the last word back, and go to its frame. */
export function undo() {
  const last = done.pop();
  if (!last) return;
  const ended = last.before?.decides ?? false;
  apply(last.id, last.before, ended && own(last.id)?.decides ? null : ended);
  const index = state.ids.indexOf(last.id);
  if (index >= 0) go(index);
}

/** The frame's shapes are other ones now: that makes it a defect, of the kind that it had. */
export function draw(id, shapes) {
  const vote = own(id);
  const kinds = vote?.label === "defect" ? vote.kinds : [];
  return say({ label: "defect", kinds, shapes }, { id, moves: false });
}

/** A key that stands for a kind: alone it is the kind, with Shift one more, or one less. */
export function kindWord(number, adds) {
  const kind = state.kinds[number - 1];
  if (!kind) return null;
  const now = own(current())?.kinds ?? [];
  if (!adds) return { label: "defect", kinds: [kind] };
  return { label: "defect", kinds: now.includes(kind) ? now.filter((one) => one !== kind) : [...now, kind] };
}

on("accepted", ({ id, at, votes }) => {
  const detail = state.details.get(id);
  if (detail?.at !== at) return;
  detail.votes = votes;
  tell("detail", [id]);
});
/** A word that was refused, or given up, counts no more: what the server has is shown again. */
on("refused", async (id) => {
  for (let n = done.length - 1; n >= 0; n -= 1) if (done[n].id === id) done.splice(n, 1);
  let detail;
  let kinds;
  try {
    [[detail], { kinds }] = await Promise.all([call(`${api}/details?ids=${id}`), call(`/api/v1/labels/${camera}`)]);
  } catch (error) {
    tell("trouble", error.message);
    return;
  }
  state.kinds = kinds;
  state.shapes.delete(id);
  if (detail && state.details.has(id)) state.details.set(id, detail);
  tell("kinds");
  tell("detail", [id]);
});
on("found", () => { done.length = 0; });

