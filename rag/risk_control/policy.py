"""Policies: how many contexts, and when to speak.

Of a policy's four numbers two change what the generator is given and two only filter what it said. ``k`` and ``gamma``
decide how many contexts there are, and an answer from three contexts cannot be derived from an answer from eight: the
generator runs again for each number of contexts that the settings lead to. ``tau`` and ``rho`` compare a confidence
and a probability that are known once the question has been asked: those policies are derived, and cost nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rag.errors import InputError

Setting = tuple[int, float]
THRESHOLDS: tuple[float, ...] = tuple(round(i / 20, 2) for i in range(20))
ANYWHERE: tuple[float, ...] = (0.0,)

# The grid that `rag calibrate` searches, fixed here before any label is seen: 6 x 4 settings, 15 confidences, 3 routes.
SETTINGS: tuple[Setting, ...] = tuple(product((1, 2, 3, 5, 10, 20), (0.1, 0.35, 1.0, 100.0)))  # 100 never cuts
TAUS: tuple[float, ...] = tuple(round(0.5 + 0.035 * i, 3) for i in range(15))
ROUTES: tuple[float, ...] = (0.0, 0.6, 0.9)
# The same for a learned combination of signals, which is a probability of being right and crowds towards 1.
COMBINED_TAUS: tuple[float, ...] = (
    *(0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99),
)
GRID = hashlib.sha256(repr((SETTINGS, TAUS, ROUTES, COMBINED_TAUS)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, order=True)
class Policy:
    """At most ``k`` contexts, cut by the gap rule at ``gamma``; answer where the answer's confidence is at least
    ``tau`` and the router's probability of the question's domain at least ``rho``.

    ``least`` contexts there are whatever ``k`` and ``gamma`` say, where so many were found: the floor of a certificate
    about missed evidence, 0 without one.
    """

    k: int
    gamma: float
    tau: float
    rho: float = 0.0
    least: int = 0

    @property
    def widest(self) -> int:
        """Most hits that it looks at: the gap rule looks one past the last."""
        return max(self.k, self.least) + 1

    def as_dict(self) -> dict[str, float]:
        """The form in which a certificate or the ledger carries it; without a floor, as before there were any."""
        floor = {"least": self.least} if self.least else {}
        return {"k": self.k, "gamma": self.gamma, "tau": self.tau, "rho": self.rho, **floor}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Policy:
        """The opposite of :meth:`as_dict`."""
        rho, least = values.get("rho", 0.0), int(values.get("least", 0))
        return cls(int(values["k"]), values["gamma"], values["tau"], rho, least)

    def __str__(self) -> str:
        route = f", rho={self.rho:g}" if self.rho else ""
        floor = f", at least {self.least}" if self.least else ""
        return f"k={self.k}, gamma={self.gamma:g}, tau={self.tau:g}{route}{floor}"


def grid(
    settings: Sequence[Setting], thresholds: Sequence[float] = THRESHOLDS, routes: Sequence[float] = ANYWHERE
) -> tuple[Policy, ...]:
    """All policies, routes running fastest, then thresholds: the column order of :func:`apply_thresholds`.

    The grid must be fixed before the labels are seen. Thresholds read off the calibration data's own confidences
    would let the data choose what is tested.
    """
    return tuple(Policy(k, gamma, tau, rho) for k, gamma in settings for tau in thresholds for rho in routes)


@dataclass(frozen=True)
class Outcomes:
    """What happened to each labelled question under each setting (k, gamma).

    Attributes:
        ids: one per question, all different.
        settings: the (k, gamma) of each column.
        correct: shape (questions, settings); read only where there is an answer.
        confidence: same shape, in [0, 1]; NaN where the engine had no answer at any confidence.
        route: the router's probability of the question's domain, shape (questions,); 1 unless given.

    Raises:
        InputError: ids occur twice, shapes disagree, or a confidence or probability lies outside [0, 1].
    """

    ids: tuple[str, ...]
    settings: tuple[Setting, ...]
    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    route: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))

    def __post_init__(self) -> None:
        if not len(self.route):
            object.__setattr__(self, "route", np.ones(len(self.ids)))
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
        if self.route.shape != shape[:1] or not np.all((self.route >= 0) & (self.route <= 1)):
            raise InputError("the router's probabilities must be one per question and lie in [0, 1]")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Outcomes:
        """Some of the questions."""
        ids = tuple(self.ids[i] for i in rows)
        return Outcomes(ids, self.settings, self.correct[rows], self.confidence[rows], self.route[rows])

    def check_labels(self, allow_perfect: bool = False) -> None:
        """Refuse labels that no honest measurement gives: all answers wrong, or all of them right.

        A system that never errs on hundreds of questions is possible, and rarer than labels taken from its answers.

        Raises:
            InputError: every answer is wrong; or every answer is right, and that was not declared to be so.
        """
        answered = ~np.isnan(self.confidence)
        right = self.correct.astype(np.bool_)[answered]
        if right.size and not right.any():
            raise InputError(
                f"every answer to the {len(self)} labelled questions is wrong, so no policy can be certified; check "
                "that labels and answers are written alike"
            )
        if right.size and right.all() and not allow_perfect:
            raise InputError(
                f"every answer to the {len(self)} labelled questions is right: check that the labels were not taken "
                "from the answers; if they were made independently, say so with --allow-perfect"
            )


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


def apply_thresholds(
    outcomes: Outcomes, thresholds: Sequence[float] = THRESHOLDS, routes: Sequence[float] = ANYWHERE
) -> Evaluated:
    """Apply every threshold to every setting; columns in the order of :func:`grid`."""
    taus, rhos = np.asarray(thresholds, dtype=np.float64), np.asarray(routes, dtype=np.float64)
    sure = outcomes.confidence[:, :, None, None] >= taus[:, None]  # NaN >= tau is False: no answer is silence
    answered = sure & (outcomes.route[:, None] >= rhos)[:, None, None, :]
    wrong = answered & ~outcomes.correct.astype(np.bool_)[:, :, None, None]
    columns = (len(outcomes), len(outcomes.settings) * len(taus) * len(rhos))
    return Evaluated(answered.reshape(columns), wrong.reshape(columns))
