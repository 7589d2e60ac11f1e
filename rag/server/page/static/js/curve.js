// The relevance curve with its cut: which passages became evidence and why the rest did not.

import { h, svg } from "./dom.js";
import { many } from "./text.js";

const HEIGHT = 168;
const EDGE = { left: 34, right: 12, top: 14, bottom: 28 };

const ordinal = (n) => `${n}${n % 100 > 10 && n % 100 < 14 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" })[n % 10] || "th"}`;

/** Why so many passages and no more, in a sentence or two. */
export function whySelected({ candidates, kept, rule, gamma, k }) {
  const n = candidates.length;
  if (rule === "study") return `The question is about one study, so that study’s own text was read whole (${many(kept, "passage")}). Nothing else was searched.`;
  if (!n) return "The search found no passage.";
  if (rule === "gap") {
    const [a, b] = [candidates[kept - 1].score, candidates[kept].score];
    return `${kept} of ${many(n, "passage")} became evidence. The rest were left out because relevance falls off after the ${ordinal(kept)}: from ${a.toFixed(2)} to ${b.toFixed(2)}, a gap of ${Math.log(a / b).toFixed(2)} where at most ${gamma} is allowed.`;
  }
  if (rule === "floor") return `The best ${kept} of ${many(n, "passage")} became evidence: so many are needed, as was tested, that evidence is seldom missed.`;
  if (rule === "ceiling") return `The best ${kept === 1 ? "" : `${kept} `}of ${many(n, "passage")} became evidence. The rest were left out because at most ${k} ${k === 1 ? "is" : "are"} read.`;
  return n === 1 ? "One passage was found, and it became evidence." : `All ${many(n, "passage")} found became evidence: relevance nowhere falls off, and at most ${k} are read.`;
}

/** The curve with a table beside it as its text alternative; null where nothing was searched. */
export function curve(selection) {
  const { candidates, rule } = selection;
  if (rule === "study" || candidates.length < 2) return null;
  const frame = h("div", { class: "curve" });
  const draw = () => {
    const width = Math.max(240, Math.floor(frame.clientWidth) || 480);
    frame.replaceChildren(plot(selection, width));
  };
  new ResizeObserver(draw).observe(frame);
  draw();
  return h("figure", { class: "curve-figure" }, frame,
    h("figcaption", {},
      h("span", { class: "key" }, h("span", { class: "dot kept" }), "became evidence"),
      h("span", { class: "key" }, h("span", { class: "dot left" }), "left out")),
    h("details", {}, h("summary", {}, "The passages as a table"), table(selection)));
}

function plot(selection, width) {
  const { candidates, kept } = selection;
  const n = candidates.length;
  const top = Math.max(1, ...candidates.map((c) => c.score));
  const x = (i) => EDGE.left + ((width - EDGE.left - EDGE.right) * (i + 0.5)) / n;
  const y = (s) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (1 - Math.max(0, s) / top);
  const base = y(0);
  const cut = kept > 0 && kept < n ? (x(kept - 1) + x(kept)) / 2 : null;
  const every = Math.ceil(n / Math.max(4, Math.floor(width / 36)));
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `Relevance of the passages found, best first. ${whySelected(selection)}` },
    svg("rect", { class: "kept-area", x: EDGE.left, y: EDGE.top, width: (cut ?? width - EDGE.right) - EDGE.left, height: base - EDGE.top }),
    [0, 0.5, 1].map((s) => [
      svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(s), y2: y(s) }),
      svg("text", { class: "tick", x: EDGE.left - 7, y: y(s) + 4, "text-anchor": "end" }, String(s)),
    ]),
    svg("polyline", { class: "line", points: candidates.map((c, i) => `${x(i)},${y(c.score)}`).join(" ") }),
    cut === null ? null : svg("line", { class: "cut", x1: cut, x2: cut, y1: EDGE.top - 6, y2: base }),
    cut === null ? null : svg("text", { class: "cut-label", x: cut + 6, y: EDGE.top + 4 }, "cut"),
    candidates.map((c, i) => svg("circle", { class: i < kept ? "point kept" : "point left", cx: x(i), cy: y(c.score), r: 5 },
      svg("title", {}, `${i + 1}. ${c.title || c.document_id}: ${c.score.toFixed(3)}`))),
    candidates.map((c, i) => (i % every ? null : svg("text", { class: "tick", x: x(i), y: HEIGHT - 9, "text-anchor": "middle" }, String(i + 1)))));
}

function table({ candidates, kept }) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Passages found" },
    h("table", {},
      h("thead", {}, h("tr", {}, ["Rank", "Passage", "Relevance", ""].map((t) => h(t ? "th" : "td", t ? { scope: "col" } : {}, t)))),
      h("tbody", {}, candidates.map((c, i) => h("tr", { class: i < kept ? null : "left-out" },
        h("td", {}, String(i + 1)), h("td", {}, c.title || c.document_id), h("td", { class: "number" }, c.score.toFixed(3)),
        h("td", {}, i < kept ? "evidence" : "left out"))))));
}
