// Keys that work anywhere on the page, except while something is typed or a dialog is open.

import { helpDialog } from "./dialogs.js";
import { byId } from "./dom.js";

const OFF = "clincite.single-keys-off";
const SHOWN = [
  ["/", "Write a question"], ["Enter", "Ask (in the question)"], ["j k", "Next and previous sentence of the answer"],
  ["1 … 9", "Go to that piece of evidence"], ["o", "Open the sentence’s source at its quote"], ["n p", "Next and previous quote, in a source"],
  ["h", "History"], ["s", "Studies"], ["i", "Indexes"], ["t", "Dark or light"],
  ["Esc", "Leave the question; stop an answer"], ["+ − 0", "Zoom an enlarged image; arrow keys move it"], ["[ ]", "Turn the frames of an enlarged image"],
  ["w m r", "Window it, move it, measure in it"], ["i c g", "Invert it, compare it, show where findings are"], ["?", "This list"],
];

const enabled = () => !stored();
function stored() {
  try {
    return localStorage.getItem(OFF);
  } catch {
    return null;
  }
}
function toggle(on) {
  try {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } catch {
    // storage is blocked: the choice lasts as long as the page
  }
}

export const help = () => helpDialog(SHOWN, { enabled: enabled(), toggle });

/** @param {Record<string, () => void>} actions by key; `digit` gets a number */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      event.target.blur?.();
      return actions.escape();
    }
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !enabled()) return undefined;
    const action = /^[1-9]$/.test(event.key) ? () => actions.digit(Number(event.key)) : actions[event.key];
    if (!action) return undefined;
    event.preventDefault();
    return action();
  });
  byId("open-help").addEventListener("click", help);
}
