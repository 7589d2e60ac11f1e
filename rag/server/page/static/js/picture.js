// The question's image: dropped anywhere, pasted, or chosen; shown before it is sent.

import { byId, h } from "./dom.js";
import { enlarge } from "./thumbnail.js";

const LARGEST = 64 * 2 ** 20; // bytes; the server's own limit may be lower, and it says so

/** Holds the image of the next question. */
export class PictureInput {
  #file = null;
  #url = null;
  #refused = ""; // the name of a file that was chosen and cannot be sent: nothing is asked without it unnoticed

  /** @param {(problem: string) => void} onProblem */
  constructor(onProblem) {
    this.onProblem = onProblem;
    const input = byId("file");
    byId("choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files[0]) this.set(input.files[0]);
      input.value = "";
    });
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
      if (!file || !this.#visible()) return;
      event.preventDefault();
      this.set(file);
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
      if (event.dataTransfer.files[0]) this.set(event.dataTransfer.files[0]);
    });
  }

  set(file) {
    const dicom = /\.dcm$/i.test(file.name) || file.type === "application/dicom";
    if (!dicom && !file.type.startsWith("image/")) return this.#refuse(file, "is not an image; PNG, JPEG, TIFF and DICOM are read.");
    if (file.size > LARGEST) return this.#refuse(file, "is larger than 64 MB; send a smaller image.");
    this.onProblem("");
    this.clear();
    this.#file = file;
    this.#url = dicom ? null : URL.createObjectURL(file);
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
    this.#file = null;
    this.#url = null;
    this.#refused = "";
    byId("picture").hidden = true;
    byId("picture").replaceChildren();
  }

  #draw() {
    const name = this.#file.name || "pasted image";
    const url = this.#url;
    const preview = url
      ? h("button", { type: "button", class: "thumbnail", "aria-label": "Enlarge the image of the question", onclick: () => enlarge([{ url, alt: "The image of the question", title: name }], 0) },
        h("img", { src: url, alt: "The image of the question", onerror: (event) => event.target.closest("button").replaceWith(h("span", { class: "fine" }, "No preview")) }))
      : h("span", { class: "fine" }, "DICOM");
    byId("picture").replaceChildren(preview, h("span", { class: "name" }, name), this.#remover());
    byId("picture").hidden = false;
  }

  /** What to show beside the question; null without an image. */
  get shown() {
    return this.#file && { url: this.#url, name: this.#file.name };
  }

  /** Why no question may be sent: a file was chosen for it that cannot be. Empty where none was. */
  get refusal() {
    return this.#refused && `“${this.#refused}” cannot be sent: choose another image, or remove it to ask without one.`;
  }

  /** The image in base64, null without one. @returns {Promise<string | null>} */
  async data() {
    if (!this.#file) return null;
    const file = this.#file;
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(new Error(`“${file.name}” cannot be read.`));
      reader.readAsDataURL(file);
    });
  }
}
