// One answer on the page: while it is being written, and as it was recorded.

import { get } from "./api.js";
import { bringIntoView, announce, h } from "./dom.js";
import { cohortPanel } from "./cohort.js";
import { EvidencePane } from "./evidence.js";
import * as explain from "./explain.js";
import { recordPanel } from "./record.js";
import { answerTable } from "./table.js";
import { duration, percent, sentence as inSentence } from "./text.js";
import { sourceAddress } from "./source.js";
import { thumbnail } from "./thumbnail.js";
import { whatToDo } from "./advice.js";
import { beneath, plainly, sideOf, VERDICTS } from "./words.js";

const STAGES = {
  queue: "Waiting for its turn", read: "Reading the question", route: "Finding the domain", retrieve: "Searching the evidence",
  select: "Choosing contexts", generate: "Writing from the evidence, not decided yet", verify: "Verifying every sentence", record: "Recording the answer",
};

/** Shows an answer in `element`. Feed it the events of a stream, or one whole answer. */
export class AnswerView {
  #sentences = []; // {element, text}: as it came, whatever of it is shown
  #lit = null;
  #gallery = []; // pictures of the question and of its evidence, which the viewer leafs through
  given = null; // the answer, once it is decided

  /** @param {{text: string, image?: import("./thumbnail.js").Picture}} question as it was asked
   *  @param {{index?: string}} context the index that was asked, where that is known */
  constructor(question, { index } = {}) {
    this.index = index;
    const asked = picture(question.image, this.#gallery);
    this.pane = new EvidencePane((n) => this.goSentence(n), this.#gallery);
    this.progress = h("p", { class: "progress", role: "status" });
    this.outcome = h("div", { class: "outcome" });
    this.list = h("ol", { class: "sentences", "aria-live": "polite", "aria-label": "Answer, sentence by sentence" });
    this.sides = h("div", { class: "sides", hidden: true });
    this.table = h("div", {});
    this.taken = h("p", { class: "fine taken" });
    this.how = h("details", { class: "how", hidden: true, ontoggle: () => this.#unfolded() });
    this.record = h("div", {});
    this.heading = h("h2", { class: "asked", tabindex: "-1" }, question.text);
    this.element = h("div", { class: "answer" },
      h("div", { class: "told" }, h("div", { class: "asked-row" }, asked, this.heading),
        this.taken, this.progress, this.outcome, this.list, this.sides, this.table, this.record),
      this.pane.element,
      h("div", { class: "behind" }, this.how));
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
    this.#sentences.push({ element, text: sentence.text });
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

  /** The decision. What was shown before it stays if the answer stands, and is taken back if it does not. */
  answer(answer, { quiet = false } = {}) {
    const answered = answer.decision === "answered";
    this.given = answer;
    this.element.removeAttribute("aria-busy");
    this.element.classList.toggle("withheld", !answered);
    this.progress.replaceChildren();
    this.pane.show(answer.evidence, { final: true, answered });
    if (this.#sentences.length !== answer.sentences.length || this.#sentences.some(({ text }, n) => text !== answer.sentences[n].text)) {
      this.#sentences = [];
      this.list.replaceChildren();
    }
    answer.sentences.forEach((s, n) => {
      const cited = answer.citations.filter((c) => c.sentence === n);
      if (this.#sentences.length > n) this.pane.cite(n, cited);
      else this.sentence(s, cited);
    });
    this.pane.arrange(answered);
    this.pane.link(answer);
    if (this.#lit !== null) this.light(this.#lit, false);
    this.outcome.replaceChildren(...(answered ? answeredOutcome(answer) : notAnswered(answer)));
    this.#settle(answer);
    for (const p of this.#gallery) Object.assign(p, { audit: answer.audit_id, recorded: p.number ? p.path : answer.question.image });
    this.list.hidden = !this.list.children.length;
    this.table.replaceChildren(...[answerTable(answer.table), this.#reports(answer)].filter(Boolean));
    this.taken.textContent = (answer.question.taken?.notes || []).map(inSentence).join(" ");
    this.#explain(answer);
    this.record.replaceChildren(recordPanel(answer));
    if (!quiet) announce(answered ? `Answered, confidence ${percent(answer.confidence)}.` : `Not answered. ${inSentence(plainly(answer.reason))}`);
  }

  /** The sentences in their last form: the verdict is not said again, contradictions stand side by side, parts apart. */
  #settle(answer) {
    const sides = { yes: [], no: [] };
    this.#sentences.forEach(({ element, text }, n) => {
      const [side, rest] = sideOf(text) || [];
      const part = answer.parts?.find((p) => p.sentences[0] <= n && n < p.sentences[1]);
      element.firstElementChild.textContent = rest || (part ? beneath(ofPart(text, part), part.verdict) : beneath(text, answer.verdict));
      if (side) sides[side].push(element);
    });
    this.sides.hidden = !(sides.yes.length && sides.no.length);
    if (!this.sides.hidden) {
      this.sides.replaceChildren(...Object.entries(sides).map(([side, elements]) => h("section", { "aria-label": `For ${side}` },
        h("h4", {}, `For ${side}`), h("ol", { class: "sentences" }, elements))));
    }
    for (const part of (answer.parts || []).toReversed()) this.#sentences[part.sentences[0]]?.element.before(partHeading(part));
    for (const part of (answer.parts || []).filter((p) => p.sentences[0] === p.sentences[1])) this.list.append(partHeading(part));
  }

  /** The reports behind a count; null where nothing was counted. */
  #reports(answer) {
    if (!answer.table || !this.index || !answer.evidence.some((e) => e.channel === "statements")) return null;
    return cohortPanel(answer.question.taken?.means || answer.question.text, this.index);
  }

  #explain(answer) {
    const answered = answer.decision === "answered";
    const brief = answered ? `${explain.standing(answer.certificate)} · confidence ${percent(answer.confidence)}` : "";
    this.tested = block("Tested risk", explain.certificate(answer.certificate));
    this.how.hidden = false;
    this.how.replaceChildren(
      h("summary", {}, h("span", { class: "how-title" }, "How this came about"), h("span", { class: "fine" }, brief)),
      h("div", { class: "blocks" },
        block("Where it was looked up", explain.route(answer.domain)),
        block("Contexts chosen", explain.contexts(answer), "wide"),
        block("Confidence", explain.confidence(answer)),
        this.tested),
      h("p", { class: "fine" }, `${answered ? inSentence(plainly(answer.reason)) : ""} Took ${duration(answer.timings_ms?.total ?? 0)}`.trim(),
        answer.timings_ms ? h("span", {}, ` (${explain.timings(answer.timings_ms)}).`) : "."));
  }

  /** Which forms of question the index was tested on is asked of the server only when somebody looks. */
  async #unfolded() {
    const certificate = this.given?.certificate;
    if (!this.how.open || !this.index || !certificate || certificate.forms?.length || !explain.tested(certificate)) return;
    const about = await get(`v1/indexes/${encodeURIComponent(this.index)}`).catch(() => null);
    if (about?.certificate?.forms) this.tested.replaceChildren(...block("Tested risk", explain.certificate(certificate, about.certificate.forms)).childNodes);
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
    this.#sentences.forEach(({ element }, i) => element.classList.toggle("lit", i === n));
    this.pane.light(n, scroll);
  }

  goSentence(n) {
    const element = this.#sentences[n]?.element;
    if (!element) return;
    element.focus({ preventScroll: true });
    bringIntoView(element);
  }

  /** The source of the sentence in focus, else of the first one, at its quote. */
  openSource() {
    const at = Math.max(0, this.#sentences.findIndex(({ element }) => element.contains(document.activeElement)));
    const cited = this.given?.citations.find((c) => c.sentence === at);
    if (cited) location.hash = sourceAddress(this.given, cited);
  }

  /** The sentence after or before the one in focus. */
  step(by) {
    if (!this.#sentences.length) return;
    const at = this.#sentences.findIndex(({ element }) => element.contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : this.#sentences.length - 1) : Math.min(this.#sentences.length - 1, Math.max(0, at + by));
    this.goSentence(next);
  }
}

/** What a sentence rests on that no text verifies: the question's own image. */
function seen(sentence) {
  if (!sentence.seen_by) return null;
  return h("span", { class: "fine seen", title: `Seen by ${sentence.seen_by}` }, "[image] seen by the model in the image, not verified by a text");
}

function picture(image, gallery) {
  if (!image) return null;
  const shown = { alt: "The image of the question", title: "The image of the question", ...image };
  gallery.push(shown);
  return thumbnail(shown, gallery, "asked-image");
}

function answeredOutcome(answer) {
  const verdict = answer.verdict ? [h("p", { class: "verdict" }, h("strong", {}, VERDICTS[answer.verdict]))] : [];
  return [...verdict, ...witnesses(answer)];
}

/** What a second model says beside the report as it was read: side by side where they differ. */
function witnesses({ second_opinion: second, probability }) {
  if (!second || probability === null) return [];
  const [read, heard] = [probability, second.probability].map((p) => (p >= 0.5 ? "yes" : "no"));
  const sure = percent(heard === "yes" ? second.probability : 1 - second.probability);
  if (read === heard) return [h("p", { class: "fine" }, `A second model, ${second.model}, says the same (${sure}).`)];
  const side = (title, said) => h("section", { "aria-label": title }, h("h4", {}, title), h("p", {}, said));
  return [h("div", { class: "sides witnesses" }, side("The report, as it was read", VERDICTS[read]), side(`A second model, ${second.model}`, `${VERDICTS[heard]} (${sure})`))];
}

/** A part's sentence without the question, which stands above it. */
const ofPart = (text, part) => (text.startsWith(`${part.question} — `) ? text.slice(part.question.length + 3) : text);

/** One of several things that were asked for: its own question and its own verdict. */
function partHeading(part) {
  const verdict = part.decision === "answered" ? VERDICTS[part.verdict] || "" : "Not answered";
  return h("li", { class: "part" }, h("span", { class: "part-question" }, part.question), verdict ? h("strong", { class: "part-verdict" }, verdict) : null,
    h("span", { class: "fine" }, part.decision === "answered" ? explain.standing(part.certificate) : inSentence(plainly(part.reason))));
}

function notAnswered(answer) {
  const advice = whatToDo(answer);
  const parts = [h("div", { class: "not-answered" },
    h("h3", {}, "Not answered"),
    h("p", { class: "why" }, inSentence(plainly(answer.reason))),
    h("p", { class: "label" }, "What you can do"),
    h("ul", {}, advice.map((a) => h("li", {}, a))))];
  parts.push(...witnesses(answer));
  if (answer.sentences.length) parts.push(h("p", { class: "label withdrawn-label" }, "Statements found, not given as an answer"));
  return parts;
}

function block(title, children, size = "") {
  return h("section", { class: `block ${size}` }, h("h3", {}, title), ...[children].flat());
}
