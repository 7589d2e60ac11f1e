"""Metrics of answers that may be withheld: how risk falls with coverage, and whether confidence means what it says.

A withheld answer is neither right nor wrong here: it lowers coverage. Brier score by scikit-learn; the areas and the
calibration error are short sums without a library in the dependencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rag.evaluation.metrics import Estimate
from rag.evaluation.report import exactly

BINS = 15  # of equal mass: bins of equal width are mostly empty where most confidences are high


def measure_selection(confidence: ArrayLike, right: ArrayLike, tolerated: float = 0.05) -> dict[str, Estimate]:
    """What a threshold on confidence could reach, over the answers that were given.

    >>> found = measure_selection([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1])
    >>> round(found["AURC"].value, 3), found["coverage_at_0.05"].value
    (0.146, 0.5)

    Args:
        confidence: of each answer, in [0, 1].
        right: 1 where it was right, 0 where not.
        tolerated: the risk whose coverage is told.

    Returns:
        AURC: mean risk over all coverages, answers of highest confidence first (Geifman & El-Yaniv 2017); ties count as
        their mean. AUARC: mean share right over the same, 1 - AURC (Nadeem et al. 2009). coverage_at_R: most answers,
        as a share, whose risk is at most R. ECE: expected calibration error in 15 bins of equal mass. Brier: mean
        squared distance of confidence and outcome. Nothing where there is no answer.
    """
    from sklearn.metrics import brier_score_loss

    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not len(sure):
        return {}
    risks = risk_by_coverage(sure, good)
    kept = np.flatnonzero(risks <= tolerated)
    return {
        "AURC": exactly(float(risks.mean())),
        "AUARC": exactly(float(1 - risks.mean())),
        f"coverage_at_{tolerated:g}": exactly(float(kept[-1] + 1) / len(sure) if len(kept) else 0.0),
        "ECE": exactly(calibration_error(sure, good)),
        "Brier": exactly(float(brier_score_loss(good, sure, pos_label=1))),
    }


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Mean distance between confidence and the share that is right, over bins of (nearly) equal mass, in [0, 1].

    Answers of one confidence are in one bin (Guo et al. 2017, with the bins of Nixon et al. 2019).
    """
    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    edges = np.unique(np.quantile(sure, np.linspace(0, 1, bins + 1)))
    place = np.searchsorted(edges[1:-1], sure, side="left")
    gaps = [abs(float((sure - good)[place == b].sum())) for b in np.unique(place)]
    return sum(gaps) / len(sure)


def risk_by_coverage(confidence: ArrayLike, right: ArrayLike) -> NDArray[Any]:
    """The risk at each coverage 1/n … 1, answers of highest confidence first; ties are wrong as often as on average."""
    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    order = np.argsort(-sure, kind="stable")
    levels, place, size = np.unique(-sure[order], return_inverse=True, return_counts=True)
    wrong = np.bincount(place, weights=1 - good[order], minlength=len(levels)) / size
    return np.cumsum(wrong[place]) / np.arange(1, len(sure) + 1)
