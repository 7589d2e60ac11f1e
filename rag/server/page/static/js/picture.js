// The question's image: dropped anywhere, pasted, or chosen; shown before it is sent. Of several DICOM files that are
// chosen together, a series, one is asked about: the middle one, unless another is chosen.

import { byId, h } from "./dom.js";
import { many } from "./text.js";
import { thumbnail } from "./thumbnail.js";

const LARGEST = 64 * 2 ** 20; // bytes; the server's own limit may be lower, and it says so
const MOST = 400; // files of a series
const ALT = "The image of the question";

const isDicom = (file) => /\.dcm$/i.test(file.name) || file.type === "application/dicom";

/** Holds the image of the next question. */
export class PictureInput {
  #files = []; // one, or the DICOM files of a series
  #at = 0; // the one that is asked about
  #url = null; // what the browser shows of it
  #refused = ""; // the name of a file that was chosen and cannot be sent: nothing is asked without it unnoticed

  /** @param {(problem: string) => void} onProblem */
  constructor(onProblem) {
    this.onProblem = onProblem;
    const input = byId("file");
    byId("choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files.length) this.set([...input.files]);
      input.value = "";
    });
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
      if (!file || !this.#visible()) return;
      event.preventDefault();
      this.set([file]);
    });
    this.#listenToDrops();
  }

  #visible = () => !byId("view-ask").hidden;

  #listenToDrops() {
    const veil = byId("drop");
    let depth = 0; // dragenter and dragleave fire for every element on the way
    const carries = (event) => this.#visible() && [...(event.dataTransfer?.types || [])].includes("Files");
    const end = () => {
      depth = 0;
      veil.hidden = true;
    };
    document.addEventListener("dragenter", (event) => {
      if (!carries(event)) return;
      depth += 1;
      veil.hidden = false;
    });
    document.addEventListener("dragleave", () => {
      depth -= 1;
      if (depth <= 0) end();
    });
    document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      end();
      if (event.dataTransfer.files.length) this.set([...event.dataTransfer.files]);
    });
  }

  set(files) {
    const wrong = files.find((f) => !isDicom(f) && !f.type.startsWith("image/"));
    if (wrong) return this.#refuse(wrong, "is not an image; PNG, JPEG, TIFF and DICOM are read.");
    const large = files.find((f) => f.size > LARGEST);
    if (large) return this.#refuse(large, "is larger than 64 MB; send a smaller image.");
    if (files.length > 1 && !files.every(isDicom)) return this.#refuse(files[1], "is one of several: choose one image, or the DICOM files of one series.");
    if (files.length > MOST) return this.#refuse(files[MOST], `is one of ${files.length} files; at most ${MOST} of a series are read.`);
    this.onProblem("");
    this.clear();
    this.#files = files.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    this.#at = Math.floor(files.length / 2);
    if (!isDicom(files[0])) this.#url = URL.createObjectURL(files[0]);
    return this.#draw();
  }

  #refuse(file, why) {
    this.clear();
    this.#refused = file.name || "The file";
    byId("picture").replaceChildren(h("span", { class: "name" }, `“${this.#refused}” cannot be sent`), this.#remover());
    byId("picture").hidden = false;
    return this.onProblem(`“${this.#refused}” ${why}`);
  }

  #remover = () => h("button", { type: "button", class: "quiet", onclick: () => { this.clear(); this.onProblem(""); byId("choose").focus(); } }, "Remove");

  clear() {
    this.#files = [];
    this.#url = null;
    this.#refused = "";
    byId("picture").hidden = true;
    byId("picture").replaceChildren();
  }

  #draw() {
    const preview = h("span", { class: "preview" }, this.#url ? this.#thumbnail() : h("span", { class: "fine" }, "DICOM"));
    if (!this.#url) this.#decode(preview);
    byId("picture").replaceChildren(preview, h("span", { class: "name" }, this.#name()), ...this.#chooser(preview), this.#remover());
    byId("picture").hidden = false;
  }

  #name = () => this.#files[this.#at].name || "pasted image";

  #thumbnail() {
    const { shown } = this;
    return thumbnail(shown, [shown]);
  }

  /** A DICOM file is shown as the server decodes it, the moment it is chosen. */
  async #decode(preview) {
    const file = this.#files[this.#at];
    try {
      const { small } = await import("./viewer/small.js");
      const url = await small(file);
      if (file !== this.#files[this.#at]) return; // another one was chosen meanwhile
      this.#url = url;
      preview.replaceChildren(this.#thumbnail());
    } catch (problem) {
      if (file === this.#files[this.#at]) this.onProblem(problem.message);
    }
  }

  /** Which slice of a series is asked about. */
  #chooser(preview) {
    if (this.#files.length < 2) return [];
    const chosen = h("select", {
      "aria-label": "Slice that is asked about",
      onchange: () => {
        this.#at = Number(chosen.value);
        this.#url = null;
        byId("picture").querySelector(".name").textContent = this.#name();
        this.#decode(preview);
      },
    }, this.#files.map((f, n) => h("option", { value: String(n), selected: n === this.#at }, `${n + 1} of ${many(this.#files.length, "slice")}`)));
    return [chosen];
  }

  /** What to show beside the question; null without an image. */
  get shown() {
    if (!this.#files.length) return null;
    const dicom = isDicom(this.#files[0]);
    return { alt: ALT, title: this.#name(), url: this.#url, ...(dicom ? { files: this.#files, at: this.#at } : {}) };
  }

  /** Why no question may be sent: a file was chosen for it that cannot be. Empty where none was. */
  get refusal() {
    return this.#refused && `“${this.#refused}” cannot be sent: choose another image, or remove it to ask without one.`;
  }

  /** The image in base64, null without one. @returns {Promise<string | null>} */
  async data() {
    if (!this.#files.length) return null;
    const file = this.#files[this.#at];
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(new Error(`“${file.name}” cannot be read.`));
      reader.readAsDataURL(file);
    });
  }
}
