// The viewer: one picture, or two side by side; frames, window and level, zoom, ruler, regions; all of it by keys as well.

import { announce, h } from "../dom.js";
import { load } from "./frames.js";
import { findRegions, legend } from "./overlay.js";
import { Pane } from "./pane.js";
import { listenToPointers } from "./pointers.js";
import { presets } from "./window.js";

const STEP = 1.3;
const MOVE = 40; // screen pixels by an arrow key
const TOOLS = { window: "Window", move: "Move", ruler: "Measure" };
const STAGE = "Image. Plus and minus zoom, 0 fits, arrow keys move; brackets turn frames; w windows, m moves, r measures, i inverts, c compares";

/** Opens on one of several pictures. @param {import("../thumbnail.js").Picture[]} gallery @param {number} at */
export async function openViewer(gallery, at) {
  await styled();
  const viewer = new Viewer(gallery, at);
  document.body.append(viewer.dialog);
  viewer.dialog.showModal();
  viewer.panes[0].element.focus();
  await viewer.show(0, at);
}

let sheet = null;

/** The viewer's own style sheet comes with it. @returns {Promise<void>} */
function styled() {
  sheet ||= new Promise((done) => {
    document.head.append(h("link", { rel: "stylesheet", href: new URL("../../css/viewer.css", import.meta.url).href, onload: done, onerror: done }));
  });
  return sheet;
}

class Viewer {
  tool = "move";
  #linking = false;

