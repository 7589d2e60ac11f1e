"""The sentence of the literature that bears most on a yes/no question: what is shown beside a model's reading of it.

A model says yes in words of its own, which the evidence seldom has one by one ("effective"), and may point at a
sentence beside the point. Whether yes follows is more than words can tell; whether a text speaks of what is asked
is not: an abstract names it once and tells results in words of its own. So the article must bear on the question, and
the sentence is the one of it that says most of what is asked, but not one that only says what was to be found out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from rag.language.clinical_text import Texts
from rag.language.entities import names_of, speaks_of
from rag.language.question import Asked
from rag.types import Evidence, Quote
from rag.verification.rules.alignment import Alignment
from rag.verification.rules.wording import wording_of

_LEAST = 0.5  # share of the question's words that an article has, as the reader asks of half of an open question
_LEAST_SAID = 0.1  # share of them that the sentence has
RELEVANT = 0.5  # least probability that a passage bears on the question, where search has judged that
# "To determine whether ...", "The aim of this study was ...", "We hypothesised that ...": what was to be found out
PURPOSE = re.compile(
    r"^\W*(?:(?:aims?|objectives?|purpose|background|introduction)\s*:\s*)?(?:to\s+\w+\b|in order to\b)|"
    r"\b(?:aims?|objectives?|purpose|goal)s?\b[^.]{0,40}\b(?:is|was|were|are)\b|"
    r"\b(?:we|study|trial|authors?)\s+(?:also\s+)?(?:aim|sought|hypothesi[sz]|investigat|examin|evaluat|assess|explor)\w*\b|"
    r"\bhypothesi[sz]ed\b|\?\W*$",
    re.I,
)  # fmt: skip


class Bearing(NamedTuple):
    """A sentence, the share of the question's words that it has, and that which its article has, in [0.5, 1]."""

    quote: Quote
    said: float
    share: float


class Visible(NamedTuple):
    """By their numbers, the passages that the model was shown and those that it cited."""

    numbers: Collection[int]
    cited: Collection[int]


def bearing_most(asked: Asked, evidence: Sequence[Evidence], shown: Visible, texts: Texts) -> Bearing | None:
    """The sentence of literature that has most of the question's words; None where no article bears on it.

    It stands in a passage that the model was shown; the others tell what their article is about. Of equal ones a
    sentence of a passage that the model cited goes first, then what search found first. Sentences that say what was
    found go before those that say what was to be found out.
    """
    articles: dict[str, list[Evidence]] = {}
    for e in evidence:
        if e.in_general and (e.relevance is None or e.relevance >= RELEVANT):
            articles.setdefault(e.document_id, []).append(e)
    found: list[tuple[bool, float, bool, Bearing]] = []
    for passages in articles.values():
        share = _share_of_article(asked, passages, texts)
        if share < _LEAST:
            continue
        for e in (e for e in passages if e.number in shown.numbers):
            read = texts.of(e.text)
            for start, end, _ in read.sentences:
                said = share_of(asked, e.text[start:end], texts)
                if start not in read.asides and said >= _LEAST_SAID:
                    quote = Quote(number=e.number, start=e.start + start, end=e.start + end)
                    tells = PURPOSE.search(e.text[start:end]) is None
                    found.append((tells, said, e.number in shown.cited, Bearing(quote, said, share)))
    return max(found, key=lambda row: row[:3])[3] if found else None


def _share_of_article(asked: Asked, passages: Sequence[Evidence], texts: Texts) -> float:
    """Share of the question's words, in [0, 1], that an article has; 0 where a search found it and it names nothing."""
    text = "\n".join((passages[0].title, *(e.text for e in passages)))
    names = names_of(asked.text)
    if names and passages[0].relevance is not None and not any(speaks_of((name,), text) for name in names):
        return 0.0
    return share_of(asked, text, texts)


def share_of(asked: Asked, text: str, texts: Texts) -> float:
    """Share of a question's words, in [0, 1], that a text has: as they are, derived, or meant by others."""
    return texts.once(_share, asked.text, text)


def has_words(words: str, text: str, texts: Texts) -> bool:
    """Whether a text has all ``words`` of content, as :func:`share_of` counts them."""
    return not wording_of(words, texts).words or texts.once(_share, words, text) == 1


def _share(texts: Texts, question: str, text: str) -> float:
    asked = wording_of(question, texts)
    return round(Alignment(asked, asked.words, wording_of(text, texts), None).cover, 4) if asked.words else 0.0
