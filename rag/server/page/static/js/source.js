// The source of a citation, opened at the quote: a report with its sections, a section of an article, a printed page, an
// image. The quotes of one answer are gone through by keys.

import { get } from "./api.js";
import { bringIntoView, h } from "./dom.js";
import { printedPage, readingText } from "./reading.js";
import { thumbnail } from "./thumbnail.js";

const KINDS = { report: "Report", literature: "Literature", image: "Image" };

export class SourceView {
  #answer = null;
  #quotes = []; // of the answer, each place once, in the order of its sentences
  #at = 0;

  constructor(element) {
    this.element = element;
  }

  /** @param {string} rest audit id, number of the quote from 1, and perhaps another part of the work */
  async show(rest) {
    const [id, number = "1", ...part] = rest.split("/");
    try {
      if (this.#answer?.audit_id !== id) {
        this.element.replaceChildren(h("p", { class: "empty" }, "Loading…"));
        this.#answer = await get(`v1/answers/${encodeURIComponent(id)}`);
        this.#quotes = distinct(this.#answer.citations);
      }
      if (!this.#quotes.length) throw new Error("This answer quotes nothing.");
      this.#at = Math.min(this.#quotes.length, Math.max(1, Number(number) || 1)) - 1;
      await this.#open(part.map(decodeURIComponent).join("/"));
    } catch (problem) {
      this.element.replaceChildren(h("h1", { class: "hidden" }, "Source"), h("p", { class: "problem", role: "alert" }, problem.message));
    }
  }

  /** The next or the previous quote. */
  step(by) {
    const to = this.#at + by;
    if (to >= 0 && to < this.#quotes.length) location.hash = this.#address(to);
  }

  #address = (n, part = "") => `#/sources/${this.#answer.audit_id}/${n + 1}${part ? `/${encodeURIComponent(part)}` : ""}`;

  async #open(part) {
    const quote = this.#quotes[this.#at];
    const base = `v1/answers/${encodeURIComponent(this.#answer.audit_id)}/evidence/${quote.number}`;
    const source = await get(`${base}/source${part ? `?part=${encodeURIComponent(part)}` : ""}`);
    const { document: d } = source;
    const evidence = this.#answer.evidence.find((e) => e.number === quote.number);
    const here = this.#quotes.map((q, n) => ({ ...q, n })).filter((q) => q.document_id === d.id);
    const text = readingText(d.text, here.map((q) => ({ start: q.start, end: q.end, of: String(q.n) })));
    const shown = d.id === quote.document_id;
    const title = h("h1", { tabindex: "-1" }, d.title);
    this.element.replaceChildren(
      h("p", { class: "crumb" }, h("a", { href: `#/answers/${this.#answer.audit_id}` }, this.#answer.question.text), " / Source"),
      title,
      h("p", { class: "meta" }, [KINDS[d.kind] || d.kind, d.date, d.source, d.id, `version ${source.index_version} of ${source.index}`, `Licence: ${d.licence}`].filter(Boolean).join(" · ")),
      h("div", { class: "actions quotes" },
        this.#button("Previous quote", -1), h("span", { class: "place", role: "status" }, `Quote ${this.#at + 1} of ${this.#quotes.length}`), this.#button("Next quote", 1),
        source.study ? h("a", { class: "button quiet", href: `#/studies/${encodeURIComponent(source.index)}/${encodeURIComponent(source.study)}` }, "The study") : null),
      h("div", { class: source.parts.length ? "reader with-parts" : "reader" },
        source.parts.length ? this.#parts(source.parts, d.id) : null,
        h("div", { class: "source-text" },
          shown && evidence?.image ? this.#picture(evidence) : null,
          ...(shown ? printed(base, quote) : []),
          d.text ? text : h("p", { class: "empty" }, "An image without text."))));
    for (const m of text.querySelectorAll("mark")) m.classList.toggle("lit", shown && m.dataset.of.split(" ").includes(String(this.#at)));
    title.focus({ preventScroll: true });
    const lit = text.querySelector("mark.lit");
    if (lit) bringIntoView(lit, "center");
  }

  #button(label, by) {
    const to = this.#at + by;
    return h("button", { type: "button", class: "quiet", disabled: to < 0 || to >= this.#quotes.length, title: by < 0 ? "p" : "n", onclick: () => this.step(by) }, label);
  }

  #parts(parts, current) {
    const shared = sharedStart(parts.map((p) => p.title));
    return h("nav", { class: "parts", "aria-label": "Parts of this work" }, h("ol", {}, parts.map((p) => h("li", {},
      h("a", { href: this.#address(this.#at, p.id), "aria-current": p.id === current ? "true" : null }, p.title.slice(shared))))));
  }

  #picture(evidence) {
    const shown = { path: evidence.image, alt: `Image of ${evidence.title || evidence.document_id}`, title: evidence.title || evidence.document_id };
    return thumbnail(shown, [shown], "source-image");
  }
}

/** Each page that the quote is printed on, with its boxes. */
function printed(base, quote) {
  const pages = Map.groupBy(quote.boxes || [], (b) => b.page);
  return [...pages].map(([page, boxes]) => printedPage(`${base}/pages/${page}`, page, boxes));
}

/** How long the name of the work is with which the titles of all its parts begin: up to a comma or a slash. */
function sharedStart(titles) {
  const others = titles.slice(1);
  if (!others.length) return 0;
  const ends = [...titles[0].matchAll(/[,/]\s+/g)].map((m) => m.index + m[0].length);
  return ends.findLast((end) => others.every((title) => title.length > end && title.startsWith(titles[0].slice(0, end)))) ?? 0;
}

function distinct(citations) {
  const seen = new Set();
  return citations.filter((c) => {
    const place = `${c.document_id} ${c.start} ${c.end}`;
    return seen.has(place) ? false : seen.add(place);
  });
}

/** The address of a citation's source. */
export const sourceAddress = (answer, citation) => `#/sources/${answer.audit_id}/${distinct(answer.citations).findIndex((c) => c.document_id === citation.document_id && c.start === citation.start && c.end === citation.end) + 1}`;
