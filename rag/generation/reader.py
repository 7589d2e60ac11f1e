"""The evidence reader: answers without a language model, every sentence quoted.

Yes/no questions are answered by reading the assertion status of what is asked in each piece of evidence; open
questions by quoting the evidence sentences that bear most on the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.generation.base import Request, refusal
from rag.language.clinical_text import ClinicalSentence, Texts
from rag.language.entities import names_of, speaks_of
from rag.language.question import Asked
from rag.language.reading import FOREIGN, Reading, Support, read_literature, read_passage
from rag.language.silence import why_silence_says_nothing
from rag.types import Draft, DraftSentence, Evidence, Quote, Side
from rag.verification.rules.by_name import (
    Sought,
    asks_what_is_not,
    denies_something,
    sought,
    states_something,
)
from rag.verification.rules.efficacy import works
from rag.verification.rules.relation import says_plainly, why_beside
from rag.verification.rules.wanted import ToldAt, defined_by, is_about, tell_of_study

# P(yes) when a study's own report says nothing of what is asked: radiologists leave most absent findings unsaid.
SILENCE = 0.2
_TOLD = 0.9  # confidence that a study's sentence which tells what is asked does so
_VERSION = "reader-12"
_LEAST_READ = 0.6  # share of a question's words in the sentence of the literature that answers it
_PLAIN = 0.9  # P(yes) where a sentence says in other words all that is asked
_MOST, _MOST_OF_A_LIST = 4, 6  # sentences that answer an open question
_ANNOUNCED = 0.3  # worth of a title that announces the property asked for
_JUDGED, _UNJUDGED = 0.25, 0.5  # share of the question's words that a sentence must have
_CHOOSES = re.compile(r"\b(?:more|less|better|worse|(?!whether)[a-z]{3,}er)\b[^?]*,?\s(?:or|than)\s", re.I)
_WHY = re.compile(r"\W*why\b", re.I)
_LABEL = re.compile(r"[A-Z][A-Z /&()-]{2,40}:\s*(?:\d{1,2}\.\s*)?(?=\S)|\d{1,2}\.\s+(?=\S)")


class ReaderGenerator:
    """See the module. ``fingerprint`` is the reader's version with the lexicon's. Its draft is always the same."""

    prompt_sha256: str | None = None
    revises = False
    parallel = 1

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    @property
    def fingerprint(self) -> str:
        return f"{_VERSION}:{self._texts.lexicon.fingerprint}"

    def generate(self, request: Request) -> Draft:
        if not request.asked.yes_no and (kind := kind_of_image(request)) is not None:
            return self._of_image(request, kind)
        if not request.evidence:
            return refusal("no evidence was found for this question")
        if request.asked.yes_no:
            return self._yes_no(request)
        return self._open(request)

    # ------------------------------------------------------------------ yes/no

    def _yes_no(self, request: Request) -> Draft:
        if own := tuple(e for e in request.evidence if e.of_study):
            return self._study(replace(request, evidence=own))  # no other report speaks of this patient
        if request.question.image is not None and any(e.of_similar_image for e in request.evidence):
            return self._similar_cases(request)
        return self._literature(request)

    def _study(self, request: Request) -> Draft:
        """One case's own text: what it says outright decides; silence means no, less surely."""
        evidence, asked = request.evidence, request.asked
        if asked.unread:
            return refusal(f"I cannot read “{asked.unread}” in this report")
        readings = [(e, read_passage(asked, e.text, self._texts)) for e in evidence]
        yes = max(((r.yes, e) for e, r in readings if r.yes), key=lambda x: x[0].weight, default=None)
        no = max(((r.no, e) for e, r in readings if r.no), key=lambda x: x[0].weight, default=None)
        whole = Reading(yes[0] if yes else None, no[0] if no else None, bool(yes or no))
        if not whole.mentioned and (why := self._open_by_silence(asked, evidence, [r for _, r in readings])):
            return refusal(why)
        if not whole.mentioned:
            telling = [e for e in evidence if not why_silence_says_nothing(self._texts.of(e.text))]
            quote = self._last_sentence((telling or evidence)[-1])
            if asked.denies:
                return _verdict(
                    "yes", 1 - SILENCE, f"Not mentioned in the report: anything against {_subject(asked)}.", quote
                )
            return _verdict("no", SILENCE, f"Not mentioned in the report: {_subject(asked)}.", quote)
        if whole.contradictory and yes and no:
            said, denied = _quoted(yes[1], yes[0]), _quoted(no[1], no[0])
            return Draft(
                sentences=(
                    DraftSentence(text=f"For yes: {said[0]}", quotes=(said[1],)),
                    DraftSentence(text=f"For no: {denied[0]}", quotes=(denied[1],)),
                ),
                probability=round(whole.probability, 4),
                confidence=0.5,
                refusal="the evidence disagrees with itself",
            )
        p = whole.probability
        if yes and yes[0].raised and (no is None or no[0].derived or no[0].weight < yes[0].weight):
            said = _quoted(yes[1], yes[0])
            return _verdict("no", p, f"Not asserted, only raised: {said[0]}", said[1])
        side = yes if p >= 0.5 else no
        assert side is not None
        said = _quoted(side[1], side[0])
        word = f"{'Yes' if p >= 0.5 else 'No'}{', as what was written last says' if side[0].later else ''}"
        return _verdict("yes" if p >= 0.5 else "no", p, f"{word}: {said[0]}", said[1])

    def _open_by_silence(self, asked: Asked, evidence: Sequence[Evidence], readings: Sequence[Reading]) -> str:
        """Why a report that says nothing of it leaves the question open; empty where silence means "nothing"."""
        unmet = next((r.unmet for r in readings if r.unmet), "")
        if unmet:
            spoken = "" if unmet == FOREIGN else "speaks of it, and "
            return f"the report {spoken}does not say {unmet}"
        if asked.quantities:
            return "the report gives no such number"
        if asked.ends:
            return "the report does not mention it, so nothing says that it is over"
        if asked.form == "whole":
            return "the report does not say whether all of it is normal"
        whys = [why_silence_says_nothing(self._texts.of(e.text)) for e in evidence]
        return whys[0] if all(whys) else ""

    def _last_sentence(self, e: Evidence) -> Quote:
        """The last sentence of a report is the end of its impression."""
        start, end, _ = (self._texts.of(e.text).sentences or [(0, len(e.text), None)])[-1]
        return _quoted(e, Support(start, end, 1.0))[1]

    def _similar_cases(self, request: Request) -> Draft:
        """Similar cases vote, one vote a group, weighted by similarity. Similar images need not share a diagnosis."""
        votes: list[tuple[float, float, Evidence, Support]] = []
        voters: set[str] = set()
        for e in request.evidence:
            if not e.of_similar_image or e.group_id in voters:
                continue
            reading = read_passage(request.asked, e.text, self._texts)
            p = reading.probability
            side = reading.yes if p >= 0.5 else reading.no
            if side is not None:
                votes.append((p, e.score, e, side))
                voters.add(e.group_id)
        if not votes:
            return refusal("no similar case in the index says anything about this")
        weight = sum(w for _, w, _, _ in votes)
        p = sum(v * w for v, w, _, _ in votes) / weight
        # one case is no majority: shrink towards one half as if two undecided cases had been seen as well
        p = (p * len(votes) + 0.5 * 2) / (len(votes) + 2)
        verdict = "yes" if p >= 0.5 else "no"
        sentences = []
        for vote, _, e, side in votes[: request.max_sentences]:
            said = _quoted(e, side)
            word = "Yes" if vote >= 0.5 else "No"
            sentences.append(DraftSentence(text=f"{word} in a similar case: {said[0]}", quotes=(said[1],)))
        return Draft(
            sentences=tuple(sentences), verdict=verdict, probability=round(p, 4), confidence=round(max(p, 1 - p), 4)
        )

    def _literature(self, request: Request) -> Draft:
        """General questions, which literature answers."""
        asked = request.asked
        best: tuple[float, Evidence, float, Support] | None = None
        for e in request.evidence:
            for p, side in self._said(asked, e):
                words = self._texts.sentence(e.text[side.start : side.end]).words
                worth = (0.5 + 0.5 * len(asked.words & words) / max(1, len(asked.words))) * e.score
                if best is None or worth > best[0]:
                    best = worth, e, p, side
        if best is None:
            return refusal("no literature in the index says yes or no to it")
        _, e, p, side = best
        said = _quoted(e, side)
        # the question's words in one sentence are weaker grounds than a report read for a known finding
        weaker = 0.5 + (p - 0.5) * 0.8
        return _verdict("yes" if p >= 0.5 else "no", weaker, f"{'Yes' if p >= 0.5 else 'No'}: {said[0]}", said[1])

    def _said(self, asked: Asked, e: Evidence) -> Iterator[tuple[float, Support]]:
        """Sentences of a passage that say yes or no, of what is asked and not of something else, with P(yes)."""
        read = self._texts.of(e.text)
        sentences = [row for row in read.sentences if row[0] not in read.asides and states_something(row[2].text)]
        told = {
            says: (start, end) for start, end, s in sentences if (says := works(asked, s.text, e.title, self._texts))
        }
        if told:
            for says, (start, end) in told.items():
                yield (_PLAIN if says == "yes" else 1 - _PLAIN), Support(start, end, 0.8)
            return
        reading = read_literature(asked, e.text, self._texts)
        side = reading.yes if reading.probability >= 0.5 else reading.no
        if side is not None and states_something(e.text[side.start : side.end]):
            sentence, says = e.text[side.start : side.end], "yes" if reading.probability >= 0.5 else "no"
            cover = len(asked.words & self._texts.sentence(sentence).words) / max(1, len(asked.words))
            if cover >= _LEAST_READ and not why_beside(asked, says, sentence, e.title, self._texts):
                yield reading.probability, side
                return
        for start, end, clause in sentences:
            if says_plainly(asked, clause.text, e.title, self._texts):
                yield _PLAIN, Support(start, end, 0.8)

    # ------------------------------------------------------------------ open

    def _of_image(self, request: Request, kind: DraftSentence) -> Draft:
        """An open question about an image: what kind of image it is, then what similar cases say.

        Literature is quoted where the question names a finding or a structure: "what is seen?" is answered by none.
        """
        known = request.asked.topics and not any(e.of_similar_image for e in request.evidence)
        evidence = tuple(e for e in request.evidence if e.of_similar_image or (known and e.kind == "literature"))
        told = self._open(replace(request, evidence=evidence)) if evidence else refusal("nothing like it was found")
        assert request.domain is not None, "the kind was told by the router"
        confidence = request.domain.probability if told.refusal else told.confidence
        sentences = (kind, *told.sentences[: max(0, request.max_sentences - 1)])
        return Draft(sentences=sentences, confidence=round(confidence, 4))

    def _open(self, request: Request) -> Draft:
        """Quote the sentences that bear most on the question, no two of them alike.

        Sentences compete by the question's words, by how well their passage bears on it, and by rank. A passage must
        name what is asked about. A list is answered by more of them. Literature goes before other patients' reports.
        """
        asked, evidence = request.asked, request.evidence
        if own_report := tuple(e for e in evidence if e.of_study):
            return self._of_study(request, own_report)
        wanted = sought(asked) if not any(e.of_case for e in evidence) else None
        rows = [
            _Candidate(e, start, end, sentence, self._texts.sentence(e.title))
            for e in evidence
            for start, end, sentence in self._texts.of(e.text).sentences
            if start not in self._texts.of(e.text).asides and self._grants(asked, e)
        ]
        rows = [row for row in rows if self._may_be_quoted(asked, row, wanted)]
        own = any(e.of_similar_image for e in evidence)
        if not own and not asked.for_reports and any(r.e.kind == "literature" for r in rows):
            rows = [r for r in rows if r.e.kind == "literature"]
        scored = sorted(self._scored(rows, asked, own, wanted), key=lambda row: -row[0])
        chosen: list[_Candidate] = []
        for score, row in scored:
            alike = any(_alike(row.words, c.words) for c in chosen)
            if not alike and row.end - row.start > 12 and score >= 0.5 * scored[0][0]:
                chosen.append(row)
            if len(chosen) == min(request.max_sentences, _MOST_OF_A_LIST if asked.for_list else _MOST):
                break
        if not chosen:
            return refusal(
                f"none of the passages found says {wanted.property.meaning}"
                if wanted
                else "none of the passages found bears on the question"
            )
        first = chosen[0].e
        if first.of_case:
            place = {c.e.number: n for n, c in reversed(list(enumerate(chosen)))}
            chosen.sort(key=lambda row: (place[row.e.number], row.start))
        ground = first.score if first.of_similar_image else min(1.0, scored[0][0])
        confidence = min(0.95, 0.4 + 0.5 * ground)
        sentences = tuple(_attributed(row.e, Support(row.start, row.end, 1.0)) for row in chosen)
        return Draft(sentences=sentences, confidence=round(confidence, 4))

    def _grants(self, asked: Asked, e: Evidence) -> bool:
        """Whether a passage has all that "why is it so?" takes for granted: "why does aspirin cure diabetes?"."""
        if _WHY.match(asked.plain) is None:
            return True
        there = self._texts.sentence(e.title).words.union(*(s.words for _, _, s in self._texts.of(e.text).sentences))
        return asked.words <= there

    def _may_be_quoted(self, asked: Asked, row: _Candidate, wanted: Sought | None) -> bool:
        """Whether it states something, and tells what is asked for: what is not so, what it is, a property by name."""
        if asks_what_is_not(asked) and not denies_something(row.sentence.text):
            return False
        if wanted is None:
            return states_something(row.sentence.text) and is_about(
                defined_by(asked, self._texts), row.sentence, row.heading
            )
        return wanted.told_by(row.sentence, row.heading, self._texts.lexicon)

    def _of_study(self, request: Request, evidence: Sequence[Evidence]) -> Draft:
        """Quote the sentences of a study's own texts that tell what is asked, in reading order."""
        told = tell_of_study(request.asked, evidence, self._texts)
        chosen: list[ToldAt] = []
        spoken: list[frozenset[str]] = []
        for at in told.sentences:
            words = self._texts.sentence(evidence[at.passage].text[at.start : at.end]).words
            if len(chosen) < request.max_sentences and not any(_alike(words, other) for other in spoken):
                chosen.append(at)
                spoken.append(words)
        if not chosen:
            return refusal(told.missing)
        rows = [(evidence[at.passage], Support(at.start, at.end, 1.0)) for at in sorted(chosen)]
        return Draft(sentences=tuple(_attributed(e, said) for e, said in rows), confidence=_TOLD)

    def _scored(
        self, rows: Sequence[_Candidate], asked: Asked, own: bool, wanted: Sought | None
    ) -> Iterator[tuple[float, _Candidate]]:
        """Candidates that qualify. Beside a case of its ``own``, "what is seen?" needs no literature.

        Where search has judged the passage, a quarter of the question's words will do. Elsewhere half of them must be
        met: with less, "the mechanism of action of" a drug is answered by the mechanism of something else. "Which is
        more common, A or B?" and "what does not cause it?" are answered by what says all of it. What stands under a
        title that announces the property asked for goes first.
        """
        names = names_of(asked.text)
        whole = _CHOOSES.search(asked.plain) is not None or asks_what_is_not(asked)
        shown = {row.e.number: row.e for row in rows}
        speaking = {
            n for n, e in shown.items() if speaks_of(names, f"{e.title}\n{e.text}") and self._of_topic(asked, e)
        }
        for row in rows:
            cover = len(asked.words & (row.words | row.title)) / max(1, len(asked.words))
            named = 0.3 if row.title and row.title <= asked.words else 0.0
            if row.e.of_case:
                yield 1.0 + row.e.score + 0.2 * cover, row
            elif own and not asked.topics:
                continue
            elif cover + named >= (1.0 if whole else _JUDGED if row.e.relevance is not None else _UNJUDGED) and (
                row.e.number in speaking
            ):
                announced = _ANNOUNCED if wanted is not None and wanted.titles(row.heading) else 0.0
                yield cover + named + announced + 0.3 * (row.e.relevance or 0.0) + 0.15 * row.e.score, row

    def _of_topic(self, asked: Asked, e: Evidence) -> bool:
        """Whether a passage of literature mentions a finding or a structure of those that the question names.

        A British spelling of it does, too, which the lexicon need not have.
        """
        if not asked.topics or e.kind != "literature":
            return True
        lexicon, text = self._texts.lexicon, f"{e.title}\n{e.text}"
        told = {m.concept for _, _, s in self._texts.of(text).sentences for m in s.mentions}
        if any(lexicon.is_a(t, topic) or lexicon.is_a(topic, t) for t in told for topic in asked.topics):
            return True
        named = self._texts.sentence(asked.plain)
        words = [{t.lemma for t in named.tokens[m.first : m.last]} for m in named.mentions]
        there = {t.lemma.replace("oe", "e").replace("ae", "e") for t in self._texts.sentence(text).tokens}
        return any(w <= there for w in words)


