"""Do the questions asked today look like those that a certificate was computed from?

A certificate speaks of questions drawn like the calibration's. Labels of today's answers are not known, their scores
are: the confidence, the similarity of the best evidence, the router's probability. The calibration's are kept with the
certificate as quantiles, and two-sample Kolmogorov-Smirnov tests compare. A shift does not prove the promise broken,
nor does quiet prove it kept: it says when to label some new answers and calibrate again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from rag.types import Answer

SCORES = ("confidence", "similarity", "route")
LEAST = 30  # answers below which nothing is compared
_POINTS = 256
_BINS = 10


def scores_of(answer: Answer) -> tuple[float, float, float]:
    """Confidence, best evidence score (0 without evidence), and probability of the domain: the order of ``SCORES``."""
    return answer.confidence, max((e.score for e in answer.evidence), default=0.0), answer.domain.probability


class Reference(BaseModel):
    """A sample kept as numbers alone: all values in order up to 256, and as many quantiles beyond that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=1, description="Independent values: one a group.")
    quantiles: tuple[float, ...] = Field(min_length=1, description="In rising order, at levels (i + 1/2) / length.")

    @classmethod
    def of(cls, values: ArrayLike) -> Reference:
        """Keep a sample; ``values`` has shape (n,), n >= 1."""
        x = np.sort(np.asarray(values, dtype=np.float64))
        if len(x) > _POINTS:
            levels = (np.arange(_POINTS) + 0.5) / _POINTS
            n, x = len(x), np.quantile(x, levels, method="inverted_cdf")
        else:
            n = len(x)
        return cls(n=n, quantiles=tuple(round(float(v), 6) for v in x))


@dataclass(frozen=True)
class Shift:
    """One score, then and now.

    Attributes:
        score: its name.
        domains: of the certificate that covers the answers, and forms of question where it is about some alone.
        calibration: values that the certificate keeps of it, before they were thinned to quantiles.
        recent: answers compared.
        ks: Kolmogorov-Smirnov distance of the two distributions, in [0, 1].
        p_value: of a distance at least as large where nothing has changed.
        psi: population stability index over the calibration's deciles; by custom 0.1 is little and 0.25 much.
        median_then, median_now: of the score.
        drifted: the p-value is below the level, shared among all comparisons.
    """

    score: str
    domains: tuple[str, ...]
    calibration: int
    recent: int
    ks: float
    p_value: float
    psi: float
    median_then: float
    median_now: float
    drifted: bool


def shifts(
    references: Mapping[str, Reference], recent: Mapping[str, Sequence[float]], domains: tuple[str, ...], level: float
) -> tuple[Shift, ...]:
    """Compare scores of the same names; ``level`` in (0, 1) is that of one comparison, see :func:`ks_test`."""
    found = []
    for name, reference in references.items():
        values = np.asarray(recent[name], dtype=np.float64).round(6)
        distance, p = ks_test(reference, values)
        then, now = float(np.median(reference.quantiles)), float(np.median(values))
        psi = stability(reference, values)
        found.append(Shift(name, domains, reference.n, len(values), distance, p, psi, then, now, p <= level))
    return tuple(found)


def ks_test(reference: Reference, values: ArrayLike) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov: (distance, p-value).

    D = sup_x |F(x) - G(x)|, p = P(D_e >= D) for e = n m / (n + m) (Smirnov 1939; ``scipy.stats.kstwo``). Quantiles in
    place of the sample move F by at most half a step, which is taken off D so that thinning never raises an alarm. Ties
    make the test cautious.
    """
    x, q = np.sort(np.asarray(values, dtype=np.float64)), np.asarray(reference.quantiles)
    at = np.concatenate([x, q])
    then, now = (np.searchsorted(sample, at, side="right") / len(sample) for sample in (q, x))
    slack = 0.0 if len(q) == reference.n else 0.5 / len(q)
    distance = max(0.0, float(np.abs(then - now).max()) - slack)
    effective = max(1, round(reference.n * len(x) / (reference.n + len(x))))
    return distance, float(import_module("scipy.stats").kstwo.sf(distance, effective)) if distance else 1.0


def stability(reference: Reference, values: ArrayLike) -> float:
    """Population stability index: sum over bins of (a - b) ln(a / b), with bins between the reference's deciles.

    An empty bin counts as half an observation. Equal deciles are merged, so a score of few values has fewer bins.
    """
    q, x = np.asarray(reference.quantiles), np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(q, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))

    def share(sample: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        counts = np.bincount(np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1) / len(sample)
        return np.maximum(counts, 0.5 / n)

    a, b = share(q, reference.n), share(x, len(x))
    return float(np.sum((a - b) * np.log(a / b)))
