"""Verification of a draft, whoever wrote it: every sentence against what it cites.

Each quote is judged (``entailment.py``, and a cross-encoder where one is given). A contradicted sentence never
passes; one that its quotes do not support is dropped. Wrong numbers, spans and repeated citations are repaired where
the evidence leaves one way to do so. Text that speaks to whoever answers is no evidence, and a draft whose verdict
its own quotes deny is dropped whole.

Of literature a language model may read a yes or no that no rule follows. Where its own words for it are not borne out,
they are replaced by the sentence of the evidence that bears most on the question, word for word, and the citation says
whose reading the verdict is (``bearing.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.language.clinical_text import Texts
from rag.language.injection import strip_invisible
from rag.language.quantities import quantities_of
from rag.language.question import Asked
from rag.language.reading import read_literature, read_passage
from rag.language.silence import why_silence_says_nothing
from rag.language.tokens import tokens_of
from rag.types import Citation, Draft, DraftSentence, Dropped, Evidence, Quote, Sentence, Side
from rag.verification.base import Verified
from rag.verification.rules.bearing import RELEVANT, Visible, bearing_most
from rag.verification.rules.efficacy import works
from rag.verification.rules.entailment import judge
from rag.verification.rules.judgement import (
    Entailment,
    Judgement,
    cited,
    contradicted,
    not_mentioned,
    supported,
    unsupported,
)
from rag.verification.rules.quoting import best_quote
from rag.verification.rules.relation import why_beside
from rag.verification.rules.second_reading import follows
from rag.verification.rules.wording import Embed

_QUOTED = re.compile(r"“([^”]*)”")
_SILENT = re.compile(r"\b(?:does|do|did) not mention\b|^\s*not mentioned\b", re.I)
_POLARITY = re.compile(r"\s*(?:for )?(yes|no)\b\s*(?:in a similar case)?\s*(?:[,.:;!\u2013\u2014-]+\s*|$)", re.I)
_LABEL = re.compile(r"[A-Z][A-Z /&()-]{2,40}:\s*(?=\S)")
_BESIDE = "the literature that it quotes does not bear on the question"
_UNREADABLE = "what it quotes speaks to the reader and is no evidence"


def verify(
    draft: Draft,
    asked: Asked,
    evidence: Sequence[Evidence],
    texts: Texts,
    *,
    embed: Embed | None = None,
    entailment: Entailment | None = None,
) -> Verified:
    """Check each sentence of ``draft`` against the spans that it cites, and mend citations that point nowhere.

    What ``draft.left_out`` names may not be cited, and tells only what the articles are about.
    ``embed`` gives unit vectors of words, so that other words may support a sentence; ``entailment`` decides where
    words and findings do not.
    """
    shown = {e.number: e for e in evidence if e.passage_id not in draft.left_out}
    checker = _Checker(asked, shown, evidence, texts, embed, entailment)
    sentences: list[Sentence] = []
    citations: list[Citation] = []
    dropped: list[Dropped] = []
    repaired: list[str] = []
    for n, sentence in enumerate(draft.sentences):
        if sentence.seen_by is not None:  # no text is meant to say it, so none can verify it; the answer says so
            sentences.append(Sentence(text=strip_invisible(sentence.text), seen_by=sentence.seen_by))
            continue
        quotes, judged, notes = checker.check(sentence)
        if n == 0 and judged.verdict == "supported":
            quotes, judged = checker.telling(draft, quotes)
        if n == 0 and judged.verdict == "unsupported" and (read := checker.read_by_model(draft)):
            notes = [f"replaced by what bears on the question, since {judged.reason}: “{sentence.text}”"]
            sentence, quotes, judged = read
        if not judged.passes:
            dropped.append(Dropped(text=sentence.text, verdict=judged.verdict, reason=judged.reason))
            continue
        repaired += notes
        numbers = tuple(sorted({q.number for q, _ in quotes}))
        citations += [checker.citation(len(sentences), q, j) for q, j in quotes]
        sentences.append(Sentence(text=strip_invisible(sentence.text), citations=numbers))
    if sentences and sentences[0].seen_by is None and checker.denies(draft, citations):
        reason = f"the draft answers {draft.verdict}, and what it quotes says the opposite"
        dropped += [Dropped(text=s.text, verdict="contradicted", reason=reason) for s in sentences]
        sentences, citations = [], []
    return Verified(tuple(sentences), tuple(citations), tuple(dropped), tuple(repaired))


@dataclass(frozen=True)
class _Checker:
    """One question with its evidence."""

    asked: Asked
    by_number: Mapping[int, Evidence]
    evidence: Sequence[Evidence]
    texts: Texts
    embed: Embed | None
    entailment: Entailment | None

    def check(self, sentence: DraftSentence) -> tuple[list[tuple[Quote, Judgement]], Judgement, list[str]]:
        """The citations that support the sentence, the verdict on it, and what was repaired."""
        quotes, notes = self._mended(sentence)
        if not quotes:
            found = self._elsewhere(sentence)
            if found is None:
                why = "it cites no evidence" if not sentence.quotes else "it cites evidence that there is not"
                return [], unsupported(f"{why}, and none that was found supports it"), notes
            numbers = ", ".join(str(q.number) for q in sentence.quotes) or "none"
            return [found], found[1], [*notes, f"citation {numbers} became {found[0].number}: “{sentence.text}”"]
        judged = [(q, self._judge(sentence.text, q)) for q in quotes]
        against = next((j for _, j in judged if j.verdict == "contradicted"), None)
        if against is not None:
            return [], against, notes
        good = [(q, j) for q, j in judged if j.passes]
        if not good and len(judged) > 1:  # each may carry a part of the sentence
            together = judge(sentence.text, "\n".join(self.quoted(q) for q in quotes), self.texts, self.embed)
            if together.verdict == "supported":
                good = [(q, together) for q, j in judged if j.score > 0]
        if good:
            return good, good[0][1], notes
        return [], max((j for _, j in judged), key=lambda j: j.score), notes

    def telling(
        self, draft: Draft, quotes: list[tuple[Quote, Judgement]]
    ) -> tuple[list[tuple[Quote, Judgement]], Judgement]:
        """Those of a verdict's citations that tell what is asked, and not the same of another thing."""
        if not self.asked.yes_no or draft.verdict is None:
            return quotes, quotes[0][1]
        whys = [self._beside(q, draft.verdict) for q, _ in quotes]
        left = [row for row, why in zip(quotes, whys, strict=True) if not why]
        return (left, left[0][1]) if left else ([], unsupported(f"{_BESIDE}: {whys[0]}"))

    def _beside(self, q: Quote, side: Side) -> str:
        """Why a quote of literature does not say ``side``; empty where it may, or is of the case itself."""
        e, quote = self.by_number[q.number], self.quoted(q)
        if not e.in_general or works(self.asked, quote, e.title, self.texts) == side:
            return ""
        return why_beside(self.asked, side, quote, e.title, self.texts)

    def read_by_model(self, draft: Draft) -> tuple[DraftSentence, list[tuple[Quote, Judgement]], Judgement] | None:
        """A model's yes or no with what bears most on the question in place of its own words.

        None where it is no model's, or nothing in the literature bears on the question, or what does says the opposite
        or says it of something else.
        """
        if not self.asked.yes_no or draft.verdict is None or draft.text is None:
            return None
        named = [q.number for s in draft.sentences[:1] for q in s.quotes]
        found = bearing_most(self.asked, self.evidence, Visible(self.by_number.keys(), named), self.texts)
        if found is None:
            return None
        quote, e = self.quoted(found.quote), self.by_number[found.quote.number]
        if self._seen(found.quote, e).split() != quote.split():
            return None
        reading = read_literature(self.asked, quote, self.texts)
        if reading.mentioned and (reading.probability >= 0.5) != (draft.verdict == "yes"):
            return None
        if found.said == 1 and self._beside(found.quote, draft.verdict):
            return None  # it has every word of the question, and says them of something else
        told = works(self.asked, quote, e.title, self.texts)
        if told is not None and told != draft.verdict:
            return None
        follows = reading.mentioned and found.said == 1
        judged = supported("its quote says so", 0.9) if follows else cited("the model's reading", found.share)
        said = (
            f"{draft.verdict.capitalize()}{':' if follows else ', as the model reads it:'} “{' '.join(quote.split())}”"
        )
        return DraftSentence(text=said, quotes=(found.quote,)), [(found.quote, judged)], judged

    def quoted(self, q: Quote) -> str:
        e = self.by_number[q.number]
        return e.text[q.start - e.start : q.end - e.start]

    def citation(self, index: int, q: Quote, judged: Judgement) -> Citation:
        e = self.by_number[q.number]
        return Citation(
            sentence=index,
            number=q.number,
            document_id=e.document_id,
            passage_id=e.passage_id,
            source=e.source,
            quote=self.quoted(q),
            start=q.start,
            end=q.end,
            verdict=judged.verdict,
            score=round(judged.score, 4),
            boxes=e.boxes_between(q.start, q.end),
        )

    def denies(self, draft: Draft, citations: Sequence[Citation]) -> bool:
        """Whether every quote that bears on a yes/no question says the opposite of the draft's verdict."""
        if draft.verdict is None or not self.asked.yes_no:
            return False
        readings = [read_passage(self._asked(self.by_number[c.number]), c.quote, self.texts) for c in citations]
        sides = {"yes" if r.probability >= 0.5 else "no" for r in readings if r.mentioned}
        return bool(sides) and draft.verdict not in sides

    def _asked(self, e: Evidence) -> Asked:
        return self.asked.in_general if e.in_general else self.asked

    def _mended(self, sentence: DraftSentence) -> tuple[list[Quote], list[str]]:
        """Quotes of evidence that there is, once each; a span outside its passage becomes the best one in it."""
        quotes: dict[tuple[int, int, int], Quote] = {}
        notes: list[str] = []
        silent = bool(_SILENT.search(sentence.text))
        for q in sentence.quotes:
            e = self.by_number.get(q.number)
            if e is None:
                continue
            if silent and not self._seen(q, e).strip():
                q = self._readable() or q  # what says nothing of it is cited, not what is no evidence
                e = self.by_number[q.number]
            if not e.start <= q.start < q.end <= e.start + len(e.text):
                q = best_quote(sentence.text, e, self.texts)
                notes.append(f"citation {q.number} pointed outside its passage: “{sentence.text}”")
            quotes.setdefault((q.number, q.start, q.end), q)
        return list(quotes.values()), notes

    def _readable(self) -> Quote | None:
        """The last sentence that is evidence."""
        for e in reversed(list(self.by_number.values())):
            sentences = self.texts.of(e.text).sentences
            if sentences:
                first, last, _ = sentences[-1]
                label = _LABEL.match(e.text, first, last)
                return Quote(number=e.number, start=e.start + (label.end() if label else first), end=e.start + last)
        return None

    def _elsewhere(self, sentence: DraftSentence) -> tuple[Quote, Judgement] | None:
        """The evidence that supports a sentence which names none; None where any evidence contradicts it."""
        best: tuple[Quote, Judgement] | None = None
        for e in self.by_number.values():
            q = best_quote(sentence.text, e, self.texts)
            judged = self._judge(sentence.text, q)
            if judged.verdict == "contradicted":
                return None
            if judged.passes and (best is None or judged.score > best[1].score):
                best = q, judged
        return best

    def _judge(self, text: str, q: Quote) -> Judgement:
        e = self.by_number[q.number]
        if self._seen(q, e) != self.texts.of(e.text).visible[q.start - e.start : q.end - e.start]:
            return unsupported(_UNREADABLE, settled=True)
        if e.in_general and e.relevance is not None and e.relevance < RELEVANT:
            return unsupported(_BESIDE, settled=True)
        judged = support(text, self.quoted(q), e.text, self._asked(e), self.texts, self.embed)
        if judged.verdict == "supported" and (beside := self._claimed_beside(text, e)):
            judged = judge(beside, self.quoted(q), self.texts, self.embed)
        if self.entailment is None or judged.verdict == "contradicted" or judged.settled:
            return judged
        second = self.entailment.judge_pairs([(self.quoted(q), text)])[0]
        return second if second.verdict == "contradicted" or judged.verdict == "unsupported" else judged

    def _claimed_beside(self, text: str, e: Evidence) -> str:
        """What a sentence says beside its quotations and the names of its source; empty where it claims nothing."""
        if not _QUOTED.search(text) or _SILENT.search(text):
            return ""
        beside = _QUOTED.sub(" ", text)
        for name in filter(None, (e.title, e.case_id)):
            beside = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", beside)
        return beside if self.texts.of(beside).statements or quantities_of(tokens_of(beside)) else ""

    def _seen(self, q: Quote, e: Evidence) -> str:
        """What of a quote may be read: an order taints the rest of its line, so the whole passage tells."""
        return self.texts.of(e.text).readable[max(0, q.start - e.start) : max(0, q.end - e.start)]


