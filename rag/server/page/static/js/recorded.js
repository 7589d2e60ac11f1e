// One recorded answer, under its own address.

import { AnswerView } from "./answer.js";
import { get } from "./api.js";
import { h } from "./dom.js";

export class RecordedView {
  view = null;

  constructor(element) {
    this.element = element;
  }

  async show(id) {
    this.view = null;
    this.element.replaceChildren(h("p", { class: "empty" }, "Loading…"));
    try {
      const answer = await get(`v1/answers/${encodeURIComponent(id)}`);
      const view = new AnswerView({ text: answer.question.text, image: answer.question.image && { path: answer.question.image } }, { index: await indexOf(answer) });
      view.answer(answer, { quiet: true });
      this.view = view;
      this.element.replaceChildren(
        h("h1", { class: "hidden" }, "Recorded answer"),
        h("p", { class: "crumb" }, h("a", { href: "#/history" }, "History"), ` / ${id}`),
        h("div", { class: "result" }, view.element));
      view.heading.focus({ preventScroll: true });
    } catch (problem) {
      this.element.replaceChildren(h("h1", { class: "hidden" }, "Recorded answer"), h("p", { class: "crumb" }, h("a", { href: "#/history" }, "History")), h("p", { class: "problem", role: "alert" }, problem.message));
    }
  }
}

/** The index that an answer is from, as one of its sources says it; undefined where it has none. */
async function indexOf(answer) {
  const [first] = answer.evidence;
  if (!first) return undefined;
  return get(`v1/answers/${encodeURIComponent(answer.audit_id)}/evidence/${first.number}/source`).then((s) => s.index, () => undefined);
}
