"""Policies: how many contexts, and when to speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.errors import InputError

Setting = tuple[int, float]
NO_CUT = 10.0  # a gap threshold that no list of scores reaches: k contexts whatever the scores
TAU_GRID: tuple[float, ...] = tuple(round(i / 20, 2) for i in range(20))


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


def settings_grid(
    ks: Sequence[int] = (1, 2, 3, 5, 8, 12, 20), gammas: Sequence[float] = (0.1, 0.2, 0.35, 0.7, NO_CUT)
) -> tuple[Setting, ...]:
    """The (k, gamma) tried by default, gamma running fastest."""
    return tuple((k, gamma) for k in ks for gamma in gammas)


def grid(settings: Sequence[Setting], thresholds: Sequence[float] = TAU_GRID) -> tuple[Policy, ...]:
    """All policies, thresholds running fastest: the column order of :func:`evaluate`.

    The grid must be fixed before the labels are seen. Thresholds read off the calibration data's own confidences
    would let the data choose what is tested.
    """
    return tuple(Policy(k, gamma, tau) for k, gamma in settings for tau in thresholds)


@dataclass(frozen=True)
class Outcomes:
    """What happened to each labelled question under each setting (k, gamma).

    Attributes:
        settings: the (k, gamma) of each column.
        correct: shape (questions, settings); read only where there is an answer.
        confidence: same shape, in [0, 1]; NaN or -1 where the engine had no answer at any confidence.
        groups: ``group_id`` (patient or article) per question.
        ids: one per question, all different; row numbers where left out.

    Raises:
        InputError: ids occur twice, lengths disagree, or a confidence lies outside [0, 1].
    """

    settings: tuple[Setting, ...]
    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    groups: tuple[str, ...]
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.groups), len(self.settings))
        if self.correct.shape != shape or self.confidence.shape != shape or len(self.ids) not in (0, shape[0]):
            raise InputError(
                f"outcomes need one row and one group per question and one column per setting, {shape}; got correct "
                f"{self.correct.shape}, confidence {self.confidence.shape} and {len(self.ids)} ids"
            )
        if len(set(self.ids)) != len(self.ids):
            [(twice, times)] = Counter(self.ids).most_common(1)
            raise InputError(
                f"question id {twice!r} occurs {times} times; give every labelled question an id of its own"
            )
        if np.any((self.confidence > 1) | ((self.confidence < 0) & (self.confidence != -1))):
            raise InputError("a confidence lies outside [0, 1]; use NaN or -1 for questions without an answer")

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: NDArray[np.int64]) -> Outcomes:
        """Some of the questions."""
        groups, ids = (tuple(names[i] for i in rows) if names else () for names in (self.groups, self.ids))
        return Outcomes(self.settings, self.correct[rows], self.confidence[rows], groups, ids)

    def counts(self, thresholds: Sequence[float] = TAU_GRID) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Questions answered, and answered wrongly, by each policy of :func:`grid`."""
        judged = evaluate(self, thresholds)
        return judged.answered.sum(axis=0), judged.wrong.sum(axis=0)


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


def evaluate(outcomes: Outcomes, thresholds: Sequence[float] = TAU_GRID) -> Evaluated:
    """Apply every threshold to every setting; columns in the order of :func:`grid`."""
    taus = np.asarray(thresholds, dtype=np.float64)
    sure = outcomes.confidence[:, :, None]
    answered = (sure >= taus) & (sure >= 0)  # NaN >= tau is False: no answer is silence
    wrong = answered & ~outcomes.correct.astype(np.bool_)[:, :, None]
    columns = (len(outcomes), len(outcomes.settings) * len(taus))
    return Evaluated(answered.reshape(columns), wrong.reshape(columns))
