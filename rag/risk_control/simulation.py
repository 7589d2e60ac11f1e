"""Worlds whose risk is known, to put certificates to the test: does the promise break more often than delta?

Half of the groups are easy, half hard. Confidence is uniform on [0, 1] in easy groups and the square of a uniform in
hard ones, so thresholds keep more of the easy. An answer is wrong three times as often in a hard group. With
A_e = 1 - tau and A_h = 1 - sqrt(tau) the shares answered,

    R(tau) = (A_e r + A_h 3r) / (A_e + A_h),

which falls in tau; r is set so that R has the wanted value at one threshold. In the clustered world easy groups hold
eight questions and hard ones two, and with probability 0.7 all answers of a group are right or wrong together: who
counts questions as independent sees too many easy ones, and too much certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rag.risk_control.policy import Outcomes

_HARDER = 3.0
_TOGETHER = 0.7
_SIZES = {False: (1, 1), True: (8, 2)}  # questions of an easy and of a hard group, by clustered


@dataclass(frozen=True)
class Draw:
    """Repeated samples of groups; every array has shape (repeats, groups, questions of a group).

    Attributes:
        present: whether the group has so many questions.
        confidence: in [0, 1].
        wrong: whether an answer would be wrong.
    """

    present: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    wrong: NDArray[np.bool_]

    def losses(self, tau: float, alpha: float) -> NDArray[np.float64]:
        """Group losses of the policy that answers from ``tau`` on: shape (groups, repeats), NaN for silent groups."""
        answered = self.present & (self.confidence >= tau)
        size = self.present.sum(axis=2)
        z = ((answered & self.wrong).sum(axis=2) + alpha * (size - answered.sum(axis=2))) / size
        return np.where(answered.any(axis=2), z, np.nan).T

    def counts(self, tau: float, every: bool = False) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Wrong and answered per repeat, shape (repeats,): of one question per group, or of ``every`` question."""
        first = slice(None) if every else slice(1)
        answered = (self.present & (self.confidence >= tau))[:, :, first]
        wrong = answered & self.wrong[:, :, first]
        return wrong.sum(axis=(1, 2)), answered.sum(axis=(1, 2))

    def outcomes(self, repeat: int) -> tuple[Outcomes, list[str]]:
        """One repeat as :func:`~rag.risk_control.procedure.certify` takes it: outcomes of one setting, and groups."""
        groups, question = np.nonzero(self.present[repeat])
        names = [f"g{g}" for g in groups]
        ids = tuple(f"{g}/{q}" for g, q in zip(names, question, strict=True))
        cells = (repeat, groups, question)
        return Outcomes(ids, ((1, 1.0),), ~self.wrong[cells][:, None], self.confidence[cells][:, None]), names


@dataclass(frozen=True)
class World:
    """A world with R(``at``) = ``risk``.

    Attributes:
        risk: in (0, 0.5].
        at: threshold in [0, 1).
        clustered: several, dependent questions per group.
    """

    risk: float
    at: float = 0.5
    clustered: bool = False

    @property
    def _easy(self) -> float:
        easy, hard = 1 - self.at, 1 - np.sqrt(self.at)
        return float(self.risk * (easy + hard) / (easy + _HARDER * hard))

    def true_risk(self, tau: ArrayLike) -> NDArray[np.float64]:
        """R(tau), for thresholds in [0, 1)."""
        t = np.asarray(tau, dtype=np.float64)
        easy, hard = 1 - t, 1 - np.sqrt(t)
        return np.asarray(self._easy * (easy + _HARDER * hard) / (easy + hard), dtype=np.float64)

    def draw(self, repeats: int, groups: int, rng: np.random.Generator) -> Draw:
        """``repeats`` independent samples of ``groups`` groups."""
        hard = rng.random((repeats, groups, 1)) < 0.5
        easy_size, hard_size = _SIZES[self.clustered]
        most = max(easy_size, hard_size)
        shape = (repeats, groups, most)
        present = np.arange(most) < np.where(hard, hard_size, easy_size)
        confidence = rng.random(shape)
        rate = self._easy * np.where(hard, _HARDER, 1.0)
        own, shared = rng.random(shape) < rate, rng.random((repeats, groups, 1)) < rate
        together = rng.random((repeats, groups, 1)) < _TOGETHER
        return Draw(present, np.where(hard, np.square(confidence), confidence), np.where(together, shared, own))
