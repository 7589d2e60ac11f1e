// What to do when a question is not answered: the engine says why, this says what may help.

const ADVICE = [
  [/depend on the image/i, "Name the study, so that its report is read: who answers here does not see this in images."],
  [/study|patient|report/i, "Name the study that the question is about, in the question or in the field “Study”."],
  [/image is|the image$|see it in the image|photograph/i, "Try another image: whole, upright, of a kind that the index holds."],
  [/domain|belongs to/i, "Choose an index that covers the subject; see Indexes for what each one holds."],
  [/confidence|router|sure/i, "Ask about one finding at a time, in the words a report would use."],
  [/disagree|contradict/i, "Read the statements below: the sources disagree, and the decision is yours."],
  [/far from|closest|nothing/i, "Use the terms of the literature, or spell out abbreviations."],
  [/certificate/i, "Compute a certificate for this index with rag calibrate, or allow answers without one."],
];

/** At most three pieces of advice, the last one always possible. @returns {string[]} */
export function whatToDo(answer) {
  const fits = ADVICE.filter(([pattern]) => pattern.test(answer.reason)).map(([, text]) => text).slice(0, 2);
  if (!fits.length) fits.push("Ask about one finding at a time, in the words a report would use.");
  fits.push(answer.evidence.length
    ? "Read the nearest evidence and judge for yourself. It was not enough to answer from."
    : "Add the sources that would answer it to the index.");
  return fits;
}
