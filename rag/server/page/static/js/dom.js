// Builds elements. Text becomes text nodes and nothing else: what documents say can never become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on…` properties are listeners, `class`, `data-…`, `aria-…` and the rest are attributes. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Says something to screen readers without moving the focus. */
export function announce(text) {
  byId("live").textContent = text;
}

/** Scrolls the least needed, at once where less motion is wanted. */
export function bringIntoView(element, block = "nearest") {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block, behavior: still ? "auto" : "smooth" });
}

/** A bar from 0 to 1; the number stands beside it, so readers of the screen need not hear it twice. */
export function bar(value) {
  const inner = h("span", { class: "bar-fill" });
  inner.style.width = `${Math.round(100 * value)}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, inner);
}
