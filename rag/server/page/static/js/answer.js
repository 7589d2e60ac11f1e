// One answer on the page: while it is being written, and as it was recorded.

import { bringIntoView, announce, h } from "./dom.js";
import { EvidencePane } from "./evidence.js";
import * as explain from "./explain.js";
import { recordPanel } from "./record.js";
import { answerTable } from "./table.js";
import { duration, percent, sentence as inSentence } from "./text.js";
import { loadedThumbnail, openViewer } from "./viewer.js";
import { whatToDo } from "./advice.js";

const STAGES = {
  queue: "Waiting for its turn", read: "Reading the question", route: "Finding the domain", retrieve: "Searching the evidence",
  select: "Choosing contexts", generate: "Writing from the evidence, not decided yet", verify: "Verifying every sentence", record: "Recording the answer",
};

/** Shows an answer in `element`. Feed it the events of a stream, or one whole answer. */
export class AnswerView {
  #sentences = [];
  #lit = null;

  /** @param {{text: string, image?: {url?: string, name?: string, path?: string}}} question as it was asked; an image
   *   is here already (url; none for DICOM, which browsers do not show) or on the server (path) */
  constructor(question) {
    this.pane = new EvidencePane((n) => this.goSentence(n));
    this.progress = h("p", { class: "progress", role: "status" });
    this.outcome = h("div", { class: "outcome" });
    this.list = h("ol", { class: "sentences", "aria-live": "polite", "aria-label": "Answer, sentence by sentence" });
    this.table = h("div", {});
    this.taken = h("p", { class: "fine taken" });
    this.how = h("div", { class: "how" });
    this.record = h("div", {});
    this.heading = h("h2", { class: "asked", tabindex: "-1" }, question.text);
    this.element = h("div", { class: "answer" },
      h("div", { class: "told" }, h("div", { class: "asked-row" }, picture(question.image), this.heading),
        this.taken, this.progress, this.outcome, this.list, this.table),
      this.pane.element,
      h("div", { class: "behind" }, this.how, this.record));
  }

  stage(name) {
    this.element.setAttribute("aria-busy", "true");
    this.progress.replaceChildren(h("span", { class: "pulse", "aria-hidden": "true" }), `${STAGES[name] || name}…`);
  }

  evidence(list) {
    this.pane.show(list, { final: false });
  }

