"""Policies: how many contexts, and when to speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.errors import InputError

Setting = tuple[int, float]
THRESHOLDS: tuple[float, ...] = tuple(round(i / 20, 2) for i in range(20))


@dataclass(frozen=True, slots=True, order=True)
class Policy:
    """At most ``k`` contexts, cut by the gap rule at ``gamma``; answer where confidence >= ``tau``."""

    k: int
    gamma: float
    tau: float

    def as_dict(self) -> dict[str, float]:
        """The form in which a certificate carries it."""
        return {"k": self.k, "gamma": self.gamma, "tau": self.tau}

    def __str__(self) -> str:
        return f"k={self.k}, gamma={self.gamma:g}, tau={self.tau:g}"


def grid(settings: Sequence[Setting], thresholds: Sequence[float] = THRESHOLDS) -> tuple[Policy, ...]:
    """All policies, thresholds running fastest: the column order of :func:`evaluate`.

    The grid must be fixed before the labels are seen. Thresholds read off the calibration data's own confidences
    would let the data choose what is tested.
    """
    return tuple(Policy(k, gamma, tau) for k, gamma in settings for tau in thresholds)


@dataclass(frozen=True)
class Outcomes:
    """What happened to each labelled question under each setting (k, gamma).

    Attributes:
        ids: one per question, all different.
        settings: the (k, gamma) of each column.
        correct: shape (questions, settings); read only where there is an answer.
        confidence: same shape, in [0, 1]; NaN where the engine had no answer at any confidence.

    Raises:
        InputError: ids occur twice, shapes disagree, or a confidence lies outside [0, 1].
    """

    ids: tuple[str, ...]
    settings: tuple[Setting, ...]
    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.settings))
        if self.correct.shape != shape or self.confidence.shape != shape:
            raise InputError(
                f"outcomes need one row per question and one column per setting, {shape}; got correct "
                f"{self.correct.shape} and confidence {self.confidence.shape}"
            )
        if len(set(self.ids)) != len(self.ids):
            [(twice, times)] = Counter(self.ids).most_common(1)
            raise InputError(
                f"question id {twice!r} occurs {times} times; give every labelled question an id of its own"
            )
        if np.any((self.confidence < 0) | (self.confidence > 1)):
            raise InputError("a confidence lies outside [0, 1]; use NaN for questions without an answer")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Outcomes:
        """Some of the questions."""
        return Outcomes(tuple(self.ids[i] for i in rows), self.settings, self.correct[rows], self.confidence[rows])


@dataclass(frozen=True)
class Evaluated:
    """Every policy on every question: ``answered`` and ``wrong``, both of shape (questions, policies).

    ``wrong`` means answered and not correct. One byte a cell: 10,000 questions × 1,000 policies are 20 MB.
    """

    answered: NDArray[np.bool_]
    wrong: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Evaluated:
        """Some of the questions."""
        return Evaluated(self.answered[rows], self.wrong[rows])


def evaluate(outcomes: Outcomes, thresholds: Sequence[float] = THRESHOLDS) -> Evaluated:
    """Apply every threshold to every setting; columns in the order of :func:`grid`."""
    taus = np.asarray(thresholds, dtype=np.float64)
    answered = outcomes.confidence[:, :, None] >= taus  # NaN >= tau is False: no answer is silence
    wrong = answered & ~outcomes.correct.astype(np.bool_)[:, :, None]
    columns = (len(outcomes), len(outcomes.settings) * len(taus))
    return Evaluated(answered.reshape(columns), wrong.reshape(columns))
