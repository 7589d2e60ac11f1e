// A document to be read: its sections named, its quotes marked, and where it is printed.

import { blobUrl } from "./api.js";
import { h } from "./dom.js";
import { marked } from "./text.js";

const LABEL = /^([A-Z][A-Z0-9 /&()-]{2,40}):/gm;

/** The text with the names of its sections set off. @param {{start: number, end: number, of: string}[]} quotes in code points */
export function readingText(text, quotes = []) {
  const labels = [...text.matchAll(LABEL)].map((m) => {
    const start = Array.from(text.slice(0, m.index)).length;
    return { start, end: start + Array.from(m[0]).length, of: "", label: true };
  });
  return h("div", { class: "reading" }, marked(text, [...quotes, ...labels]));
}

/** A page of a PDF file with boxes over it. @param {string} path of its picture @param {{x0, y0, x1, y1}[]} boxes shares of its size */
export function printedPage(path, page, boxes) {
  const image = h("img", { alt: `Page ${page} as it is printed; the quote is marked` });
  const figure = h("figure", { class: "printed" }, h("div", { class: "sheet" }, image, boxes.map((b) => {
    const box = h("span", { class: "printed-box" });
    Object.assign(box.style, { left: `${100 * b.x0}%`, top: `${100 * b.y0}%`, width: `${100 * (b.x1 - b.x0)}%`, height: `${100 * (b.y1 - b.y0)}%` });
    return box;
  })), h("figcaption", {}, `Page ${page}`));
  blobUrl(`${path}?edge=1600`).then((url) => { image.src = url; }, (problem) => figure.replaceChildren(h("p", { class: "empty" }, `The page cannot be shown. ${problem.message}`)));
  return figure;
}
