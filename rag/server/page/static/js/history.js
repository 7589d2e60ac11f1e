// The answers on record in an index, newest first.

import { download, whileBusy } from "./actions.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { many, sentence, when } from "./text.js";

const PAGE = 20;

export class HistoryView {
  #before = null;

  constructor(element) {
    this.index = h("select", { id: "history-index", onchange: () => this.#restart() });
    this.result = h("div", { class: "audit-result", role: "status" });
    this.list = h("ol", { class: "history", hidden: true });
    this.state = h("p", { class: "empty", role: "status" });
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.#load() }, "Older answers");
    element.append(
      h("h1", { id: "history-title", tabindex: "-1" }, "History"),
      h("p", { class: "lead" }, "Every answer is kept as it was given, with its evidence, and can be verified and replayed."),
      h("div", { class: "actions" },
        h("label", { class: "field", for: "history-index" }, h("span", {}, "Index"), this.index),
        this.#action("Verify all", () => this.#verify()),
        this.#action("Export", () => download(`v1/audit/export?${this.#query()}`, `${this.index.value}-ledger.jsonl`))),
      this.result, this.list, this.state, this.more);
  }

  #query = () => new URLSearchParams({ index: this.index.value });

  #action(label, work) {
    const failed = (problem) => this.result.replaceChildren(h("p", { class: "problem" }, problem.message));
    return h("button", { type: "button", class: "quiet", onclick: (event) => whileBusy(event.currentTarget, work, failed) }, label);
  }

  /** The whole ledger: any entry that was edited, removed or moved breaks its chain. */
  async #verify() {
    const { ok, entries, head, problem } = await get(`v1/audit/chain?${this.#query()}`);
    this.result.replaceChildren(
      h("p", { class: ok ? "good" : "bad" }, h("strong", {}, ok ? `All ${many(entries, "entry", "entries")} hold, none is missing in between.` : sentence(problem))),
      h("p", { class: "fine" }, "The last entry’s hash; noted elsewhere, it later shows that nothing was cut off: ", h("code", {}, head)));
  }

  async show() {
    try {
      const { indexes } = await get("v1/indexes");
      const chosen = this.index.value;
      this.index.replaceChildren(...indexes.map((i) => h("option", { value: i.name, selected: i.name === chosen }, i.name)));
      await this.#restart();
    } catch (problem) {
      this.state.textContent = problem.message;
    }
  }

  async #restart() {
    this.#before = null;
    this.result.replaceChildren();
    this.list.replaceChildren();
    await this.#load();
  }

  async #load() {
    const index = this.index.value;
    if (!index) {
      this.state.textContent = "This server holds no index yet.";
      return;
    }
    this.more.disabled = true;
    if (!this.list.children.length) this.state.textContent = "Loading…";
    const query = new URLSearchParams({ index, limit: String(PAGE) });
    if (this.#before !== null) query.set("before", String(this.#before));
    try {
      const { entries } = await get(`v1/answers?${query}`);
      if (index !== this.index.value) return; // another index was chosen meanwhile
      this.list.append(...entries.map(row));
      this.#before = entries.at(-1)?.number ?? null;
      this.more.hidden = entries.length < PAGE;
      this.list.hidden = !this.list.children.length;
      this.state.textContent = this.list.children.length ? "" : "Nothing has been asked of this index yet.";
    } catch (problem) {
      this.state.textContent = problem.message;
    } finally {
      this.more.disabled = false;
    }
  }
}

function row(a) {
  return h("li", {}, h("a", { href: `#/answers/${a.audit_id}` },
    h("span", { class: "question" }, a.question),
    h("span", { class: `decision ${a.decision}` }, a.decision === "answered" ? "Answered" : "Not answered"),
    h("span", { class: "meta" }, [when(a.created), a.audit_id, a.caller].filter(Boolean).join(" · "))));
}
