// Dialogs: a question to confirm, the API key, the keyboard shortcuts. All are native: Escape closes them.

import { key } from "./api.js";
import { h } from "./dom.js";

function open(title, body, actions, options = {}) {
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title", onclose: () => dialog.remove(), ...options },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), ...body, h("div", { class: "actions end" }, actions)));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks before something is done. @returns {Promise<boolean>} */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    const dialog = open(title, [h("p", {}, text)], [
      h("button", { class: "quiet", value: "no", autofocus: true }, "Cancel"),
      h("button", { class: "primary", value: "yes" }, action),
    ]);
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
  });
}

export function keyDialog(why = "") {
  if (document.querySelector("dialog.key")) return;
  const input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", value: key.get() });
  const dialog = open("API key", [
    why ? h("p", { class: "problem" }, why) : null,
    h("p", { class: "fine" }, "Needed only where this server asks for one. It stays in this tab and is forgotten when the tab closes."),
    h("label", { for: "key" }, "Key"), input,
  ].filter(Boolean), [
    h("button", { class: "quiet", value: "cancel", type: "button", onclick: () => dialog.close("cancel") }, "Cancel"),
    h("button", { class: "primary", value: "save" }, "Use this key"),
  ], { class: "dialog key" });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "save") return;
    key.set(input.value.trim());
    document.dispatchEvent(new CustomEvent("key-changed"));
  });
  input.focus();
}

/** @param {[string, string][]} shortcuts keys and what they do */
export function helpDialog(shortcuts, { enabled, toggle }) {
  if (document.querySelector("dialog.help")) return;
  const box = h("input", { type: "checkbox", id: "single-keys", checked: enabled, onchange: () => toggle(box.checked) });
  open("Keyboard shortcuts", [
    h("dl", { class: "shortcuts" }, shortcuts.map(([keys, what]) => h("div", {},
      h("dt", {}, keys.split(" ").map((k) => h("kbd", {}, k))), h("dd", {}, what)))),
    h("p", {}, h("label", { class: "check" }, box, " Single-key shortcuts are on")),
  ], [h("button", { class: "primary", value: "close" }, "Close")], { class: "dialog help" });
}