@dataclass(frozen=True)
class _Candidate:
    """A sentence that might be quoted: e.text[start:end]."""

    e: Evidence
    start: int
    end: int
    sentence: ClinicalSentence
    heading: ClinicalSentence

    @property
    def words(self) -> frozenset[str]:
        return self.sentence.words

    @property
    def title(self) -> frozenset[str]:
        return self.heading.words


def _verdict(verdict: Side, probability: float, text: str, quote: Quote) -> Draft:
    """A yes/no draft of one sentence; its confidence is the probability of the side taken."""
    return Draft(
        sentences=(DraftSentence(text=text, quotes=(quote,)),),
        verdict=verdict,
        probability=round(probability, 4),
        confidence=round(max(probability, 1 - probability), 4),
    )


def _subject(asked: Asked) -> str:
    return f"what is asked (“{asked.text.strip().rstrip('?').strip()}”)"


def _alike(a: frozenset[str], b: frozenset[str]) -> bool:
    return len(a & b) > 0.6 * len(a | b)


def _attributed(e: Evidence, said: Support) -> DraftSentence:
    name = e.title or e.case_id
    if e.text.startswith(f"{name}: ", said.start):  # an ontology's definition begins with its term
        said = replace(said, start=said.start + len(name) + 2)
    text, quote = _quoted(e, said)
    return DraftSentence(
        text=f"A similar case, {name}: {text}" if e.of_similar_image else f"{name}: {text}", quotes=(quote,)
    )


def _quoted(e: Evidence, support: Support) -> tuple[str, Quote]:
    """The sentence in quotation marks, without the section's label or the list's number in front of it."""
    label = _LABEL.match(e.text, support.start, support.end)
    start = label.end() if label and len(e.text[label.end() : support.end].split()) > 1 else support.start
    quote = Quote(number=e.number, start=e.start + start, end=e.start + support.end)
    return f"“{e.text[start : support.end]}”", quote


def kind_of_image(request: Request) -> DraftSentence | None:
    """What kind of image the question has, as whoever routed it by its image sees; None where nobody did."""
    q, domain = request.question, request.domain
    if q.image is None or q.study is not None or domain is None or domain.out_of_domain:
        return None
    if domain.basis not in ("trained router", "zero-shot prompts", "similar images"):
        return None
    return DraftSentence(
        text=f"This looks like an image of {domain.name} (probability {domain.probability:.2f}).", seen_by=domain.basis
    )
