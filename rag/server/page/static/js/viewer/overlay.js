// Where a finding is said to be: boxes and a heat map over a picture, each with its phrase and colour.

import { get, raw } from "../api.js";
import { h } from "../dom.js";

const COLOURS = ["#ffb454", "#6cd4ff", "#c7f283", "#ff9de2", "#b9a7ff"];

export const colourOf = (n) => COLOURS[n % COLOURS.length];

/**
 * Where the findings of an answer, or of a report that is its evidence, are said to be in a picture. The server looks when
 * it is asked to, and says so where it cannot tell.
 * @param {import("../thumbnail.js").Picture} picture @returns {Promise<{regions: object[], why: string}>}
 */
export async function findRegions(picture) {
  const answer = `v1/answers/${encodeURIComponent(picture.audit)}`;
  const found = await get(picture.number ? `${answer}/evidence/${picture.number}/regions` : `${answer}/regions`);
  const here = found.regions.filter((r) => r.image === picture.recorded);
  const regions = await Promise.all(here.map(async (region) => ({
    ...region,
    heat: region.map ? await raw(region.map, { accept: "image/png" }).then(async (map) => createImageBitmap(await map.blob())) : null,
  })));
  return { regions, why: found.cannot_say || (regions.length ? "" : "nothing is said to be there that could be looked for in this image") };
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
    for (const { x0, y0, x1, y1 } of region.boxes) {
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

/** How sure the place is, or why there is none. */
function said(region) {
  const told = region.cannot_say ? `cannot say where: ${region.cannot_say}` : `views of the image agree to ${Math.round(100 * (1 - region.uncertainty))}\u00a0%; nobody has checked it`;
  return [told, region.standing === region.cannot_say ? "" : region.standing].filter(Boolean).join(". ");
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
      return h("label", { class: "check" }, box, key, h("span", {}, region.phrase), h("span", { class: "fine" }, said(region)));
    }),
    pane.regions.some((r) => r.heat) ? h("label", { class: "check" }, h("span", { class: "fine" }, "Heat map"), opacity) : null);
}
