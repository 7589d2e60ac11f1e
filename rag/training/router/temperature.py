"""Probabilities that mean what they say, and thresholds that keep their false-alarm rate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature in [0.01, 100] that minimises the negative log-likelihood of softmax(logits / T).

    See Guo et al. 2017, "On calibration of modern neural networks". Each class weighs the same, whatever its number of
    examples. As Platt (1999) does, one example is imagined for each wrong class: where all n examples are right by a
    wide margin, the likelihood alone would ask for certainty, and n examples cannot vouch for more than about 1 - 1/n.

    Args:
        logits: (n, classes).
        labels: (n,) indices of the right classes.
    """
    n, classes = logits.shape
    weights = 1.0 / np.bincount(labels, minlength=classes)[labels]
    wrong = 1.0 / (n + classes)
    targets = np.full((n, classes), wrong)
    targets[np.arange(n), labels] = 1.0 - (classes - 1) * wrong
    targets *= (weights / weights.sum())[:, None]

    def loss(log_t: float) -> float:
        return -float((targets * log_softmax(logits / math.exp(log_t), axis=1)).sum())

    found = minimize_scalar(loss, bounds=(math.log(0.01), math.log(100.0)), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def expected_calibration_error(logits: Floats, labels: Labels, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of the confidence, by their share (Naeini 2015).

    In [0, 1]; ``logits`` (n, classes) may be log-probabilities.
    """
    probabilities = softmax(logits, axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    where = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(confidence[where == b].sum()) - float(right[where == b].sum())) for b in np.unique(where)]
    return sum(gaps) / len(labels)


def conformal_threshold(scores: Floats, rate: float) -> float:
    """The value that the score of a new in-domain image exceeds with probability at most ``rate``.

    The ceil((n + 1)(1 - rate))-th smallest of ``scores`` (split conformal prediction, Vovk et al. 2005); holds for any
    distribution as long as the new image is exchangeable with those of ``scores``, one of each group. Infinite where
    there are too few scores for the rate: fewer than 1 / rate - 1.
    """
    rank = math.ceil((len(scores) + 1) * (1 - rate))
    return math.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])


def balanced_accuracy(logits: Floats, labels: Labels) -> float:
    """Mean over the classes of the share of their examples that are recognised."""
    from sklearn.metrics import recall_score  # balanced_accuracy_score warns of answers that are no label

    return float(recall_score(labels, logits.argmax(axis=1), labels=np.unique(labels), average="macro"))


def auroc(inside: Floats, outside: Floats) -> float:
    """Probability that an outside score is above an inside one; ties count half (Mann-Whitney)."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(outside, inside).statistic / (len(inside) * len(outside)))
