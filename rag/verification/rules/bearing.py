"""The sentence of the literature that bears most on a yes/no question: what is shown beside a model's reading of it.

A model says yes in words of its own, which the evidence seldom has one by one ("effective"), and may point at a
sentence beside the point. Whether yes follows is more than words can tell; whether a sentence speaks of what is asked
is not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from rag.language.clinical_text import Texts
from rag.language.question import Asked
from rag.types import Evidence, Quote
from rag.verification.rules.alignment import Alignment
from rag.verification.rules.wording import wording_of

_LEAST = 0.5  # share of the question's words, as the reader asks of half of an open question
RELEVANT = 0.5  # least probability that a passage bears on the question, where search has judged that


class Bearing(NamedTuple):
    """A sentence of a passage and the share of the question's words that it has, in [0.5, 1]."""

    quote: Quote
    share: float


def bearing_most(asked: Asked, evidence: Sequence[Evidence], cited: Collection[int], texts: Texts) -> Bearing | None:
    """The sentence of literature that has most of the question's words; None where none has half of them.

    Of equal ones a sentence of the evidence that the model ``cited`` goes first, then what search found first.
    """
    found: list[tuple[float, bool, Bearing]] = []
    for e in evidence:
        if not e.in_general or (e.relevance is not None and e.relevance < RELEVANT):
            continue
        read = texts.of(e.text)
        for start, end, _ in read.sentences:
            if start in read.asides:
                continue
            share = share_of(asked, e.text[start:end], texts)
            if share >= _LEAST:
                quote = Quote(number=e.number, start=e.start + start, end=e.start + end)
                found.append((share, e.number in cited, Bearing(quote, share)))
    return max(found, key=lambda row: row[:2])[2] if found else None


def share_of(asked: Asked, sentence: str, texts: Texts) -> float:
    """Share of a question's words, in [0, 1], that a sentence has: as they are, derived, or meant by others."""
    return texts.once(_share, asked.text, sentence)


def _share(texts: Texts, question: str, sentence: str) -> float:
    asked = wording_of(question, texts)
    return round(Alignment(asked, asked.words, wording_of(sentence, texts), None).cover, 4) if asked.words else 0.0
