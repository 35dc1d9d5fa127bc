// Commands to copy: a click on the button, or the text itself, which is selected whole by one click.
import { el, put } from "../dom.js";

/** Shows commands `{why, command}` in a list; it is rewritten only where something changed. */
export function showCommands(list, commands) {
  const now = JSON.stringify(commands);
  if (list.dataset.shown === now) return;
  list.dataset.shown = now;
  list.replaceChildren(...commands.map(row));
}

function row({ why, command }) {
  const code = el("code", {}, command);
  const button = el("button", { type: "button", "aria-label": `Copy: ${why}`, on: { click: () => copy(code, button) } }, "Copy");
  return el("li", {}, why, el("div", { class: "line" }, code, button));
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    put(button, "Copied");
  } catch {
    // without TLS browsers give no clipboard: the text is selected for Ctrl+C
    getSelection().selectAllChildren(code);
    put(button, "Selected");
  }
  setTimeout(() => put(button, "Copy"), 1500);
}
