// Counts, or two studies side by side, as a table beside the sentences that quote them.

import { h } from "./dom.js";

/** The table of an answer; null where it has none. Texts become text nodes. */
export function answerTable(table) {
  if (!table) return null;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": table.title },
    h("table", { class: "counts" },
      h("caption", { class: "fine" }, table.title),
      h("thead", {}, h("tr", {}, table.columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, table.rows.map((row) => h("tr", {}, row.map((cell, n) => (n ? h("td", {}, cell) : h("th", { scope: "row" }, cell))))))));
}
