// The studies of an index: found by name, read with their images, and the patient's others in order of time.

import { get } from "./api.js";
import { completeStudies } from "./complete.js";
import { byId, h } from "./dom.js";
import { readingText } from "./reading.js";
import { many } from "./text.js";
import { thumbnail } from "./thumbnail.js";

export class StudiesView {
  constructor(element) {
    this.index = h("select", { id: "studies-index" });
    this.name = h("input", { id: "studies-name", type: "search", maxlength: "1000", spellcheck: "false", autocomplete: "off" });
    this.detail = h("div", { class: "study-detail" });
    const form = h("form", {
      class: "filters", role: "search", "aria-label": "Find a study",
      onsubmit: (event) => {
        event.preventDefault();
        if (this.name.value.trim()) location.hash = address(this.index.value, this.name.value.trim());
      },
    },
    h("label", { class: "field", for: "studies-index" }, h("span", {}, "Index"), this.index),
    h("label", { class: "field", for: "studies-name" }, h("span", {}, "Study"), this.name),
    h("button", { type: "submit", class: "quiet" }, "Open"));
    element.append(h("h1", { id: "studies-title", tabindex: "-1" }, "Studies"), form, this.detail);
    completeStudies(this.name, () => this.index.value);
  }

  /** @param {string} [rest] an index and perhaps a study */
  async show(rest = "") {
    const [index, ...name] = rest.split("/").map(decodeURIComponent);
    const wanted = name.join("/");
    try {
      const { indexes } = await get("v1/indexes");
      const chosen = index || this.index.value || byId("index").value || indexes[0]?.name;
      this.index.replaceChildren(...indexes.map((i) => h("option", { value: i.name, selected: i.name === chosen }, i.name)));
      this.name.value = wanted;
      if (!wanted) {
        this.detail.replaceChildren(h("p", { class: "empty" }, "Type the beginning of a study’s name; what the index holds of it is shown as it was written."));
        return;
      }
      this.detail.replaceChildren(h("p", { class: "empty" }, "Loading…"));
      this.#draw(await get(`v1/indexes/${encodeURIComponent(chosen)}/study?${new URLSearchParams({ id: wanted })}`));
    } catch (problem) {
      this.detail.replaceChildren(h("p", { class: "problem", role: "alert" }, problem.message));
    }
  }

  #draw(study) {
    const images = study.documents.filter((d) => d.image);
    const base = `v1/indexes/${encodeURIComponent(study.index)}`;
    const gallery = pictures(images, (d) => `/${base}/image?${new URLSearchParams({ document: d.id })}`);
    this.detail.replaceChildren(
      h("div", { class: "actions" }, h("h2", {}, study.id), h("button", { type: "button", class: "quiet", onclick: () => ask(study) }, "Ask about this study")),
      h("div", { class: study.studies.length > 1 ? "reader with-parts" : "reader" },
        study.studies.length > 1 ? timeline(study) : null,
        h("div", { class: "source-text" },
          gallery.length ? h("div", { class: "pictures" }, gallery.map((p) => thumbnail(p, gallery, "source-image"))) : null,
          study.documents.filter((d) => d.text).map((d) => h("article", { class: "study-document" },
            h("h3", {}, d.title), h("p", { class: "meta" }, [d.date, d.source, d.id, `Licence: ${d.licence}`].filter(Boolean).join(" · ")),
            readingText(d.text))))));
  }
}

const address = (index, name) => `#/studies/${encodeURIComponent(index)}/${encodeURIComponent(name)}`;

const SLICES = ["CT", "MR", "PT"]; // of which many files are one series

/** The images of a study, one by one; the slices of a series are turned like pages. */
function pictures(images, path) {
  const one = (d) => ({ path: path(d), alt: `Image of ${d.title}`, title: d.title });
  const groups = Map.groupBy(images, (d) => (SLICES.includes(d.modality) ? d.series || d.modality : d.id));
  return [...groups.values()].map((of) => (of.length < 2 ? one(of[0]) : {
    paths: of.map(path), at: Math.floor(of.length / 2), alt: `${of[0].modality} series`, title: `${of[0].modality}, ${many(of.length, "slice")}`,
  }));
}

/** All studies of the patient, oldest first; those before this one are its priors. */
function timeline(study) {
  return h("nav", { class: "parts", "aria-label": "Studies of this patient, oldest first" }, h("p", { class: "label" }, "This patient"),
    h("ol", {}, study.studies.map((s) => h("li", {}, h("a", { href: address(study.index, s.id), "aria-current": s.id === study.id ? "true" : null },
      s.date ? h("span", { class: "date" }, s.date) : null, " ", s.title)))));
}

function ask(study) {
  byId("index").value = study.index;
  byId("study").value = study.id;
  location.hash = "#/ask";
}
