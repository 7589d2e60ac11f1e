// Every report that a count is about: a table to sort and filter, each row with its quote, and files to take away.

import { save, whileBusy } from "./actions.js";
import { post, raw } from "./api.js";
import { announce, h } from "./dom.js";
import { count, many, sentence } from "./text.js";
import { plainly, STANDINGS } from "./words.js";

const PAGE = 200; // reports fetched at once
const COLUMNS = [
  ["study", "Study"], ["patient", "Patient"], ["date", "Date"], ["domain", "Domain"], ["status", "Says"], ["quote", "In its words"],
];

/** A button that lists them. @param {string} question as it is read @param {string} index */
export function cohortPanel(question, index) {
  const problem = h("p", { class: "problem", role: "alert" });
  const failed = (error) => { problem.textContent = error.message; };
  const panel = h("div", { class: "cohort" });
  const open = h("button", { type: "button", class: "quiet", onclick: (event) => whileBusy(event.currentTarget, async () => {
    const table = new CohortTable(question, index, failed);
    await table.more();
    panel.replaceChildren(table.element, problem);
    table.filter.focus();
  }, failed) }, "List the reports");
  panel.append(open, problem);
  return panel;
}

class CohortTable {
  #rows = [];
  #next = 0; // offset of the next page, null at the end
  #order = null; // [column, 1 or -1]

  constructor(question, index, failed) {
    this.body = { question, index };
    this.filter = h("input", { type: "search", id: "cohort-filter", placeholder: "Words of a row", oninput: () => this.#draw() });
    this.shown = h("p", { class: "fine", role: "status" });
    this.notes = h("p", { class: "fine" });
    this.head = h("tr", {}, COLUMNS.map(([name, label]) => h("th", { scope: "col", "aria-sort": "none", "data-column": name },
      h("button", { type: "button", class: "link", onclick: () => this.#sort(name) }, label))));
    this.tbody = h("tbody", {});
    const busy = (work) => (event) => whileBusy(event.currentTarget, work, failed);
    this.further = h("button", { type: "button", class: "quiet", hidden: true, onclick: busy(() => this.more()) }, "More reports");
    this.element = h("section", { "aria-label": "Reports" },
      h("div", { class: "actions" },
        h("label", { class: "field", for: "cohort-filter" }, h("span", {}, "Filter"), this.filter),
        h("button", { type: "button", class: "quiet", onclick: busy(() => this.#take("csv")) }, "Export CSV"),
        h("button", { type: "button", class: "quiet", onclick: busy(() => this.#take("jsonl")) }, "Export JSONL")),
      this.shown,
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Reports that were counted" }, h("table", { class: "stack cohort-table" }, h("thead", {}, this.head), this.tbody)),
      this.further, this.notes);
  }

  async more() {
    const found = await post("v1/find", { ...this.body, offset: this.#next, limit: PAGE });
    this.total = found.count;
    this.#rows.push(...found.hits.flatMap((hit) => rowsOf(hit, found.index)));
    this.reports = (this.reports || 0) + found.hits.length;
    this.#next = found.next_offset;
    this.further.hidden = this.#next === null;
    this.notes.textContent = found.notes.map((n) => sentence(plainly(n))).join(" ");
    this.#draw();
  }

  async #take(format) {
    const response = await raw("v1/find", { method: "POST", body: { ...this.body, format } });
    save(await response.blob(), `reports.${format}`);
  }

  #sort(name) {
    const down = this.#order?.[0] === name ? -this.#order[1] : 1;
    this.#order = [name, down];
    for (const th of this.head.children) th.setAttribute("aria-sort", th.dataset.column === name ? (down > 0 ? "ascending" : "descending") : "none");
    this.#draw();
    announce(`Sorted by ${COLUMNS.find(([n]) => n === name)[1]}, ${down > 0 ? "ascending" : "descending"}.`);
  }

  #draw() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = this.#rows.filter((r) => words.every((w) => r.all.includes(w)));
    if (this.#order) {
      const [name, down] = this.#order;
      rows.sort((a, b) => down * a[name].localeCompare(b[name], "en", { numeric: true }));
    }
    const reports = new Set(rows.map((r) => r.document)).size;
    this.shown.textContent = words.length
      ? `${many(reports, "report")} of the ${count(this.reports)} listed fit.`
      : `${many(this.reports, "report")} listed${this.reports < this.total ? ` of ${count(this.total)}` : ""}.`;
    this.tbody.replaceChildren(...rows.map((r) => h("tr", {}, COLUMNS.map(([name, label], n) => h(n ? "td" : "th", { scope: n ? null : "row", "data-label": label, class: name === "quote" ? "quoted" : null },
      name === "study" ? h("a", { href: `#/studies/${encodeURIComponent(r.index)}/${encodeURIComponent(r.study)}`, title: r.series ? `series ${r.series}` : null }, r.study) : r[name])))));
  }
}

/** A row for each sentence that made a report count; one for a report that counts by what it does not say. */
function rowsOf(hit, index) {
  const shared = { index, document: hit.document_id, study: hit.case_id, patient: hit.group_id, date: hit.date, domain: hit.domain, series: hit.series || "" };
  const said = hit.statements.length ? hit.statements : [{ status: "silent", quote: "" }];
  const seen = new Set();
  return said.filter((s) => (seen.has(s.quote + s.status) ? false : seen.add(s.quote + s.status))).map((s) => {
    const row = { ...shared, status: STANDINGS[s.status] || s.status, quote: s.quote };
    return { ...row, all: Object.values(row).join(" ").toLowerCase() };
  });
}