  sentence(sentence, citations) {
    const n = this.#sentences.length;
    const element = h("li", {
      tabindex: "0",
      onmouseenter: () => this.light(n),
      onmouseleave: () => this.light(null),
      onfocusin: () => this.light(n),
      onfocusout: () => this.light(null),
    }, h("span", { class: "words" }, sentence.text), " ", sentence.citations.map((number) => this.#chip(number)), seen(sentence));
    this.#sentences.push(element);
    this.list.append(element);
    this.pane.cite(n, citations);
  }

  #chip(number) {
    return h("a", {
      class: "chip", href: `#evidence-${number}`, "aria-label": `Evidence ${number}`,
      onclick: (event) => {
        event.preventDefault();
        this.pane.go(number);
      },
    }, String(number));
  }

  certificate(certificate) {
    this.how.replaceChildren(block("Tested risk", explain.certificate(certificate)));
  }

  /** The decision. What was shown before it stays if the answer stands, and is taken back if it does not. */
  answer(answer, { quiet = false } = {}) {
    const answered = answer.decision === "answered";
    this.element.removeAttribute("aria-busy");
    this.element.classList.toggle("withheld", !answered);
    this.progress.replaceChildren();
    this.pane.show(answer.evidence, { final: true, answered });
    const told = this.#sentences.map((s) => s.firstElementChild.textContent);
    if (told.length !== answer.sentences.length || told.some((text, n) => text !== answer.sentences[n].text)) {
      this.#sentences = [];
      this.list.replaceChildren();
    }
    answer.sentences.forEach((s, n) => {
      const cited = answer.citations.filter((c) => c.sentence === n);
      if (this.#sentences.length > n) this.pane.cite(n, cited);
      else this.sentence(s, cited);
    });
    this.pane.arrange(answered);
    if (this.#lit !== null) this.light(this.#lit, false);
    this.list.hidden = !answer.sentences.length;
    this.outcome.replaceChildren(...(answered ? answeredOutcome(answer) : notAnswered(answer)));
    this.table.replaceChildren(...[answerTable(answer.table)].filter(Boolean));
    this.taken.textContent = (answer.question.taken?.notes || []).map(inSentence).join(" ");
    this.how.replaceChildren(
      h("h2", {}, "How this came about"),
      h("div", { class: "blocks" },
        block("Tested risk", explain.certificate(answer.certificate)),
        block("Confidence", explain.confidence(answer)),
        block("Where it was looked up", explain.route(answer.domain)),
        block("Contexts chosen", explain.contexts(answer), "wide")),
      h("p", { class: "fine" }, `${answered ? inSentence(answer.reason) : ""} Took ${duration(answer.timings_ms?.total ?? 0)}`.trim(),
        answer.timings_ms ? h("span", {}, ` (${explain.timings(answer.timings_ms)}).`) : "."));
    this.record.replaceChildren(recordPanel(answer));
    if (!quiet) announce(answered ? `Answered, confidence ${percent(answer.confidence)}.` : `Not answered. ${inSentence(answer.reason)}`);
  }

  /** The stream ended without a decision: nothing that was shown may stand. */
  fail(message) {
    this.element.removeAttribute("aria-busy");
    this.element.classList.add("withheld");
    this.progress.replaceChildren();
    this.outcome.replaceChildren(h("div", { class: "problem", role: "alert" }, message));
    if (this.#sentences.length) this.outcome.append(h("p", { class: "fine" }, "What is shown below was not decided on and is not an answer."));
  }

  light(n, scroll = true) {
    this.#lit = n;
    this.#sentences.forEach((s, i) => s.classList.toggle("lit", i === n));
    this.pane.light(n, scroll);
  }

  goSentence(n) {
    const element = this.#sentences[n];
    if (!element) return;
    element.focus({ preventScroll: true });
    bringIntoView(element);
  }

  /** The sentence after or before the one in focus. */
  step(by) {
    if (!this.#sentences.length) return;
    const at = this.#sentences.findIndex((s) => s.contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : this.#sentences.length - 1) : Math.min(this.#sentences.length - 1, Math.max(0, at + by));
    this.goSentence(next);
  }
}

/** What a sentence rests on that no text verifies: the question's own image. */
function seen(sentence) {
  if (!sentence.seen_by) return null;
  return h("span", { class: "fine seen", title: `Seen by ${sentence.seen_by}` }, "[image] seen by the model in the image, not verified by a text");
}

function picture(image) {
  if (!image) return null;
  const alt = "The image of the question";
  if (image.path) return loadedThumbnail(image.path, alt, alt, "asked-image");
  if (!image.url) return h("p", { class: "fine asked-image" }, `With the image ${image.name}`);
  return h("button", { type: "button", class: "thumbnail asked-image", "aria-label": `Enlarge: ${alt}`, onclick: () => openViewer(image.url, alt, alt) },
    h("img", { src: image.url, alt }));
}

function answeredOutcome(answer) {
  if (!answer.verdict) return [];
  const words = { yes: "Yes", no: "No", not_mentioned: "Not mentioned" };
  return [h("p", { class: "verdict" }, h("strong", {}, words[answer.verdict]))];
}

function notAnswered(answer) {
  const advice = whatToDo(answer);
  const parts = [h("div", { class: "not-answered" },
    h("h3", {}, "Not answered"),
    h("p", { class: "why" }, inSentence(answer.reason)),
    h("p", { class: "label" }, "What you can do"),
    h("ul", {}, advice.map((a) => h("li", {}, a))))];
  if (answer.sentences.length) parts.push(h("p", { class: "label withdrawn-label" }, "Statements found, not given as an answer"));
  return parts;
}

function block(title, children, size = "") {
  return h("section", { class: `block ${size}` }, h("h3", {}, title), ...[children].flat());
}