  constructor(gallery, at) {
    this.gallery = gallery;
    this.panes = [this.#pane(), this.#pane()];
    this.active = this.panes[0];
    this.level = h("output", { class: "level", "aria-live": "polite" }, "100\u00a0%");
    this.status = h("p", { class: "readout", role: "status" });
    this.value = h("span", { class: "value", "aria-hidden": "true" });
    this.progress = h("p", { class: "loading", role: "status" });
    this.tools = Object.entries(TOOLS).map(([name, label]) => button(`${label} (${name[0]})`, label, () => this.choose(name), { "aria-pressed": "false", "data-tool": name }));
    this.preset = h("select", { "aria-label": "Window", onchange: () => this.#choosePreset() });
    this.slider = h("input", { type: "range", min: "1", value: "1", "aria-label": "Frame", oninput: () => this.active.turn(this.slider.value - 1) });
    this.place = h("span", { class: "place" });
    this.frames = h("div", { class: "frames", hidden: true }, this.slider, this.place);
    this.compareWith = h("select", { "aria-label": "Picture to compare with", hidden: true, onchange: () => this.show(1, Number(this.compareWith.value)) },
      gallery.map((p, n) => h("option", { value: String(n) }, p.title)));
    this.comparing = button("Compare (c)", "Compare", () => this.compare(), { "aria-pressed": "false" });
    this.linked = h("input", { type: "checkbox", checked: true });
    this.link = h("label", { class: "check", hidden: true }, this.linked, " Zoom together");
    this.regions = h("div", { role: "status" });
    this.finding = button("Where in the picture the findings are (g)", "Where?", () => this.#find(), { hidden: true });
    this.inverting = button("Invert (i)", "Invert", () => this.active.toggleInvert(), { "aria-pressed": "false" });
    this.strip = h("div", { class: "strip", role: "group", "aria-label": "Pictures", hidden: gallery.length < 2 },
      gallery.map((p, n) => h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.show(this.panes.indexOf(this.active), n) }, p.title)));
    this.stages = h("div", { class: "stages" }, this.panes[0].element);
    this.title = h("h2", {}, gallery[at].title);
    this.dialog = h("dialog", { class: "viewer", "aria-label": gallery[at].title, onclose: () => this.dialog.remove(), onkeydown: (event) => this.#key(event) },
      h("header", {}, this.title,
        h("div", { class: "tools", role: "toolbar", "aria-label": "Tools" }, this.tools, this.preset, this.inverting, this.finding,
          h("span", { class: "zooming" }, button("Zoom out", "−", () => this.active.zoom(1 / STEP), { class: "quiet square" }), this.level, button("Zoom in", "+", () => this.active.zoom(STEP), { class: "quiet square" })),
          button("Fit to the window (0)", "Fit", () => this.#fit()),
          this.comparing, this.compareWith, this.link,
          h("button", { type: "button", class: "quiet", onclick: () => this.dialog.close() }, "Close"))),
      this.progress, this.stages, this.frames,
      h("footer", {}, this.regions, h("div", { class: "readouts" }, this.status, this.value), this.strip));
    this.choose("move");
  }

  #pane() {
    const pane = new Pane(() => this.#told(), (p) => this.#viewed(p));
    pane.element.setAttribute("aria-label", STAGE);
    pane.element.addEventListener("focusin", () => this.#activate(pane));
    listenToPointers(pane, {
      tool: () => this.tool, activate: () => this.#activate(pane),
      over: (place) => { this.value.textContent = place ? pane.valueAt(place) : ""; },
    });
    return pane;
  }

  /** Loads a picture into a pane; a medical image starts with the window as its tool, a photograph with moving. */
  async show(which, n) {
    const pane = this.panes[which];
    const picture = this.gallery[n];
    this.progress.textContent = "Loading…";
    try {
      const loaded = await load(picture, (done, all) => { if (all > 1) this.progress.textContent = `Loading, ${done} of ${all}…`; });
      await pane.show(picture, loaded);
      this.progress.textContent = "";
      pane.regions = [];
      if (pane === this.active) this.choose(pane.frame.colour ? "move" : "window");
      this.#told();
    } catch (problem) {
      this.progress.textContent = `The image cannot be shown. ${problem.message}`;
    }
  }

  /** Asks the server where in the active picture the findings are. */
  async #find() {
    const pane = this.active;
    if (!pane.picture?.recorded) return;
    this.finding.disabled = true;
    this.regions.replaceChildren("Looking…");
    try {
      const { regions, why } = await findRegions(pane.picture);
      pane.regions = regions;
      pane.redraw();
      this.#told();
      if (why) this.regions.replaceChildren(`No place is shown: ${why}.`);
    } catch (problem) {
      this.regions.replaceChildren(problem.message);
    } finally {
      this.finding.disabled = false;
    }
  }

  choose(tool) {
    this.tool = tool;
    for (const b of this.tools) b.setAttribute("aria-pressed", String(b.dataset.tool === tool));
    this.stages.dataset.tool = tool;
  }

  compare() {
    const on = this.comparing.getAttribute("aria-pressed") !== "true";
    this.comparing.setAttribute("aria-pressed", String(on));
    this.compareWith.hidden = this.link.hidden = !on;
    if (on) {
      this.stages.append(this.panes[1].element);
      const other = (this.gallery.indexOf(this.panes[0].picture) + 1) % this.gallery.length;
      this.compareWith.value = String(other);
      this.show(1, other);
    } else {
      this.panes[1].element.remove();
      this.#activate(this.panes[0]);
      this.#told();
    }
  }

  #activate(pane) {
    this.active = pane;
    for (const p of this.panes) p.element.classList.toggle("active", p === pane && this.panes[1].element.isConnected);
    this.#told();
  }

  #fit() {
    this.active.setView({ scale: 1, x: 0, y: 0 });
    this.active.setRuler(null);
  }

  #choosePreset() {
    const chosen = presets(this.active.frame)[this.preset.value];
    if (chosen) this.active.setWindow(chosen);
  }

  /** Where two are compared, what is done to one view is done to the other. */
  #viewed(pane) {
    this.level.textContent = `${Math.round(100 * pane.view.scale)}\u00a0%`;
    if (this.#linking || !this.linked.checked || !this.panes[1].element.isConnected) return;
    this.#linking = true;
    this.panes.find((p) => p !== pane).setView({ ...pane.view });
    this.#linking = false;
  }

  /** Everything that is said of the active pane. */
  #told() {
    const pane = this.active;
    if (!pane?.frame || !this.status) return;
    const { frame, stack, at, window, picture } = pane;
    this.title.textContent = picture.title;
    this.frames.hidden = stack.length < 2;
    this.slider.max = String(stack.length);
    this.slider.value = String(at + 1);
    this.place.textContent = `${at + 1} of ${stack.length}`;
    this.slider.setAttribute("aria-valuetext", `Frame ${at + 1} of ${stack.length}`);
    const known = presets(frame);
    const chosen = known.findIndex((p) => p.center === window.center && p.width === window.width);
    this.preset.replaceChildren(...known.map((p, n) => h("option", { value: String(n), selected: n === chosen }, p.name)), chosen < 0 ? h("option", { value: "", selected: true }, "By hand") : "");
    this.inverting.setAttribute("aria-pressed", String(pane.invert));
    const size = `${frame.width * frame.reduced} × ${frame.height * frame.reduced}`;
    const seen = `window ${Math.round(window.width)}, level ${Math.round(window.center)}${frame.unit ? ` ${frame.unit}` : ""}`;
    const reduced = frame.reduced > 1 ? `every ${frame.reduced} pixels` : "";
    this.status.textContent = [pane.measured, seen, size, reduced].filter(Boolean).join(" · ");
    this.finding.hidden = !picture.recorded;
    if (pane.regions !== this.legendOf) this.regions.replaceChildren(legend(pane) || "");
    this.legendOf = pane.regions;
    [...this.strip.children].forEach((b, n) => b.setAttribute("aria-pressed", String(this.gallery[n] === picture)));
    this.level.textContent = `${Math.round(100 * pane.view.scale)}\u00a0%`;
  }

