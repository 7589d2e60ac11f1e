// An answer as text to paste elsewhere: every sentence with its numbers, every number with its source and its quotes.

import { VERDICTS } from "./words.js";

/** @param {object} answer as the server gives it @returns {string} */
export function citedText(answer) {
  const quotes = new Map();
  for (const c of answer.citations) quotes.set(c.number, [...new Set([...(quotes.get(c.number) || []), `“${c.quote}”`])]);
  const sources = answer.evidence.filter((e) => quotes.has(e.number));
  const lines = [
    answer.question.text,
    "",
    answer.decision === "answered" ? VERDICTS[answer.verdict] : `Not answered: ${answer.reason}`,
    ...answer.sentences.map((s) => `${s.text} ${s.seen_by ? "[image]" : s.citations.map((n) => `[${n}]`).join("")}`.trim()),
    sources.length ? "" : undefined,
    ...sources.map((e) => [`[${e.number}] ${e.title || e.document_id} (${e.source}, ${e.document_id})`, ...quotes.get(e.number), ...(e.references || [])].join(" ")),
    "",
    `ClinCite, ${answer.audit_id}, index version ${answer.index_version}. Research software, not a medical device.`,
  ];
  return lines.filter((line) => line !== undefined).join("\n");
}

/** Puts a text on the clipboard, also where the page is not served over TLS. @returns {Promise<void>} */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser does not let this page copy; select the text instead.");
  return undefined;
}
