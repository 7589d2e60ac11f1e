// An image, enlarged: wheel, buttons, keys or two fingers zoom; dragging and arrow keys move.

import { blobUrl } from "../api.js";
import { h } from "../dom.js";

const MOST = 12;
const STEP = 1.3;

export async function openViewer(gallery, at) {
  const { alt, title, path } = gallery[at];
  const url = gallery[at].url || await blobUrl(`${path}?edge=2048`);
  const state = { scale: 1, x: 0, y: 0 };
  const image = h("img", { src: url, alt, draggable: "false" });
  const stage = h("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "Image; plus and minus zoom, arrow keys move, 0 fits" }, image);
  const level = h("output", { class: "level", "aria-live": "polite" }, "100\u00a0%");
  const button = (label, text, action) => h("button", { type: "button", class: "quiet square", "aria-label": label, title: label, onclick: action }, text);
  const close = () => dialog.close();

  function draw() {
    if (state.scale === 1) state.x = state.y = 0;
    image.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.scale})`;
    level.textContent = `${Math.round(100 * state.scale)}\u00a0%`;
    stage.classList.toggle("zoomed", state.scale > 1);
  }
  /** Zooms so that the point under (x, y), from the stage's centre, stays where it is. */
  function zoom(factor, x = 0, y = 0) {
    const scale = Math.min(MOST, Math.max(1, state.scale * factor));
    state.x = x - ((x - state.x) * scale) / state.scale;
    state.y = y - ((y - state.y) * scale) / state.scale;
    state.scale = scale;
    draw();
  }
  function fit() {
    Object.assign(state, { scale: 1, x: 0, y: 0 });
    draw();
  }
  function move(dx, dy) {
    if (state.scale === 1) return;
    state.x += dx;
    state.y += dy;
    draw();
  }
  const fromCentre = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  };

  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: fit,
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
  };
  const dialog = h("dialog", {
    class: "viewer", "aria-label": title,
    onclose: () => dialog.remove(),
    onkeydown: (event) => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      action();
    },
  },
  h("header", {}, h("h2", {}, title), h("div", { class: "tools" },
    button("Zoom out", "−", () => zoom(1 / STEP)), level, button("Zoom in", "+", () => zoom(STEP)),
    h("button", { type: "button", class: "quiet", onclick: fit }, "Fit"),
    h("button", { type: "button", class: "quiet", onclick: close }, "Close"))),
  stage);

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...fromCentre(event));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => (state.scale > 1 ? fit() : zoom(3, ...fromCentre(event))));

  const fingers = new Map();
  stage.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const other = [...fingers.values()].find((f) => f.pointerId !== event.pointerId);
    if (other) {
      const apart = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY) || 1;
      zoom(apart(event) / apart(before), ...fromCentre(event));
    } else {
      move(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => fingers.delete(event.pointerId));

  document.body.append(dialog);
  dialog.showModal();
  stage.focus();
}