def support(text: str, quote: str, passage: str, asked: Asked, texts: Texts, embed: Embed | None = None) -> Judgement:
    """Whether ``quote`` supports the sentence ``text`` of an answer to ``asked``, and how strongly in [0, 1]."""
    if _SILENT.search(text):
        if read_passage(asked, passage, texts).mentioned:
            return contradicted("the passage does mention it", settled=True)
        if why := why_silence_says_nothing(texts.of(passage)):
            return unsupported(why, settled=True)
        return not_mentioned("the passage does not mention it", 0.8)
    inner = [q.strip() for q in _QUOTED.findall(text)]
    polarity = _POLARITY.match(text) if asked.yes_no else None
    read = False  # as one claim, which can be read again
    if polarity:
        reading = read_passage(asked, quote, texts)
        read = reading.mentioned and not asked.joined and asked.form != "cause"
        if reading.mentioned and (reading.probability >= 0.5) != (polarity[1].lower() == "yes"):
            return Judgement(
                "contradicted", 0.0, f"it says {polarity[1].lower()}, its quote the opposite", settled=True
            )
        if not reading.mentioned and not inner:
            return unsupported("its quote does not speak of what is asked", settled=True)
        text = text[polarity.end() :]
        if not any(c.isalnum() for c in text):
            return supported("its quote says so", 0.9, settled=True)
    if inner:
        if not all(_squeeze(q) in _squeeze(quote) for q in inner):
            return unsupported("what it puts in quotation marks is not in its quote", settled=True)
        if polarity and read:
            return follows(asked, "yes" if polarity[1].lower() == "yes" else "no", quote, texts)
        return supported("it is quoted word for word", settled=True)
    return judge(text, quote, texts, embed)


def _squeeze(text: str) -> str:
    return " ".join(text.split()).casefold()
