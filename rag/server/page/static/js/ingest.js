// New sources for an index: uploaded, read in the background, with progress and with what was set aside.

import { events, get, post } from "./api.js";
import { announce, h } from "./dom.js";
import { capital, count, many } from "./text.js";

const FINAL = ["done", "failed", "cancelled", "interrupted"];
const STATES = { queued: "Waiting", running: "Reading", done: "Done", failed: "Failed", cancelled: "Cancelled", interrupted: "Interrupted" };

export class IngestPanel {
  /** @param {string} path of the index's API @param {() => Promise<void>} onPublished */
  constructor(path, onPublished) {
    this.path = path;
    this.onPublished = onPublished;
    this.file = h("input", { type: "file", id: "sources", name: "file", multiple: true, required: true });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.job = h("div", { class: "job", role: "status", hidden: true });
    this.button = h("button", { type: "submit", class: "primary" }, "Add to the index");
    this.name = h("input", { type: "text", id: "source-name", maxlength: "100", autocomplete: "off", pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*" });
    this.deidentify = h("input", { type: "checkbox", id: "deidentify" });
    this.form = h("form", { class: "ingest", onsubmit: (event) => { event.preventDefault(); this.#send(); } },
      h("label", { for: "sources" }, "Files"), this.file,
      h("p", { class: "fine" }, "Reports (XML, text), Markdown notes, an OBO ontology, JSONL cases, or an archive of them. What cannot be read is set aside and listed; it never stops the rest."),
      h("label", { for: "source-name" }, "Name of the source"), this.name,
      h("p", { class: "fine" }, "Only if it may come again: documents that are sent again under the same name are corrected in place."),
      h("label", { class: "check", for: "deidentify" }, this.deidentify, " Replace identifiers of people that are recognised (not complete)"),
      this.button, this.problem);
    this.element = h("section", { "aria-label": "Add sources" }, h("h3", {}, "Add sources"), this.form, this.job);
  }

  async #send() {
    this.problem.textContent = "";
    const files = [...this.file.files];
    if (!files.length) {
      this.problem.textContent = "Choose at least one file.";
      this.file.focus();
      return;
    }
    const body = new FormData();
    for (const f of files) body.append("file", f, f.name);
    if (this.name.value.trim()) body.append("name", this.name.value.trim());
    if (this.deidentify.checked) body.append("deidentify", "mask");
    await this.#run(async () => {
      const job = await post(`${this.path}/ingest`, body);
      this.form.reset();
      return job;
    });
  }

  async #run(start) {
    this.button.disabled = true;
    try {
      let job = await start();
      this.#draw(job);
      if (!FINAL.includes(job.state)) job = await this.#follow(job);
      this.#draw(job);
      if (job.state === "done") await this.onPublished();
      announce(`Ingest: ${STATES[job.state] || job.state}.`);
    } catch (problem) {
      this.problem.textContent = problem.message;
    } finally {
      this.button.disabled = false;
    }
  }

  async #follow(job) {
    for await (const { data } of events(`v1/jobs/${job.id}/events`)) {
      this.#draw(data);
    }
    return get(`v1/jobs/${job.id}`); // the events may have ended early; this is what holds
  }

  #draw(job) {
    const stages = job.state === "done" ? [] : Object.entries(job.progress || {});
    this.job.hidden = false;
    this.job.replaceChildren(
      h("p", { class: "job-state" }, h("strong", {}, STATES[job.state] || job.state), job.error ? `: ${job.error}` : ""),
      ...stages.map(([name, [done, all]]) => this.#stage(name, done, all)),
      ...result(job),
      h("div", { class: "actions" }, this.#control(job)));
  }

  #stage(name, done, all) {
    const words = capital(/^reading j-/.test(name) ? "reading the files" : name.split(":")[0]);
    const known = all !== null && all > 0;
    return h("p", { class: "stage-row" }, h("span", {}, words),
      known ? h("progress", { "aria-label": words, max: all, value: done }) : h("span", {}),
      h("span", { class: "number" }, known ? `${count(done)} of ${count(all)}` : done ? count(done) : ""));
  }

  #control(job) {
    if (!FINAL.includes(job.state)) {
      return h("button", { type: "button", class: "quiet", onclick: () => post(`v1/jobs/${job.id}/cancel`, {}).catch((p) => { this.problem.textContent = p.message; }) }, "Cancel");
    }
    if (job.state === "done") return null;
    return h("button", { type: "button", class: "quiet", onclick: () => this.#run(() => post(`v1/jobs/${job.id}/resume`, {})) }, "Resume");
  }
}

function result(job) {
  const r = job.result;
  if (!r) return [];
  const counts = ["added", "updated", "unchanged", "removed"].filter((k) => r[k]).map((k) => `${count(r[k])} ${k}`).join(", ");
  const aside = [...(r.quarantined || []), ...(r.foreign || []).map((f) => ({ record: f.name, reason: `not read: ${f.why}` }))];
  const parts = [h("p", {}, counts ? capital(`${counts}.`) : "Nothing changed.", r.version ? ` Published as version ${r.version}.` : "")];
  if (!aside.length) return [...parts, h("p", { class: "fine" }, "Every record was read.")];
  return [...parts, h("h4", {}, `${capital(many(aside.length, "record or file", "records or files"))} set aside`),
    h("ul", { class: "quarantine" }, aside.map((q) => h("li", {}, h("strong", {}, q.record || q.source), h("span", {}, q.reason))))];
}
