// A picture in small, which opens the viewer. The viewer itself is fetched only when somebody wants it.

import { blobUrl, withQuery } from "./api.js";
import { h } from "./dom.js";

const EDGE = 768; // pixels; the viewer fetches the picture itself

/**
 * @typedef {{alt: string, title: string, url?: string, path?: string, paths?: string[],
 *   files?: File[], at?: number, audit?: string,
 *   number?: number, recorded?: string}} Picture
 *   url: a picture that the browser shows; files: DICOM files of one series, `at` the one that is asked about;
 *   path: on the server, perhaps behind the key; paths: of one series, `at` the one that stands for it; audit, recorded: the answer that it belongs to, and its address there;
 *   number: of the evidence that it shows
 */

/** @param {Picture} picture @param {Picture[]} gallery pictures that the viewer can go on to, this one among them */
export function thumbnail(picture, gallery, name = "") {
  const image = h("img", { alt: picture.alt });
  const button = h("button", {
    type: "button", class: `thumbnail ${name}`, "aria-label": `Enlarge: ${picture.alt}`, disabled: true,
    onclick: () => enlarge(gallery, gallery.indexOf(picture)),
  }, image);
  const ready = (url) => {
    image.src = url;
    button.disabled = false;
  };
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "fine" }, "No preview")));
  const path = picture.path || picture.paths?.[picture.at];
  if (picture.url) ready(picture.url);
  else if (path) {
    blobUrl(withQuery(path, { edge: EDGE })).then(ready, (problem) => button.replaceWith(h("p", { class: "empty" }, `The image cannot be shown. ${problem.message}`)));
  } else {
    image.replaceWith(h("span", { class: "fine" }, picture.title));
    button.disabled = !picture.files;
  }
  return button;
}

/** Opens the viewer on one of several pictures. */
export async function enlarge(gallery, at) {
  const { openViewer } = await import("./viewer/viewer.js");
  openViewer(gallery, Math.max(0, at));
}
