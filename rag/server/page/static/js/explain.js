// How an answer came about, in words: route, contexts, confidence, certificate.

import { curve, whySelected } from "./curve.js";
import { bar, h } from "./dom.js";
import { capital, count, many, percent, sentence } from "./text.js";
import { formsInWords } from "./words.js";

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

const lost = (risk) => (risk && risk !== "wrong-answer" ? `are lost by the risk “${risk}”` : "are wrong");

/** What the certificate promises, or that it promises nothing. @param {string[]} forms of question that the index was tested on */
export function certificate(c, forms = []) {
  return h("div", {}, promised(c, forms), c.image_effect ? seeing(c.image_effect) : null);
}

/** Whether answers to such questions depend on the image. */
function seeing(e) {
  const found = `Right with the right image in ${percent(e.right)}, with another patient's in ${percent(e.swapped)}; ${many(e.groups, "patient", "patients")}.`;
  const titles = { sees: "Such answers depend on the image", blind: "Such answers do not depend on the image", untested: "Whether such answers depend on the image was not shown" };
  return box(e.status === "sees" ? "valid" : e.status === "blind" ? "stale" : "none", titles[e.status], [h("p", { class: "fine" }, found)]);
}

/** How many answers were tested, as the test itself says. */
const answersTested = (c) => Number(/ on ([\d,]+) answers/.exec(c.why)?.[1].replace(/,/g, "")) || null;

/** The promise in one line. @returns {string} empty where nothing was promised */
export function tested(c) {
  if (c.status !== "valid" || c.alpha === null) return "";
  const n = answersTested(c);
  const wrong = c.risk && c.risk !== "wrong-answer" ? `lost by the risk “${c.risk}”` : "wrong";
  return `Tested: at most ${percent(c.alpha)} ${wrong}${n ? ` of ${count(n)} such answers` : ""}`;
}

/** What is known of how often such answers are wrong, in a few words. */
export const standing = (c) => tested(c) || (c.status === "stale" ? "Tested before it changed" : "Not tested");

function promised(c, forms) {
  if (tested(c)) {
    const domains = c.domains?.length ? ` about ${list(c.domains)}` : "";
    const covered = c.forms?.length ? c.forms : forms;
    return box("valid", tested(c), [
      h("p", {}, `Of answers like this one${domains}, at most ${percent(c.alpha)} ${lost(c.risk)}, with ${percent(1 - c.delta)} certainty.`),
      covered.length ? h("p", {}, `It covers questions that ask ${list(formsInWords(covered))}.`) : null,
      h("p", { class: "fine" }, `It was tested on ${many(c.n, "independent patient or article", "independent patients or articles")}; ${percent(c.coverage)} of such questions are answered, the others refused. It holds for questions like those it was tested on.`),
      h("details", {}, h("summary", {}, "The test"), h("p", { class: "fine" }, sentence(c.why))),
    ]);
  }
  if (c.status === "stale") return box("stale", standing(c), [h("p", {}, sentence(c.why)), h("p", { class: "fine" }, "The answer is given all the same; how often such answers are wrong is not known.")]);
  return box("none", standing(c), [h("p", {}, sentence(c.why)), h("p", { class: "fine" }, "How often such answers are wrong has not been measured.")]);
}

function box(status, title, children) {
  return h("div", { class: `certificate ${status}` }, h("p", { class: "certificate-title" }, title), ...children.filter(Boolean));
}

/** How sure the system is of this one answer. */
export function confidence(answer) {
  if (answer.decision !== "answered" && !answer.sentences.length) return [h("p", { class: "fine" }, "No sentence stood, so there is nothing to be sure of.")];
  const said = answer.verdict && answer.probability !== null
    ? `The evidence makes “yes” ${percent(answer.probability)} probable.` : "";
  return [
    h("p", { class: "figure-line" }, h("strong", {}, percent(answer.confidence)), bar(answer.confidence)),
    h("p", { class: "fine" }, `${said} Confidence joins how strongly the evidence speaks with how well each sentence is supported.`.trim()),
  ];
}

const BASES = {
  words: "Probability of the domain, judged by the words of the question.",
  study: "The domain of the study.",
  named: "The domain that was asked for.",
  "trained router": "Probability of the domain, judged by the image and the words of the question.",
  "zero-shot prompts": "Probability of the domain, judged by the image, without training, and the words of the question.",
  "similar images": "Probability of the domain, judged by similar images and the words of the question.",
};

/** Where the question belongs and what was searched. */
export function route(domain) {
  const kinds = domain.why ? ` In ${domain.kinds.length ? list(domain.kinds) : "every kind of evidence"}: ${domain.why}.` : "";
  const searched = `Searched: ${domain.searched?.length ? list(domain.searched) : "every domain"}.${kinds}`;
  if (domain.out_of_domain) {
    return [h("p", { class: "flag" }, h("strong", {}, "Out of domain. "), `${domain.basis === "words" ? "Nothing in the question belongs to a domain of this index" : "The image is unlike those of every domain"}, and no test covers it.`), h("p", { class: "fine" }, searched)];
  }
  return [
    h("p", { class: "figure-line" }, h("span", {}, h("strong", {}, capital(domain.name)), ` ${percent(domain.probability)}`), bar(domain.probability)),
    h("p", { class: "fine" }, `${BASES[domain.basis] || "Probability of the domain."} ${searched}`),
  ];
}

/** How seldom the evidence is missed among the passages chosen, where that was calibrated. */
function promise(c) {
  if (!c) return null;
  if (c.status !== "valid") return h("p", { class: "fine" }, `How often evidence is missed is not known: ${c.why}.`);
  const sure = c.delta === null ? "on average" : `with ${percent(1 - c.delta)} certainty`;
  return h("p", { class: "fine" }, `At most ${percent(c.alpha)} of such questions miss the evidence for their answer, ${sure} (tested on ${many(c.n, "independent patient or article", "independent patients or articles")}).`);
}

/** Which passages were chosen, and why the rest were left out. */
export function contexts(answer) {
  if (!answer.selection) return [h("p", {}, `${capital(many(answer.evidence.length, "passage"))} became evidence. The passages left out were not recorded.`)];
  return [h("p", {}, whySelected(answer.selection)), promise(answer.selection.promise), curve(answer.selection)];
}

const STEPS = { read: "reading the question", route: "finding the field", search: "searching", select: "choosing", generate: "writing", witness: "hearing a second model", verify: "verifying" };

/** How long each step took. */
export const timings = (ms) => Object.entries(ms).filter(([k]) => k !== "total").map(([k, v]) => `${STEPS[k] || k} ${count(Math.round(v * 10) / 10)} ms`).join(", ");
