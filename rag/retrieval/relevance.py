"""Whether a passage bears on a question, judged by the passage: no list of subjects says what an index is about.

Search always finds something. What it finds bears on the question where three signs agree: the passage means something
like it (cosine of their embeddings), it has the question's words, rare ones counting for more, and the rarest of them
is there, which most often names what is asked about. A logistic function of the three is the passage's relevance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_SUREST = 0.9999  # no passage bears for certain


class Signs(NamedTuple):
    """What search knows of a question and a passage.

    Attributes:
        cosine: of their embeddings by the text encoder, in [-1, 1].
        words: share of the question's words that the passage or its title has, weighted by rarity in the index.
        rarest: whether the rarest of the question's words is among those.
    """

    cosine: float
    words: float
    rarest: bool


class Relevance(NamedTuple):
    """P(passage bears on question) = σ(intercept + w · signs), in (0, 1), if half of all passages did.

    >>> MINILM(Signs(cosine=0.7, words=0.8, rarest=True)) > 0.99
    True
    """

    intercept: float
    cosine: float
    words: float
    rarest: float

    def __call__(self, signs: Signs) -> float:
        logit = self.intercept + self.cosine * signs.cosine + self.words * signs.words + self.rarest * signs.rarest
        return min(_SUREST, round(1 / (1 + math.exp(-logit)), 6))


# Fitted once, by logistic regression with weights >= 0. Bearing: gold snippets of 130 questions of BioASQ 8B
# and 9B, among all snippets of 260. Not bearing: what the demo's index finds for 225 of those questions, and what the
# snippets' index finds for 95 about the demo's contents. At 0.9, on the halves that were not fitted, 86% of the BioASQ
# questions have a passage that bears, 98% of the demo's own, and 4% of the foreign ones, some of which the demo does
# answer.
MINILM = Relevance(-9.7, 15.4, 10.6, 1.2)
# The same without cosines, whose scale is each encoder's own: 77% where 3.6% of the foreign ones pass.
OTHERS = Relevance(-4.5, 0.0, 14.5, 1.5)

# Between languages, by the cosine of the bridge alone, which tells little: no probability, but set so that 0.9 is a
# cosine of 0.42. Of 200 questions (tests/data/languages) 53% have that with the text that answers, 16% with others.
ACROSS = Relevance(-3.68, 14.0, 0.0, 0.0)


def relevance_by(encoder: str) -> Relevance:
    """How relevance is judged with a text encoder of this fingerprint."""
    return MINILM if encoder.startswith("minilm:") else OTHERS
