"""The evidence reader: answers without a language model, every sentence quoted.

Yes/no questions are answered by reading the assertion status of what is asked in each piece of evidence; open
questions by quoting the evidence sentences that bear most on the question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rag.corpus.sentences import sentence_spans
from rag.findings.lexicon import Lexicon
from rag.findings.question import Asked, content_words
from rag.findings.reading import Reading, Support, read
from rag.generation.protocol import Request
from rag.types import Draft, DraftSentence, Evidence, Quote

# P(yes) when a study's own report says nothing of what is asked: radiologists leave most absent findings unsaid.
SILENCE = 0.2
_VERSION = "reader-1"


class ReaderGenerator:
    """See the module. ``fingerprint`` is the reader's version with the lexicon's."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    @property
    def fingerprint(self) -> str:
        return f"{_VERSION}:{self._lexicon.fingerprint}"

    def generate(self, request: Request) -> Draft:
        if not request.evidence:
            return _refusal("no evidence was found for this question")
        if request.asked.yes_no:
            return self._yes_no(request)
        return self._open(request)

    # ------------------------------------------------------------------ yes/no

    def _yes_no(self, request: Request) -> Draft:
        if request.evidence[0].channel == "study":
            return self._study(request)
        if request.question.image is not None and any(e.channel == "image" for e in request.evidence):
            return self._similar_cases(request)
        return self._literature(request)

    def _study(self, request: Request) -> Draft:
        """One case's own text: what it says outright decides; silence means no, less surely."""
        evidence, asked = request.evidence, request.asked
        readings = [(e, read(asked, e.text, self._lexicon)) for e in evidence]
        yes = max(((r.yes, e) for e, r in readings if r.yes), key=lambda x: x[0].weight, default=None)
        no = max(((r.no, e) for e, r in readings if r.no), key=lambda x: x[0].weight, default=None)
        whole = Reading(yes[0] if yes else None, no[0] if no else None, bool(yes or no))
        if not whole.mentioned:
            quote = _last_sentence(evidence[-1])
            return _verdict("no", SILENCE, f"No: the report does not mention {_subject(asked)}.", quote)
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
        return _verdict("yes" if p >= 0.5 else "no", p, f"{'Yes' if p >= 0.5 else 'No'}: {said[0]}", said[1])

    def _similar_cases(self, request: Request) -> Draft:
        """Reports of similar images vote, weighted by similarity. Similar images need not share a diagnosis."""
        votes: list[tuple[float, float, Evidence, Support]] = []
        for e in request.evidence:
            if e.channel != "image":
                continue
            reading = read(request.asked, e.text, self._lexicon)
            p = reading.probability
            side = reading.yes if p >= 0.5 else reading.no
            if side is not None:
                votes.append((p, e.score, e, side))
        if not votes:
            return _refusal("no similar case in the index says anything about this")
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
        """General questions: only literature may answer; another patient's report says nothing about this one."""
        best: tuple[float, Evidence, Reading] | None = None
        for e in request.evidence:
            if e.kind != "literature":
                continue
            reading = read(request.asked, e.text, self._lexicon)
            side = reading.yes if reading.probability >= 0.5 else reading.no
            if side is None:
                continue
            sentence = e.text[side.start : side.end]
            cover = len(request.asked.words & content_words(sentence)) / max(1, len(request.asked.words))
            if cover >= 0.6 and (best is None or cover * e.score > best[0]):
                best = (cover * e.score, e, reading)
        if best is None:
            return _refusal(
                "no literature in the index says yes or no to it; about a patient, name the study or give the image"
            )
        _, e, reading = best
        p = reading.probability
        side = reading.yes if p >= 0.5 else reading.no
        assert side is not None
        said = _quoted(e, side)
        # the question's words in one sentence are weaker grounds than a report read for a known finding
        weaker = 0.5 + (p - 0.5) * 0.8
        return _verdict("yes" if p >= 0.5 else "no", weaker, f"{'Yes' if p >= 0.5 else 'No'}: {said[0]}", said[1])

    # ------------------------------------------------------------------ open

    def _open(self, request: Request) -> Draft:
        """Quote the sentences that share most of the question's rare words, no two of them alike."""
        asked, evidence = request.asked, request.evidence
        rows = [
            (e, start, end, content_words(f"{e.title} {e.text[start:end]}" if n == 0 else e.text[start:end]))
            for e in evidence
            for n, (start, end) in enumerate(sentence_spans(e.text))
        ]
        spread = {w: math.log(1 + len(rows) / (1 + sum(w in words for *_, words in rows))) for w in asked.words}
        total = sum(spread.values()) or 1.0
        own = evidence[0].channel == "study" or any(e.channel == "image" for e in evidence)
        scored = []
        for n, (e, start, end, words) in enumerate(rows):
            cover = sum(spread[w] for w in asked.words & words) / total
            named = 0.25 if content_words(e.title) and content_words(e.title) <= asked.words else 0.0
            score = cover + named + 0.15 * e.score + (0.5 if e.channel in ("study", "image") else 0.0)
            if own or cover + named >= 0.25:
                scored.append((score, -n, e, start, end, words))
        scored.sort(key=lambda row: (-row[0], -row[1]))
        chosen: list[tuple[Evidence, int, int]] = []
        seen: list[frozenset[str]] = []
        for score, _, e, start, end, words in scored:
            alike = any(len(words & s) / max(1, len(words | s)) > 0.6 for s in seen)
            if not alike and end - start > 12 and score >= 0.5 * scored[0][0]:
                chosen.append((e, start, end))
                seen.append(words)
            if len(chosen) == min(request.max_sentences, 4):
                break
        if not chosen:
            return _refusal("none of the passages found bears on the question")
        if evidence[0].channel == "study":
            chosen.sort(key=lambda row: (row[0].number, row[1]))
        confidence = min(0.95, 0.4 + 0.5 * min(1.0, scored[0][0]))
        return Draft(sentences=tuple(_attributed(*row) for row in chosen), confidence=round(confidence, 4))


def _verdict(verdict: Literal["yes", "no"], probability: float, text: str, quote: Quote) -> Draft:
    """A yes/no draft of one sentence; its confidence is the probability of the side taken."""
    return Draft(
        sentences=(DraftSentence(text=text, quotes=(quote,)),),
        verdict=verdict,
        probability=round(probability, 4),
        confidence=round(max(probability, 1 - probability), 4),
    )


def _refusal(why: str) -> Draft:
    return Draft(sentences=(), confidence=0.0, refusal=why)


def _subject(asked: Asked) -> str:
    text = asked.text.strip().rstrip("?").strip()
    return f"what is asked (“{text}”)"


def _attributed(e: Evidence, start: int, end: int) -> DraftSentence:
    name = e.title or e.case_id
    quote = Quote(number=e.number, start=e.start + start, end=e.start + end)
    lead = {"image": f"A similar case, {name}", "study": f"The report {name}"}.get(e.channel, name)
    return DraftSentence(text=f"{lead}: “{e.text[start:end].strip()}”", quotes=(quote,))


def _quoted(e: Evidence, support: Support) -> tuple[str, Quote]:
    quote = Quote(number=e.number, start=e.start + support.start, end=e.start + support.end)
    return f"“{e.text[support.start : support.end]}”", quote


def _last_sentence(e: Evidence) -> Quote:
    """The last sentence of a report is the end of its impression."""
    spans: Sequence[tuple[int, int]] = sentence_spans(e.text) or [(0, len(e.text))]
    start, end = spans[-1]
    return Quote(number=e.number, start=e.start + start, end=e.start + end)
