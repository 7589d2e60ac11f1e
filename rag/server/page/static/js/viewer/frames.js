// Pictures as numbers: DICOM frames from the server in 16 bits, other pictures decoded by the browser.

import { raw, withQuery } from "../api.js";

const FRAMES = "application/vnd.clincite.frames";
const AT_ONCE = 3; // files under way

/**
 * @typedef {object} Frame
 * @property {number} width
 * @property {number} height
 * @property {Int16Array | Uint16Array | Uint8ClampedArray} values one number a pixel, or red, green, blue, alpha
 * @property {boolean} colour
 * @property {number} slope value = stored * slope + intercept
 * @property {number} intercept
 * @property {{center: number, width: number, name: string}[]} windows at least one
 * @property {boolean} inverted the lowest value is meant to be shown white
 * @property {[number, number] | null} spacing mm between rows, between columns
 * @property {boolean} atDetector
 * @property {string} unit
 * @property {number | null} padding
 * @property {number} reduced every so many-th pixel is here
 */

/** The frames of a picture in order; those of a long file are fetched as they are looked at. */
export class Stack {
  #frames = new Map();

  /** @param {number} length @param {(at: number) => Promise<[number, Frame][]>} fetchFrom frames from one on, with their places */
  constructor(length, fetchFrom) {
    this.length = length;
    this.fetchFrom = fetchFrom;
  }

  /** @returns {Promise<Frame>} */
  async frame(at) {
    if (!this.#frames.has(at)) for (const [place, frame] of await this.fetchFrom(at)) this.#frames.set(place, frame);
    return this.#frames.get(at);
  }
}

/** Reads a picture of the gallery. @param {(done: number, all: number) => void} onProgress @returns {Promise<{stack: Stack, at: number}>} */
export async function load(picture, onProgress = () => {}) {
  if (picture.files) return series(picture.files.map((file) => (first) => send(file, first)), picture.at || 0, onProgress);
  if (picture.paths) return series(picture.paths.map((path) => (first) => fetchFrames(path, first)), picture.at || 0, onProgress);
  if (picture.path) return series([(first) => fetchFrames(picture.path, first)], 0, onProgress);
  const image = new Image();
  image.src = picture.url;
  await image.decode();
  const only = [[0, pixelsOf(image, image.naturalWidth, image.naturalHeight)]];
  return { stack: new Stack(1, async () => only), at: 0 };
}

/** Frames of an image on the server, of what is no DICOM file the one that it is. @param {string} path of the image in small */
async function fetchFrames(path, first) {
  const response = await raw(withQuery(path.replace(/\/image(?=\?|$)/, "/pixels"), { first }));
  if (response.headers.get("Content-Type").startsWith(FRAMES)) return parse(await response.arrayBuffer());
  const bitmap = await createImageBitmap(await response.blob());
  return { frames: [pixelsOf(bitmap, bitmap.width, bitmap.height)], first: 0, total: 1, position: null, number: null };
}

/** Sends a DICOM file and gets frames of it. */
export async function send(file, first = 0) {
  const body = new FormData();
  body.append("file", file, "upload");
  return parse(await (await raw(`v1/frames?first=${first}`, { method: "POST", body, accept: FRAMES })).arrayBuffer());
}

/**
 * Files of one series, in the order in which they lie in the patient, else by number, else as they came.
 * @param {((first: number) => Promise<object>)[]} files each gives its frames from one on
 */
async function series(files, asked, onProgress) {
  const read = new Array(files.length);
  let next = 0, done = 0;
  const work = async () => {
    while (next < files.length) {
      const n = next++;
      read[n] = await files[n](0);
      onProgress(++done, files.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, work));
  const key = (n) => read[n].position ?? read[n].number ?? n;
  const order = files.map((_, n) => n).sort((a, b) => key(a) - key(b) || a - b);
  const places = order.flatMap((n) => Array.from({ length: read[n].total }, (_, frame) => ({ n, frame })));
  const stack = new Stack(places.length, async (at) => {
    const { n, frame } = places[at];
    const here = frame < read[n].frames.length ? read[n] : await files[n](frame);
    const begin = at - (frame - here.first);
    return here.frames.map((f, i) => [begin + i, f]);
  });
  return { stack, at: places.findIndex((p) => p.n === asked) };
}

function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const size = head.rows * head.columns;
  const frames = head.meanings.map((meaning, n) => {
    const begin = 4 + length + n * size * (head.stored === "rgb8" ? 3 : 2);
    const values = head.stored === "rgb8" ? withAlpha(new Uint8Array(buffer, begin, 3 * size))
      : head.stored === "int16" ? new Int16Array(buffer, begin, size) : new Uint16Array(buffer, begin, size);
    return {
      width: head.columns, height: head.rows, values, colour: head.stored === "rgb8", slope: meaning.slope, intercept: meaning.intercept,
      windows: meaning.windows.length ? meaning.windows : [WHOLE], inverted: head.inverted, spacing: head.spacing, atDetector: head.at_detector,
      unit: head.unit, padding: head.padding, reduced: head.reduced,
    };
  });
  return { frames, first: head.first, total: head.total, position: head.meanings[0].position, number: head.number, series: head.series };
}

const WHOLE = { center: 128, width: 256, name: "" };

function withAlpha(rgb) {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    rgba[j] = rgb[i];
    rgba[j + 1] = rgb[i + 1];
    rgba[j + 2] = rgb[i + 2];
    rgba[j + 3] = 255;
  }
  return rgba;
}

function pixelsOf(image, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return {
    width, height, values: context.getImageData(0, 0, width, height).data, colour: true, slope: 1, intercept: 0, windows: [WHOLE], inverted: false,
    spacing: null, atDetector: false, unit: "", padding: null, reduced: 1,
  };
}
