// A button that opens a short list of others. Native details: Escape, a click elsewhere or a choice closes it.

import { whileBusy } from "./actions.js";
import { h } from "./dom.js";

/** @param {[string, () => any][]} items what they are called and what they do @param {(problem: Error) => void} failed */
export function menu(label, items, failed) {
  const close = () => { element.open = false; };
  const element = h("details", {
    class: "menu",
    onkeydown: (event) => {
      if (event.key !== "Escape" || !element.open) return;
      event.stopPropagation();
      close();
      element.firstElementChild.focus();
    },
    onfocusout: (event) => { if (event.relatedTarget && !element.contains(event.relatedTarget)) close(); },
  },
  h("summary", { class: "button quiet" }, label),
  h("div", { class: "menu-items" }, items.map(([name, work]) => h("button", {
    type: "button",
    onclick: (event) => {
      const button = event.currentTarget;
      whileBusy(button, async () => work(), failed).then(close);
    },
  }, name))));
  document.addEventListener("pointerdown", (event) => { if (element.open && !element.contains(event.target)) close(); });
  return element;
}
