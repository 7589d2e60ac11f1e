// What can be done with an answer: verify it, replay it, copy it, take it away, say whether it was right.

import { download, whileBusy } from "./actions.js";
import { get, post } from "./api.js";
import { citedText, copy } from "./copy.js";
import { h } from "./dom.js";
import { menu } from "./menu.js";
import { sentence } from "./text.js";

export function recordPanel(answer) {
  const id = answer.audit_id;
  const path = `v1/audit/${encodeURIComponent(id)}`;
  const result = h("div", { class: "audit-result", role: "status" });
  const show = (...nodes) => result.replaceChildren(...nodes);
  const failed = (problem) => show(h("p", { class: "problem" }, problem.message));
  const action = (label, hint, work) => h("button", {
    type: "button", class: "quiet", title: hint, onclick: (event) => whileBusy(event.currentTarget, work, failed),
  }, label);
  const take = (format, name) => () => download(`${path}/${format}`, name);
  return h("section", { class: "record", "aria-label": "What to do with this answer" },
    h("div", { class: "actions" },
      action("Copy with citations", "The answer as text, with its sources and quotes", async () => {
        await copy(citedText(answer));
        show(h("p", { class: "good" }, "Copied, with its citations."));
      }),
      action("Verify", "Do the record’s hashes hold, and does every quote stand in its source?", async () => show(...verified(await get(`${path}/verify`)))),
      action("Replay", "Ask again as of the same index version and compare", async () => show(...replayed(await get(`${path}/replay`)))),
      menu("Export", [
        ["Report (HTML)", take("report", `${id}.html`)],
        ["Print or PDF", () => print()],
        ["FHIR report", take("fhir", `${id}.fhir.json`)],
        ["DICOM report (SR)", take("sr", `${id}.dcm`)],
      ], failed)),
    result,
    feedback(id),
    h("p", { class: "fine" }, "On record as ", h("a", { class: "id", href: `#/answers/${id}` }, id), `, from version ${answer.index_version} of the index.`));
}

function verified({ ok, checks }) {
  return [
    h("p", { class: ok ? "good" : "bad" }, h("strong", {}, ok ? "The record holds." : "The record does not hold.")),
    h("ul", { class: "checks" }, checks.map((c) => h("li", { class: c.ok ? "pass" : "fail" },
      h("span", { class: "mark" }, c.ok ? "✓" : "✗"), h("span", { class: "hidden" }, c.ok ? "holds: " : "fails: "),
      sentence(c.name), c.detail ? h("span", { class: "fine" }, ` ${c.detail}`) : null))),
  ];
}

/** Changes come as {name, then, now} or as [name, then, now]. */
const change = (c) => (Array.isArray(c) ? { name: c[0], then: c[1], now: c[2] } : c);
const brief = (value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
};

function replayed({ outcome, why, differences = [], changed = [], notes = [] }) {
  const titles = { identical: why, different: "A different answer came out", impossible: "It cannot be answered again" };
  const rows = (changes) => changes.map(change).map(({ name, then, now }) => h("li", { class: "fail" },
    h("span", { class: "mark" }, "≠"), sentence(name), h("span", { class: "fine" }, `Then ${brief(then)}, now ${brief(now)}`)));
  return [
    h("p", { class: outcome === "identical" ? "good" : "bad" }, h("strong", {}, sentence(titles[outcome] || outcome))),
    outcome === "identical" ? null : h("p", {}, sentence(why)),
    differences.length ? h("p", { class: "label" }, "What differs in the answer") : null,
    differences.length ? h("ul", { class: "checks" }, rows(differences)) : null,
    changed.length ? h("p", { class: "label" }, "What has changed in the system since") : null,
    changed.length ? h("ul", { class: "checks" }, rows(changed)) : null,
    ...notes.map((n) => h("p", { class: "fine" }, sentence(n))),
  ].filter(Boolean);
}

function feedback(id) {
  const said = h("p", { class: "fine", role: "status" });
  const send = async (verdict, correction) => {
    await post(`v1/answers/${encodeURIComponent(id)}/feedback`, correction ? { verdict, correction } : { verdict });
    said.textContent = "Thank you. It is on record with the answer.";
    form.hidden = true;
  };
  const button = (label, work) => h("button", {
    type: "button", class: "quiet",
    onclick: (event) => whileBusy(event.currentTarget, work, (problem) => { said.textContent = problem.message; }),
  }, label);
  const text = h("textarea", { rows: "2", id: `correction-${id}`, maxlength: "2000" });
  const form = h("form", {
    class: "correction", hidden: true,
    onsubmit: (event) => {
      event.preventDefault();
      if (!text.value.trim()) return text.focus();
      return whileBusy(event.submitter, () => send("corrected", text.value.trim()), (problem) => { said.textContent = problem.message; });
    },
  }, h("label", { for: `correction-${id}` }, "The right answer"), text, h("button", { type: "submit", class: "quiet" }, "Send"));
  return h("div", { class: "feedback" },
    h("div", { class: "actions", role: "group", "aria-label": "Was this right?" },
      h("span", { class: "label" }, "Was this right?"),
      button("Right", () => send("right")),
      button("Wrong", () => send("wrong")),
      h("button", { type: "button", class: "quiet", onclick: () => { form.hidden = false; text.focus(); } }, "Correct it")),
    form, said);
}
