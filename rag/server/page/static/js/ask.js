// The question: written, sent, and answered before the reader's eyes.

import { AnswerView } from "./answer.js";
import { events, get, problemIn } from "./api.js";
import { completeStudies } from "./complete.js";
import { announce, bringIntoView, byId, h } from "./dom.js";
import { PictureInput } from "./picture.js";
import { many } from "./text.js";
import { VERDICTS } from "./words.js";

const RETRY_MS = 1500;

export class AskView {
  #indexes = [];
  #running = null; // AbortController of the question under way
  #thread = newThread(); // the conversation that questions belong to, until another one is begun
  view = null;

  constructor() {
    this.form = byId("ask");
    this.question = byId("question");
    this.picture = new PictureInput((text) => this.#problem(text));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    this.question.addEventListener("input", () => this.#problem(""));
    byId("index").addEventListener("change", () => this.#holdings());
    byId("stop").addEventListener("click", () => this.stop());
    byId("anew").addEventListener("click", () => {
      this.#thread = newThread();
      this.#forget();
      byId("anew").hidden = true;
      announce("A new conversation: what was asked before is not looked at.");
      this.question.focus();
    });
    completeStudies(byId("study"), () => byId("index").value);
    document.addEventListener("key-changed", () => this.loadIndexes());
  }

  /** Fills the choice of indexes; an index chosen before stays chosen. */
  async loadIndexes() {
    const select = byId("index");
    try {
      const { indexes } = await get("v1/indexes");
      const names = indexes.map((i) => i.name);
      const chosen = names.includes(select.value) ? select.value : names.includes("demo") ? "demo" : names[0];
      select.replaceChildren(...names.map((n) => h("option", { value: n, selected: n === chosen }, n)));
      this.#indexes = indexes;
      this.#holdings();
      if (!names.length) this.#problem("This server holds no index yet. Build one with: rag ingest SOURCE --index NAME");
    } catch (problem) {
      if (problem.status === 503) setTimeout(() => this.loadIndexes(), RETRY_MS); // it is still opening them
      if (problem.status !== 401) byId("holdings").textContent = problem.message;
    }
  }

  /** What the chosen index holds, before anything has been asked. */
  #holdings() {
    const index = this.#indexes.find((i) => i.name === byId("index").value);
    if (index) this.#examples();
    const names = { report: "report", literature: "piece of literature", image: "image" };
    const several = { literature: "pieces of literature" };
    const kinds = Object.entries(index?.documents || {}).map(([kind, n]) => many(n, names[kind] || kind, several[kind]));
    byId("holdings").replaceChildren(...(kinds.length
      ? [`The index “${index.name}” holds ${kinds.join(", ")}. `, h("a", { href: `#/indexes/${encodeURIComponent(index.name)}` }, "Sources and licences")] : []));
  }

  /** Questions that the chosen index can answer. */
  async #examples() {
    const index = byId("index").value;
    const { examples } = await get(`v1/indexes/${encodeURIComponent(index)}/examples`).catch(() => ({ examples: [] }));
    if (index !== byId("index").value) return;
    byId("examples-label").hidden = !examples.length;
    byId("examples").replaceChildren(...examples.map((text) => h("li", {}, h("button", {
      type: "button", class: "example",
      onclick: () => {
        this.question.value = text;
        this.form.requestSubmit();
      },
    }, text))));
  }

  /** The answer before becomes a line of the conversation. */
  #remember() {
    const before = this.view?.given;
    this.view = null;
    if (!before || before.question.thread !== this.#thread) return;
    const meant = before.question.taken?.means;
    const verdict = before.decision === "answered" ? VERDICTS[before.verdict] || "Answered" : "Not answered";
    byId("turns").append(h("li", {}, h("a", { href: `#/answers/${before.audit_id}` },
      h("span", { class: "question" }, before.question.text),
      h("span", { class: `decision ${before.decision}` }, verdict),
      meant && meant !== before.question.text ? h("span", { class: "meta" }, `Taken to mean: ${meant}`) : null)));
    byId("turns").hidden = false;
  }

  #forget() {
    this.view = null;
    byId("turns").replaceChildren();
    byId("turns").hidden = true;
    byId("result").hidden = true;
    byId("welcome").hidden = false;
  }

  #problem(text) {
    byId("ask-problem").textContent = text;
  }

  stop() {
    this.#running?.abort();
  }

  async ask() {
    const text = this.question.value.trim();
    if (!text) {
      this.#problem("Write a question first.");
      this.question.focus();
      return;
    }
    if (this.picture.refusal) return this.#problem(this.picture.refusal);
    this.#problem("");
    this.stop();
    const running = new AbortController();
    this.#running = running;
    this.#busy(true);
    this.#remember();
    const view = new AnswerView({ text, image: this.picture.shown }, { index: byId("index").value });
    this.view = view;
    byId("welcome").hidden = true;
    byId("result").replaceChildren(view.element);
    byId("result").hidden = false;
    view.stage("read");
    if (matchMedia("(max-width: 62rem)").matches) bringIntoView(view.element, "start");
    if (matchMedia("(pointer: coarse)").matches) this.question.blur(); // puts the keyboard on the screen away
    try {
      const image = await this.picture.data();
      const body = { question: text, stream: true, index: byId("index").value || undefined };
      body.thread = this.#thread;
      if (image) body.image = image;
      if (byId("study").value.trim()) body.study = byId("study").value.trim();
      await this.#follow(view, body, running.signal);
    } catch (problem) {
      if (problem.name === "AbortError") {
        view.fail("Stopped.");
        announce("Stopped.");
      } else {
        view.fail(problem.message);
      }
    } finally {
      if (this.#running === running) {
        this.#running = null;
        this.#busy(false);
      }
    }
  }

  async #follow(view, body, signal) {
    const handlers = {
      stage: (d) => view.stage(d.stage),
      evidence: (d) => view.evidence(d.evidence),
      sentence: (d) => view.sentence(d.sentence, d.citations),
      answer: (d) => {
        view.answer(d.answer?.audit_id ? d.answer : d);
        byId("anew").hidden = false;
      },
      error: (d) => {
        throw problemIn(d);
      },
    };
    let decided = false;
    for await (const { event, data } of events("v1/answers", { body, signal })) {
      if (signal.aborted) return;
      handlers[event]?.(data);
      decided ||= event === "answer";
    }
    if (!decided) throw problemIn({ detail: "The server stopped before the answer was decided. Ask again." });
  }

  #busy(on) {
    byId("stop").hidden = !on;
    byId("submit").disabled = on;
    this.form.setAttribute("aria-busy", String(on));
  }
}

function newThread() {
  return `page-${Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, "0")).join("")}`;
}
