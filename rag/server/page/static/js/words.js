// What the engine and the server say of themselves, in words that a clinician knows. The record keeps the original.

import { percent } from "./text.js";

const number = (text) => percent(Number(text));

const PLAIN = [
  [/confidence ([\d.]+) is below the least allowed, ([\d.]+)/g, (_, is, least) => `not sure enough: ${number(is)}, and at least ${number(least)} is asked for`],
  [/the router is not sure enough of the domain \(([^,]+), ([\d.]+)\)/g, (_, name, p) => `it is not clear which field this belongs to (${name}: ${number(p)})`],
  [/no valid certificate covers it/g, () => "no test covers answers like this one"],
  [/the evidence disagrees with itself/g, () => "the sources contradict each other"],
  [/reports were read by earlier rules: rag index reread \S+/g, () => "reports were read by earlier rules, and can be read again (rag index reread)"],
  [/the model's window/g, () => "what the model can read at once"],
  [/^question: String should have at most .*$/i, () => "The question is too long; ask it in fewer words."],
  [/^image: (it is larger than .*|it has more than .*); shrink it first$/i, (_, why) => `The image cannot be sent: ${why}. Send a smaller one.`],
];

/** A reason or a problem, plainly. @returns {string} */
export const plainly = (text) => PLAIN.reduce((said, [pattern, words]) => said.replace(pattern, words), String(text ?? ""));

const FORMS = {
  presence: "whether something is there", normality: "whether something is normal", side: "on which side", quantity: "how large or how many",
  degree: "to what degree", course: "whether it changed", cause: "what it is due to", conjunction: "whether two things are there", choice: "which of two",
  whole: "the study as a whole",
};

/** Kinds of questions that a test covers, in words. @param {string[]} forms @returns {string[]} */
export const formsInWords = (forms) => forms.map((f) => FORMS[f] || f);

/** A verdict in a word. */
export const VERDICTS = { yes: "Yes", no: "No", not_mentioned: "Not mentioned" };

const REPEATED = { yes: /^yes\s*[:.,–-]\s+(?=\S)/i, no: /^no\s*[:.,–-]\s+(?=\S)/i, not_mentioned: /^not mentioned in the report:\s+/i };
const INSTEAD = { not_mentioned: "the report says nothing of " };

/** A sentence beneath its verdict, which is said once. */
export function beneath(text, verdict) {
  const rest = verdict ? text.replace(REPEATED[verdict], INSTEAD[verdict] || "") : text;
  return rest === text ? text : rest[0].toUpperCase() + rest.slice(1);
}

/** Which side of a contradiction a sentence stands on; null where it is on none. @returns {["yes" | "no", string] | null} */
export function sideOf(text) {
  const found = /^for (yes|no): (.+)$/is.exec(text);
  return found && [found[1].toLowerCase(), found[2]];
}

/** How a report stands to a finding. */
export const STANDINGS = { present: "asserted", raised: "raised", denied: "denied", history: "history", silent: "silent" };
