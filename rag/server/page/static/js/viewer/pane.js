// One picture on a canvas: zoomed, moved, windowed, measured, with regions over it.

import { h } from "../dom.js";
import { drawRegions } from "./overlay.js";
import { windowed } from "./window.js";

const MOST = 40; // times the size that fits
const SHARP = 3; // screen pixels a picture's pixel from which on pixels are seen as squares

export class Pane {
  frame = null;
  at = 0;
  stack = null;
  picture = null;
  view = { scale: 1, x: 0, y: 0 };
  window = null;
  invert = false;
  ruler = null; // [[x, y], [x, y]] in pixels of the picture
  regions = [];
  opacity = 0.5;
  #drawing = 0;
  #levelled = null; // the frame through its window

  /** @param {(pane: Pane) => void} onChange something other than the view changed @param {(pane: Pane) => void} onView */
  constructor(onChange, onView) {
    this.onChange = onChange;
    this.onView = onView;
    this.canvas = h("canvas", { role: "img", "aria-label": "A picture on its way" });
    this.element = h("div", { class: "stage", tabindex: "0", role: "group" }, this.canvas);
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** Shows a picture from its beginning. */
  async show(picture, { stack, at }) {
    this.picture = picture;
    this.stack = stack;
    this.window = null;
    this.invert = false;
    this.ruler = null;
    this.view = { scale: 1, x: 0, y: 0 };
    this.canvas.setAttribute("aria-label", picture.alt);
    await this.turn(at);
  }

  /** Another frame of the stack. */
  async turn(at) {
    if (!this.stack) return;
    const place = Math.min(this.stack.length - 1, Math.max(0, at));
    const frame = await this.stack.frame(place);
    this.at = place;
    this.frame = frame;
    this.window ||= { ...frame.windows[0] };
    this.#relevel();
  }

  setWindow(window) {
    this.window = { center: window.center, width: Math.max(1, window.width) };
    this.#relevel();
  }

  toggleInvert() {
    this.invert = !this.invert;
    this.#relevel();
  }

  #relevel() {
    this.#levelled = null;
    this.redraw();
    this.onChange(this);
  }

  setRuler(ruler) {
    this.ruler = ruler;
    this.redraw();
    this.onChange(this);
  }

  // ---------------------------------------------------------------- the view

  /** A pixel of the picture is so many screen pixels wide where the whole of it fits. */
  get #fit() {
    const { clientWidth, clientHeight } = this.element;
    return Math.min(clientWidth / this.frame.width, clientHeight / (this.frame.height * this.aspect)) || 1;
  }

  /** Height of a pixel over its width. */
  get aspect() {
    return this.frame?.spacing ? this.frame.spacing[0] / this.frame.spacing[1] : 1;
  }

  setView(view) {
    const scale = Math.min(MOST, Math.max(1, view.scale));
    this.view = scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: view.x, y: view.y };
    this.redraw();
    this.onView(this);
  }

  /** Zooms so that the point under (x, y), from the pane's centre, stays where it is. */
  zoom(factor, x = 0, y = 0) {
    const scale = Math.min(MOST, Math.max(1, this.view.scale * factor));
    const by = scale / this.view.scale;
    this.setView({ scale, x: x - (x - this.view.x) * by, y: y - (y - this.view.y) * by });
  }

  move(dx, dy) {
    this.setView({ ...this.view, x: this.view.x + dx, y: this.view.y + dy });
  }

  fromCentre(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  }

  /** Where in the picture, in its pixels, a pointer is. */
  inPicture(event) {
    const [x, y] = this.fromCentre(event);
    const k = this.#fit * this.view.scale;
    return [(x - this.view.x) / k + this.frame.width / 2, (y - this.view.y) / (k * this.aspect) + this.frame.height / 2];
  }

  /** What the picture says at a place: a number with its unit; empty outside and for colours. */
  valueAt([x, y]) {
    const [i, j] = [Math.floor(x), Math.floor(y)];
    const f = this.frame;
    if (!f || f.colour || i < 0 || j < 0 || i >= f.width || j >= f.height) return "";
    const stored = f.values[j * f.width + i];
    return stored === f.padding ? "" : `${Math.round((stored * f.slope + f.intercept) * 100) / 100} ${f.unit}`.trim();
  }

  /** The length of the ruler in words. */
  get measured() {
    if (!this.ruler || !this.frame) return "";
    const [[x0, y0], [x1, y1]] = this.ruler;
    const { spacing, reduced, atDetector } = this.frame;
    if (!spacing) return `${Math.round(Math.hypot(x1 - x0, y1 - y0) * reduced)} pixels; how large they are is not known`;
    const mm = Math.hypot((x1 - x0) * spacing[1], (y1 - y0) * spacing[0]);
    return `${mm.toFixed(1)} mm${atDetector ? " at the detector" : ""}`;
  }

  // ---------------------------------------------------------------- drawing

  redraw() {
    if (!this.#drawing) this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = 0;
    const { clientWidth, clientHeight } = this.element;
    if (!this.frame || !clientWidth) return;
    const dpr = devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * dpr);
    this.canvas.height = Math.round(clientHeight * dpr);
    if (!this.#levelled) {
      this.#levelled = new OffscreenCanvas(this.frame.width, this.frame.height);
      this.#levelled.getContext("2d").putImageData(windowed(this.frame, this.window, this.invert), 0, 0);
    }
    const { width, height } = this.frame;
    const context = this.canvas.getContext("2d");
    const k = this.#fit * this.view.scale * dpr;
    const left = this.canvas.width / 2 + this.view.x * dpr - (width / 2) * k;
    const top = this.canvas.height / 2 + this.view.y * dpr - (height / 2) * k * this.aspect;
    context.imageSmoothingEnabled = k < SHARP;
    context.imageSmoothingQuality = "high";
    context.setTransform(k, 0, 0, k * this.aspect, left, top);
    context.drawImage(this.#levelled, 0, 0);
    const place = ([x, y]) => [left + x * k, top + y * k * this.aspect];
    drawRegions(context, this, place, dpr);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.ruler) drawRuler(context, this.ruler.map(place), this.measured, dpr);
    Object.assign(this.element.dataset, { scale: this.view.scale.toFixed(3), x: Math.round(this.view.x), y: Math.round(this.view.y) });
  }
}

function drawRuler(context, [a, b], text, dpr) {
  const across = Math.atan2(b[1] - a[1], b[0] - a[0]) + Math.PI / 2;
  const [tx, ty] = [6 * dpr * Math.cos(across), 6 * dpr * Math.sin(across)];
  const path = () => {
    context.beginPath();
    context.moveTo(...a);
    context.lineTo(...b);
    for (const [x, y] of [a, b]) {
      context.moveTo(x - tx, y - ty);
      context.lineTo(x + tx, y + ty);
    }
    context.stroke();
  };
  for (const [colour, wide] of [["#000", 4], ["#ffe08a", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide * dpr;
    path();
  }
  context.font = `600 ${14 * dpr}px sans-serif`;
  context.lineWidth = 4 * dpr;
  context.strokeStyle = "#000";
  context.fillStyle = "#ffe08a";
  const at = [Math.max(a[0], b[0]) + 10 * dpr, (a[1] + b[1]) / 2];
  context.strokeText(text.split(";")[0], ...at);
  context.fillText(text.split(";")[0], ...at);
}
