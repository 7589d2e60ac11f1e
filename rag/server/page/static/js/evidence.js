// The evidence beside an answer: numbered cards, quotes marked in their context, images to enlarge.

import { bringIntoView, h } from "./dom.js";
import { marked } from "./text.js";
import { sourceAddress } from "./source.js";
import { thumbnail } from "./thumbnail.js";

const LONG = 260; // characters that a passage may have without being folded
const KINDS = { report: "Report", literature: "Literature", image: "Image" };
const CHANNELS = {
  text: "similar in meaning", words: "same words", image: "similar image", "image-report": "fits the image",
  "text-image": "image fits the words", rerank: "read with the question", study: "the study itself",
};

/** The column of evidence. Citations arrive one by one while an answer is written, or all at once with a whole one. */
export class EvidencePane {
  #cards = new Map(); // passage id → {evidence, element, quote, badge, citations}
  #list = h("div", { class: "cards" });

  /** @param {(sentence: number) => void} onSentence asked to go back to a sentence that cites
   *  @param {object[]} gallery where the pictures of the evidence are put */
  constructor(onSentence, gallery) {
    this.onSentence = onSentence;
    this.gallery = gallery;
    this.own = gallery.length; // pictures of the question, which come first
    this.title = h("h2", { id: "evidence-title", tabindex: "-1" }, "Evidence");
    this.element = h("section", { class: "evidence", "aria-labelledby": "evidence-title" }, this.title, this.#list);
  }

  /** Shows evidence. `final` says that its numbers are those of the answer; before, they appear as citations do. */
  show(evidence, { final, answered = true } = {}) {
    this.#cards.clear();
    this.#list.replaceChildren();
    this.gallery.length = Math.min(this.gallery.length, this.own);
    for (const e of evidence) this.#cards.set(e.passage_id, card(e, final, this.gallery));
    this.#arrange(final, answered);
  }

  /** Marks what a sentence cites. @param {number} sentence 0-based */
  cite(sentence, citations) {
    for (const c of citations) {
      const found = this.#cards.get(c.passage_id);
      if (!found) continue;
      found.citations.push({ ...c, sentence });
      number(found, c.number);
      mark(found, this.onSentence);
    }
  }

  /** Where the answer is on record, every quote can be opened in its source. */
  link(answer) {
    for (const found of this.#cards.values()) {
      const [first] = found.citations;
      if (first) found.sentences.append(" ", h("a", { class: "open-source", href: sourceAddress(answer, first) }, "Open at the quote"));
    }
  }

  /** Cards in two groups, once it is known which are cited. */
  arrange(answered) {
    this.#arrange(true, answered);
    for (const c of this.#cards.values()) if (!c.citations.length) fold(c);
  }

  #arrange(final, answered) {
    const cards = [...this.#cards.values()];
    const cited = cards.filter((c) => c.citations.length);
    const rest = cards.filter((c) => !c.citations.length);
    this.title.textContent = answered || cited.length ? "Evidence" : "Nearest evidence";
    const parts = cited.map((c) => c.element);
    if (final && cited.length && rest.length) parts.push(h("h3", { class: "divider" }, "Read as well, not cited"));
    parts.push(...rest.map((c) => c.element));
    if (!cards.length) parts.push(h("p", { class: "empty" }, "No passage was close enough to be read."));
    this.#list.replaceChildren(...parts);
  }

  /** Lights up what a sentence cites; null puts the light out. */
  light(sentence, scroll = true) {
    let first = null;
    for (const { element, quote, citations } of this.#cards.values()) {
      const cites = sentence !== null && citations.some((c) => c.sentence === sentence);
      element.classList.toggle("lit", cites);
      for (const m of quote.querySelectorAll("mark")) {
        m.classList.toggle("lit", sentence !== null && m.dataset.of.split(" ").includes(String(sentence)));
      }
      if (cites && !first) first = element;
    }
    this.element.classList.toggle("dimmed", first !== null);
    if (first && scroll) this.#reveal(first);
  }

  /** Scrolls the column, never the page: what the reader is reading must not run away. */
  #reveal(element) {
    const pane = this.element;
    if (pane.scrollHeight <= pane.clientHeight || getComputedStyle(pane).overflowY === "visible") return;
    const [box, outer] = [element.getBoundingClientRect(), pane.getBoundingClientRect()];
    if (box.top >= outer.top && box.bottom <= outer.bottom) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    pane.scrollTo({ top: pane.scrollTop + box.top - outer.top - 12, behavior: still ? "auto" : "smooth" });
  }

  /** Goes to evidence n. @returns {boolean} whether there is one */
  go(n) {
    const found = [...this.#cards.values()].find((c) => c.number === n);
    if (!found) return false;
    found.element.focus({ preventScroll: true });
    bringIntoView(found.element);
    return true;
  }
}

/** What the number beside a passage is; the numbers of different kinds are not comparable. */
const relevance = (e) => (e.channel === "image" ? "Similarity of the images: a cosine" : "Relevance, from 0 to 1; 1 is first place in every search");

function card(e, final, gallery) {
  const badge = h("span", { class: "badge" }, "·");
  const quote = h("blockquote", {}, ...marked(e.text, []));
  const sentences = h("p", { class: "cited-by" });
  const title = e.title || e.document_id;
  const element = h("article", { class: "card", tabindex: "-1", "aria-label": title },
    h("header", {},
      badge,
      h("div", {},
        h("h3", {}, title),
        h("p", { class: "meta" }, [KINDS[e.kind] || e.kind, e.domain, CHANNELS[e.channel] || e.channel].join(" · "),
          e.channel === "study" ? null : h("span", { class: "score", title: relevance(e) }, ` ${e.score.toFixed(2)}`)))),
    e.image ? evidencePicture(e, title, gallery) : null,
    e.text ? quote : h("p", { class: "empty" }, "An image without text."),
    sentences,
    h("footer", {}, h("span", {}, h("span", { class: "source" }, e.source), ` · ${e.document_id}`),
      h("span", { class: "licence" }, `Licence: ${e.licence}`), references(e.references)));
  const made = { evidence: e, element, quote, badge, sentences, citations: [], number: null };
  if (final) number(made, e.number);
  return made;
}

function evidencePicture(e, title, gallery) {
  const shown = { path: e.image, number: e.number, alt: `Image of ${title}`, title: `${e.number}. ${title}` };
  gallery.push(shown);
  return thumbnail(shown, gallery);
}

/** Folds a long passage that nothing cites; a button unfolds it. */
function fold({ quote }) {
  if (quote.textContent.length < LONG || quote.classList.contains("folded")) return;
  quote.classList.add("folded");
  const button = h("button", { type: "button", class: "link unfold", onclick: () => { quote.classList.remove("folded"); button.remove(); } }, "Whole passage");
  quote.after(button);
}

function number(found, n) {
  found.number = n;
  found.badge.textContent = n;
  found.element.id = `evidence-${n}`;
  found.element.setAttribute("aria-label", `Evidence ${n}: ${found.evidence.title || found.evidence.document_id}`);
}

function mark(found, onSentence) {
  const { evidence, quote, citations, sentences } = found;
  const spans = citations.map((c) => ({
    start: c.start - evidence.start, end: c.end - evidence.start, of: String(c.sentence),
  }));
  quote.replaceChildren(...marked(evidence.text, spans));
  const by = [...new Set(citations.map((c) => c.sentence))];
  const silent = citations.every((c) => c.verdict === "not_mentioned");
  const verified = citations.every((c) => c.verdict === "supported");
  const read = citations.some((c) => c.verdict === "cited");
  const [look, said] = silent ? ["silent", "Does not mention it"]
    : read ? ["unverified", "Bears on it; yes or no is the model's reading"]
    : verified ? ["verified", "Verified"] : ["unverified", "Not verified"];
  sentences.replaceChildren(
    h("span", { class: look }, said),
    by.length === 1 ? " for sentence " : " for sentences ",
    ...by.flatMap((n, i) => [
      i ? ", " : "",
      h("button", { type: "button", class: "link", "aria-label": `Go to sentence ${n + 1}`, onclick: () => onSentence(n) }, String(n + 1)),
    ]));
}

function references(list) {
  if (!list?.length) return null;
  return h("span", { class: "references" }, "References: ", ...list.flatMap((r, i) => {
    const pubmed = /^PMID:(\d+)$/.exec(r);
    const shown = pubmed
      ? h("a", { href: `https://pubmed.ncbi.nlm.nih.gov/${pubmed[1]}/`, rel: "noreferrer noopener", target: "_blank" }, r)
      : r;
    return [i ? ", " : "", shown];
  }));
}
