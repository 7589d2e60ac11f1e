"""Is a question like those that a certificate was tested on? A conformal test, on its features alone.

A question is a set of features (what its words are, to :mod:`rag.answering.posed`). With reference questions T it is as
strange as it has features that no question of T has, and as it is unlike the nearest of them:

    s(q, T) = |q \\ ⋃T| + min over t in T of (1 - |q ∩ t| / |q ∪ t|).

The scores to compare with are those of the reference questions, one a group, each against all *other* groups. Then

    p(q) = (1 + #{i : s_i >= s(q, T)}) / (n + 1)

is a valid p-value of "q comes from where T came from": P(p <= u) <= u. For s falls as T grows, so that p is at least
the p-value of full conformal prediction, in which every score is taken against all others, q among them (Vovk,
Gammerman & Shafer, "Algorithmic learning in a random world", 2005).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence, Set
from functools import cached_property
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Features = Set[str]
LEVEL = 0.02  # of questions like the tested ones, so many at most are taken for novel


class Familiar(BaseModel):
    """The reference questions, and how strange each of some is to the others.

    >>> seen = Familiar.of([{"finding"}, {"finding", "side"}, {"finding"}], ["a", "b", "c"])
    >>> seen.p_value({"finding"}), seen.p_value({"finding", "cause"}), seen.strange({"finding", "cause"})
    (1.0, 0.5, frozenset({'cause'}))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: tuple[tuple[str, ...], ...] = Field(description="Their distinct sets of features.")
    scores: tuple[float, ...] = Field(min_length=1, description="Rising, one a group.")
    unread: tuple[float, ...] = Field((), description="Of what was read for these, the share left unread; rising.")

    @classmethod
    def of(
        cls, questions: Sequence[Features], groups: Sequence[str], seed: int = 0, unread: Sequence[float] = ()
    ) -> Self:
        """Learn from reference questions and their groups; of each group one drawn by ``seed`` is scored.

        ``unread`` is the share in [0, 1] that was left unread of what was to be read for each question.
        """
        asking = defaultdict[frozenset[str], set[str]](set)
        having = defaultdict[str, set[str]](set)
        rows = defaultdict[str, list[int]](list)
        for row, (question, group) in enumerate(zip(questions, groups, strict=True)):
            q = frozenset(question)
            asking[q].add(group)
            rows[group].append(row)
            for feature in q:
                having[feature].add(group)
        rng = np.random.default_rng(seed)
        scores, left = [], []
        for group in sorted(rows):
            row = rows[group][int(rng.integers(len(rows[group])))]
            left += [unread[row]] if unread else []
            q = frozenset(questions[row])
            alone = sum(having[feature] == {group} for feature in q)
            scores.append(alone + min((_apart(q, t) for t, who in asking.items() if who != {group}), default=1.0))
        return cls(
            questions=tuple(sorted(tuple(sorted(q)) for q in asking)),
            scores=tuple(sorted(round(s, 6) for s in scores)),
            unread=tuple(sorted(left)),
        )

    def score(self, question: Features) -> float:
        """How strange a question is."""
        near = min((_apart(question, t) for t in self._sets), default=1.0)
        return round(len(self.strange(question)) + near, 6)

    def strange(self, question: Features) -> frozenset[str]:
        """Its features that no reference question has."""
        return frozenset(question) - self._features

    def p_value(self, question: Features) -> float:
        """Of "it comes from where the reference questions came from", in [1 / (n + 1), 1]."""
        return _p_value(self.scores, self.score(question))

    @cached_property
    def _sets(self) -> tuple[frozenset[str], ...]:
        return tuple(map(frozenset, self.questions))

    @cached_property
    def _features(self) -> frozenset[str]:
        return frozenset().union(*self.questions)

    def knows(self, question: Features, level: float = LEVEL) -> bool:
        """Whether it passes; with fewer than ``1 / level`` groups only what is stranger than all of them does not."""
        return self.p_value(question) > max(level, 1 / (len(self.scores) + 1))

    def reads(self, unread: float, level: float = LEVEL) -> bool:
        """The same for the share that was left unread, apart: of questions like these twice ``level`` fail in all."""
        return not self.unread or _p_value(self.unread, unread) > max(level, 1 / (len(self.unread) + 1))


def _p_value(scores: Sequence[float], score: float) -> float:
    """(1 + #{i : s_i >= s}) / (n + 1), for rising scores."""
    return (1 + len(scores) - bisect_left(scores, score)) / (len(scores) + 1)


def _apart(a: Features, b: Features) -> float:
    """Jaccard's distance of two sets, in [0, 1]."""
    both = len(a & b)
    return 1 - both / (len(a) + len(b) - both) if a or b else 0.0