  #key(event) {
    const pane = this.active;
    if (event.ctrlKey || event.metaKey || event.altKey || !pane.frame || event.target.matches("select, input[type=range]")) return;
    const turn = (by) => () => pane.turn(pane.at + by).then(() => announce(`Frame ${pane.at + 1} of ${pane.stack.length}`));
    const arrow = (x, y) => () => {
      if (event.shiftKey) {
        const by = Math.max(1, pane.window.width / 20);
        pane.setWindow({ center: pane.window.center + y * by, width: pane.window.width - x * by });
      } else if (this.tool === "ruler" && pane.ruler) {
        const [a, b] = pane.ruler;
        pane.setRuler([a, [b[0] - x, b[1] - y]]);
      } else {
        pane.move(x * MOVE, y * MOVE);
      }
    };
    const keys = {
      "+": () => pane.zoom(STEP), "=": () => pane.zoom(STEP), "-": () => pane.zoom(1 / STEP), 0: () => this.#fit(),
      ArrowLeft: arrow(1, 0), ArrowRight: arrow(-1, 0), ArrowUp: arrow(0, 1), ArrowDown: arrow(0, -1),
      "]": turn(1), "[": turn(-1), PageDown: turn(1), PageUp: turn(-1), Home: turn(-Infinity), End: turn(Infinity),
      i: () => pane.toggleInvert(), w: () => this.choose("window"), m: () => this.choose("move"), c: () => this.compare(),
      r: () => this.#measure(), g: () => this.#find(), Enter: () => this.#turnRuler(event),
    };
    const action = keys[event.key];
    if (!action || (event.key === "Enter" && !event.target.matches(".stage"))) return;
    event.preventDefault();
    action();
  }

  /** A ruler for the keyboard begins in the middle; arrow keys move its end, Enter the other one. */
  #measure() {
    this.choose("ruler");
    const { frame, ruler } = this.active;
    const [x, y] = [frame.width / 2, frame.height / 2];
    if (!ruler) this.active.setRuler([[x, y], [x + frame.width / 8, y]]);
  }

  #turnRuler() {
    if (this.active.ruler) this.active.setRuler(this.active.ruler.toReversed());
  }
}

function button(label, text, onclick, more = {}) {
  return h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick, ...more }, text);
}
