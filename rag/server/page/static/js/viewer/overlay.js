// Where a finding is said to be: boxes and a heat map over a picture, each with its phrase and colour.

import { raw } from "../api.js";
import { h } from "../dom.js";

const COLOURS = ["#ffb454", "#6cd4ff", "#c7f283", "#ff9de2", "#b9a7ff"];

export const colourOf = (n) => COLOURS[n % COLOURS.length];

/** Fetches the heat maps of a picture's regions. @returns {Promise<object[]>} regions with `heat`, where they have a map */
export async function loadRegions(picture) {
  return Promise.all((picture.regions || []).map(async (region) => {
    if (!region.map) return { ...region, heat: null };
    const heat = await raw(region.map, { accept: "image/png" }).then(async (found) => createImageBitmap(await found.blob()), () => null);
    return { ...region, heat };
  }));
}

/** Draws what is switched on. @param {(p: [number, number]) => [number, number]} place from the picture's pixels to the canvas's */
export function drawRegions(context, { regions, opacity, frame }, place, dpr) {
  regions.forEach((region, n) => {
    if (region.hidden) return;
    if (region.heat) {
      context.globalAlpha = opacity;
      context.drawImage(region.heat, 0, 0, frame.width, frame.height);
      context.globalAlpha = 1;
    }
    const kept = context.getTransform();
    context.resetTransform();
    for (const [x0, y0, x1, y1] of region.boxes || []) {
      const [left, top] = place([x0 * frame.width, y0 * frame.height]);
      const [right, bottom] = place([x1 * frame.width, y1 * frame.height]);
      context.strokeStyle = "#000";
      context.lineWidth = 4 * dpr;
      context.strokeRect(left, top, right - left, bottom - top);
      context.strokeStyle = colourOf(n);
      context.lineWidth = 2 * dpr;
      context.strokeRect(left, top, right - left, bottom - top);
    }
    context.setTransform(kept);
  });
}

/** What the boxes and the map stand for, with a switch for each and their opacity. */
export function legend(pane) {
  if (!pane.regions.length) return null;
  const opacity = h("input", { type: "range", min: "0", max: "100", value: String(100 * pane.opacity), "aria-label": "Opacity of the heat map", oninput: () => { pane.opacity = opacity.value / 100; pane.redraw(); } });
  return h("div", { class: "legend", role: "group", "aria-label": "Regions" },
    pane.regions.map((region, n) => {
      const key = h("span", { class: "swatch", "aria-hidden": "true" });
      key.style.borderColor = colourOf(n);
      const box = h("input", { type: "checkbox", checked: !region.hidden, onchange: () => { region.hidden = !box.checked; pane.redraw(); } });
      return h("label", { class: "check" }, box, key, h("span", {}, region.phrase), region.note ? h("span", { class: "fine" }, region.note) : null);
    }),
    pane.regions.some((r) => r.heat) ? h("label", { class: "check" }, h("span", { class: "fine" }, "Heat map"), opacity) : null);
}
