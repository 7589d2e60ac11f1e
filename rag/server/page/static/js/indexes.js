// The indexes: what each holds and under which licences, its versions, and its door for new sources.

import { get, post } from "./api.js";
import { confirmed } from "./dialogs.js";
import { announce, h } from "./dom.js";
import { IngestPanel } from "./ingest.js";
import { count, many, percent, sentence, when } from "./text.js";

export class IndexesView {
  #shown = null;

  constructor(element) {
    this.tabs = h("nav", { class: "index-list", "aria-label": "Indexes" });
    this.detail = h("div", { class: "index-detail" });
    element.append(h("h1", { id: "indexes-title", tabindex: "-1" }, "Indexes"), h("div", { class: "indexes" }, this.tabs, this.detail));
  }

  async show(name) {
    this.detail.replaceChildren(h("p", { class: "empty" }, "Loading…"));
    try {
      const { indexes } = await get("v1/indexes");
      const chosen = name || indexes[0]?.name;
      this.tabs.replaceChildren(...indexes.map((i) => h("a", { href: `#/indexes/${encodeURIComponent(i.name)}`, "aria-current": i.name === chosen ? "page" : null },
        h("strong", {}, i.name), h("span", { class: "meta" }, `version ${i.version} · ${many(total(i.documents), "document")}`))));
      if (!chosen) {
        this.detail.replaceChildren(h("p", { class: "empty" }, "This server holds no index yet. Build one with: ", h("code", {}, "rag ingest SOURCE --index NAME")));
        return;
      }
      await this.#open(chosen);
    } catch (problem) {
      this.detail.replaceChildren(h("p", { class: "problem", role: "alert" }, problem.message));
    }
  }

  async #open(name) {
    this.#shown = name;
    const path = `v1/indexes/${encodeURIComponent(name)}`;
    const [about, { versions }] = await Promise.all([get(path), get(`${path}/versions`)]);
    if (this.#shown !== name) return;
    const problem = h("p", { class: "problem", role: "alert" });
    const ingest = new IngestPanel(path, () => this.#refresh(name));
    this.panel = ingest;
    this.parts = { corpora: h("div", {}), versions: h("div", {}), problem };
    this.#fill(name, about, versions);
    this.detail.replaceChildren(
      h("h2", {}, name),
      this.parts.corpora,
      h("section", { "aria-label": "Versions" }, h("h3", {}, "Versions"),
        h("p", { class: "fine" }, "Each ingest publishes a version. Going back publishes a new one with exactly what the old one held, so nothing is lost. Answers stay tied to the version they were given from."),
        problem, this.parts.versions),
      ingest.element);
  }

  /** After a change: the tables only, so that what an ingest reports stays on the page. */
  async #refresh(name) {
    const path = `v1/indexes/${encodeURIComponent(name)}`;
    const [about, { versions }, { indexes }] = await Promise.all([get(path), get(`${path}/versions`), get("v1/indexes")]);
    this.#fill(name, about, versions);
    const now = indexes.find((i) => i.name === name);
    const meta = this.tabs.querySelector("[aria-current] .meta");
    if (now && meta) meta.textContent = `version ${now.version} · ${many(total(now.documents), "document")}`;
  }

  #fill(name, about, versions) {
    this.parts.corpora.replaceChildren(h("p", { class: "lead" }, `Version ${about.version}, ${many(total(about.documents), "document")}. `, tested(about.certificate), " ", seeing(about.image_effects)), corpora(about.corpora));
    this.parts.versions.replaceChildren(this.#versions(name, about.version, versions));
  }

  #versions(name, current, versions) {
    return table("Versions", ["Version", "Published", "Change", "Documents", ""], [...versions].reverse().map((v) => [
      String(v.number), when(v.created), [v.note, changes(v)].filter(Boolean).join(" · "), count(v.documents),
      v.number === current ? h("strong", {}, "served now") : h("button", {
        type: "button", class: "quiet small", "aria-label": `Go back to version ${v.number}`, onclick: (event) => this.#rollback(event.currentTarget, name, v.number),
      }, "Go back"),
    ]), [3]);
  }

  async #rollback(button, name, version) {
    const sure = await confirmed(`Go back to version ${version}?`, `Questions to “${name}” will be answered from what version ${version} held. Nothing is deleted, and you can return.`, `Go back to ${version}`);
    if (!sure) return button.focus();
    button.disabled = true;
    this.parts.problem.textContent = "";
    try {
      const done = await post(`v1/indexes/${encodeURIComponent(name)}/rollback`, { version });
      await this.#refresh(name);
      announce(`“${name}” is back at what version ${version} held; it is served as version ${done.version}.`);
    } catch (problem) {
      this.parts.problem.textContent = problem.message;
      button.disabled = false;
    }
    return undefined;
  }
}

const total = (documents) => Object.values(documents).reduce((a, b) => a + b, 0);

function changes({ added, updated, removed }) {
  return [[added, "added"], [updated, "updated"], [removed, "removed"]].filter(([n]) => n).map(([n, what]) => `${count(n)} ${what}`).join(", ");
}

function tested(certificate) {
  const parts = certificate?.parts?.filter((p) => p.k !== null) || [];
  if (!parts.length) return "No certificate has been computed for it.";
  const domains = [...new Set(parts.flatMap((p) => p.domains))].join(", ");
  return sentence(`tested for ${domains}: at most ${percent(certificate.alpha)} of answers ${certificate.risk === "wrong-answer" ? "wrong" : `lost by the risk “${certificate.risk}”`}, while nothing changes`);
}

/** Of which kinds of questions about images the answers were found to depend on the image, and of which not. */
function seeing(measured) {
  const kinds = (status) => (measured?.effects || []).filter((e) => e.status === status).map((e) => `${e.form || "any form"} in ${e.domain}`).join(", ");
  const blind = kinds("blind"), sees = kinds("sees");
  return [
    sees && sentence(`questions about images: answers depend on the image for ${sees}`),
    blind && sentence(`not answered from the image, because answers do not depend on it: ${blind}`),
  ].filter(Boolean).join(" ");
}

/** One row for each source, kind and licence, with its domains. */
function corpora(rows) {
  const groups = new Map();
  for (const c of rows) {
    const id = JSON.stringify([c.source, c.kind, c.licence]);
    groups.set(id, [...(groups.get(id) || []), c]);
  }
  return table("Corpora", ["Source", "Kind", "Domains", "Licence", "Documents"], [...groups.values()].map((g) => [
    g[0].source, g[0].kind, g.map((c) => (g.length > 1 ? `${c.domain} ${count(c.documents)}` : c.domain)).join(", "), g[0].licence,
    count(g.reduce((sum, c) => sum + c.documents, 0))]), [4]);
}

function table(label, head, rows, numeric) {
  const cell = (tag, content, i) => h(tag, { class: numeric.includes(i) ? "number" : null, scope: tag === "th" ? "col" : null, "data-label": head[i] || null }, content);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${label.toLowerCase()}` }, h("table", { class: "stack" },
    h("thead", {}, h("tr", {}, head.map((t, i) => cell(t ? "th" : "td", t, i)))),
    h("tbody", {}, rows.map((r) => h("tr", {}, r.map((c, i) => cell("td", c, i)))))));
}
