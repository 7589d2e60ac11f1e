// Texts and numbers. Offsets from the server count Unicode code points; JavaScript strings count UTF-16 units.

import { h } from "./dom.js";

/**
 * A text with some of its spans marked.
 * @param {string} text
 * @param {{start: number, end: number, of: string, label?: boolean}[]} spans code point offsets into the text; `of` names
 *   who wants it; a label is the name of a section
 * @returns {Node[]} text nodes and <mark data-of="…"> elements; overlaps are split, and name everyone
 */
export function marked(text, spans) {
  const points = Array.from(text);
  const inside = spans
    .map((s) => ({ ...s, start: Math.max(0, s.start), end: Math.min(points.length, s.end) }))
    .filter((s) => s.start < s.end);
  const edges = [...new Set([0, points.length, ...inside.flatMap((s) => [s.start, s.end])])].sort((a, b) => a - b);
  const nodes = [];
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, to] = [edges[i], edges[i + 1]];
    const piece = points.slice(from, to).join("");
    const around = inside.filter((s) => s.start <= from && to <= s.end);
    const of = [...new Set(around.filter((s) => !s.label).map((s) => s.of))];
    const shown = around.some((s) => s.label) ? h("b", {}, piece) : document.createTextNode(piece);
    nodes.push(of.length ? h("mark", { "data-of": of.join(" ") }, shown) : shown);
  }
  return nodes;
}

/** 0.8912 → "89 %"; values that round to 0 or 100 and are not keep a decimal. */
export function percent(value) {
  const p = 100 * value;
  const whole = Math.round(p);
  const exact = Math.abs(p - whole) < 1e-9;
  return !exact && (p < 10 || p > 99) ? `${(Math.floor(p * 10) / 10).toFixed(1).replace(/\.0$/, "")}\u00a0%` : `${whole}\u00a0%`;
}

/** 1234 → "1,234". */
export const count = (n) => Number(n).toLocaleString("en");

/** "1 passage", "2 passages". */
export const many = (n, one, more = `${one}s`) => `${count(n)}\u00a0${n === 1 ? one : more}`;

/** First letter large, a full stop at the end: reasons become sentences. */
export function sentence(text) {
  const t = String(text).trim();
  if (!t) return "";
  const whole = t[0].toUpperCase() + t.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

export const capital = (text) => (text ? text[0].toUpperCase() + text.slice(1) : text);

/** An ISO time in the reader's zone. */
export function when(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return String(iso);
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function duration(ms) {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`;
}
