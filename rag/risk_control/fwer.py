"""Many policies, one promise: P(any accepted policy has R > alpha) <= delta.

Each control takes valid p-values, policies on the last axis (leading axes are independent experiments), and returns
a boolean array of the same shape: the accepted policies. None assumes anything about how p-values depend on each
other, which matters here: neighbouring policies share almost all of their answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Accepted = NDArray[np.bool_]


def bonferroni(p: ArrayLike, delta: float) -> Accepted:
    """Accept where p <= delta / m, with m policies (Bonferroni 1936)."""
    values = np.asarray(p, dtype=np.float64)
    return np.asarray(values <= delta / max(values.shape[-1], 1))


def holm(p: ArrayLike, delta: float) -> Accepted:
    """Step down: the i-th smallest p against delta / (m - i + 1), until the first failure.

    Accepts at least what Bonferroni accepts. Source: Holm, "A simple sequentially rejective multiple test procedure"
    (Scand. J. Stat. 1979).
    """
    values = np.asarray(p, dtype=np.float64)
    m = values.shape[-1]
    order = np.argsort(values, axis=-1, kind="stable")
    passed = np.take_along_axis(values, order, axis=-1) <= delta / np.arange(m, 0, -1)
    accepted = np.zeros(values.shape, dtype=np.bool_)
    np.put_along_axis(accepted, order, np.logical_and.accumulate(passed, axis=-1), axis=-1)
    return accepted


def fixed_sequence(p: ArrayLike, order: ArrayLike, delta: float) -> Accepted:
    """Test in a given order, each at the full level delta, until the first failure.

    No correction for the number of policies: an error needs the first untrue policy in the order to pass, which
    happens with probability at most delta. The order must not depend on the data behind ``p`` (see
    :func:`safest_first` for learning it on other data). Source: Maurer, Hothorn & Lehmacher (1995); with an
    order learned on other data, the split fixed sequence testing of "Learn then Test" (arXiv 2110.01052).

    Args:
        p: p-values, shape (policies,).
        order: indices of policies, the first tested first; policies left out are not tested and not accepted.
        delta: level in (0, 1).
    """
    values, sequence = np.asarray(p, dtype=np.float64), np.asarray(order, dtype=np.int64)
    if len(np.unique(sequence)) != len(sequence):
        raise ValueError("a policy occurs twice in the order")
    accepted = np.zeros(values.shape, dtype=np.bool_)
    accepted[..., sequence] = np.logical_and.accumulate(values[..., sequence] <= delta, axis=-1)
    return accepted


def safest_first(score: ArrayLike, coverage: ArrayLike) -> NDArray[np.int64]:
    """An order for :func:`fixed_sequence`, learned on a split of its own.

    From the policy with the least score (p-value) upwards, keeping only policies that cover more than all before
    them: a step that cannot raise coverage could only end the walk. This is the Pareto front of safety and coverage
    (Laufer-Goldshtein, Fisch, Barzilay & Jaakkola, "Pareto testing", ICLR 2023, arXiv 2210.07913).

    Args:
        score: one per policy on the learning split; smaller means safer.
        coverage: one per policy on the learning split; policies that cover nothing are left out.
    """
    s, c = np.asarray(score, dtype=np.float64), np.asarray(coverage, dtype=np.float64)
    order = np.lexsort((-c, s))
    best = np.concatenate([[0.0], np.maximum.accumulate(c[order])[:-1]])
    return np.asarray(order[c[order] > best], dtype=np.int64)
