// The answers on record in an index, newest first, and found again by words, date, decision and judgement.

import { download, whileBusy } from "./actions.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { many, sentence, when } from "./text.js";
import { VERDICTS } from "./words.js";

const PAGE = 20;
const PAUSE_MS = 250; // after the last letter of a search
const MARKS = { right: "Judged right", wrong: "Judged wrong", corrected: "Corrected" };

export class HistoryView {
  #before = null;
  #asked = 0; // of several loads under way only the last one counts
  #typed = null;

  constructor(element) {
    this.index = h("select", { id: "history-index", onchange: () => this.#restart() });
    this.words = h("input", { id: "history-words", type: "search", maxlength: "200", placeholder: "Words, a study", oninput: () => this.#later() });
    this.decision = choice("history-decision", [["", "Any"], ["answered", "Answered"], ["abstained", "Not answered"]], () => this.#restart());
    this.judged = choice("history-judged", [["", "Any"], ["true", "Judged"], ["false", "Not judged"]], () => this.#restart());
    this.since = h("input", { id: "history-since", type: "date", onchange: () => this.#restart() });
    this.until = h("input", { id: "history-until", type: "date", onchange: () => this.#restart() });
    this.result = h("div", { class: "audit-result", role: "status" });
    this.list = h("ol", { class: "history", hidden: true });
    this.state = h("p", { class: "empty", role: "status" });
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.#load() }, "Older answers");
    element.append(
      h("h1", { id: "history-title", tabindex: "-1" }, "History"),
      h("p", { class: "lead" }, "Every answer is kept as it was given, with its evidence, and can be verified and replayed."),
      h("form", { class: "filters", role: "search", "aria-label": "Find answers", onsubmit: (event) => { event.preventDefault(); this.#restart(); } },
        field("Index", this.index), field("Search", this.words), field("Decision", this.decision), field("Judgement", this.judged),
        field("From", this.since), field("To", this.until)),
      h("div", { class: "actions" },
        this.#action("Verify all", () => this.#verify()),
        this.#action("Export", () => download(`v1/audit/export?${this.#query()}`, `${this.index.value}-ledger.jsonl`))),
      this.result, this.list, this.state, this.more);
  }

  #query = () => new URLSearchParams({ index: this.index.value });

  /** What is looked for, without what was left empty. */
  #wanted() {
    const query = this.#query();
    const given = { q: this.words.value.trim(), decision: this.decision.value, judged: this.judged.value, since: this.since.value, until: this.until.value };
    for (const [name, value] of Object.entries(given)) if (value) query.set(name, value);
    return query;
  }

  #later() {
    clearTimeout(this.#typed);
    this.#typed = setTimeout(() => this.#restart(), PAUSE_MS);
  }

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
    await this.#load(true);
  }

  async #load(anew = false) {
    if (!this.index.value) {
      this.state.textContent = "This server holds no index yet.";
      return;
    }
    const asked = ++this.#asked;
    this.more.disabled = true;
    if (!this.list.children.length) this.state.textContent = "Loading…";
    const query = this.#wanted();
    const narrowed = [...query.keys()].length > 1;
    query.set("limit", String(PAGE));
    if (this.#before !== null) query.set("before", String(this.#before));
    try {
      const { entries } = await get(`v1/answers?${query}`);
      if (asked !== this.#asked) return; // something else was looked for meanwhile
      if (anew) this.list.replaceChildren();
      this.list.append(...entries.map(row));
      this.#before = entries.at(-1)?.number ?? null;
      this.more.hidden = entries.length < PAGE;
      this.list.hidden = !this.list.children.length;
      this.state.textContent = this.list.children.length ? "" : narrowed ? "No answer on record is like that." : "Nothing has been asked of this index yet.";
    } catch (problem) {
      if (asked === this.#asked) this.state.textContent = problem.message;
    } finally {
      this.more.disabled = false;
    }
  }
}

const field = (label, control) => h("label", { class: "field", for: control.id }, h("span", {}, label), control);
const choice = (id, options, onchange) => h("select", { id, onchange }, options.map(([value, text]) => h("option", { value }, text)));

function row(a) {
  const verdict = a.decision === "answered" ? VERDICTS[a.verdict] || "Answered" : "Not answered";
  return h("li", {}, h("a", { href: `#/answers/${a.audit_id}` },
    h("span", { class: "question" }, a.question),
    h("span", { class: `decision ${a.decision}` }, verdict),
    h("span", { class: "meta" }, [when(a.created), a.study && !a.question.includes(a.study) ? `study ${a.study}` : "", MARKS[a.mark], a.audit_id, a.caller].filter(Boolean).join(" · "))));
}
