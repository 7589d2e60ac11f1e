"""Ranking metrics per query, what chance would give, and intervals by resampling groups.

A *gain* says how relevant a candidate is to a query: 0 is not at all, and anything above 0 is a hit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DEPTH = 10  # places that nDCG and the deepest recall look at
_RECALLS = (1, 5, 10)
_PRECISION = 5
_BLOCK = 10_000_000  # cells of the table of resamples at a time
_DISCOUNTS = 1 / np.log2(np.arange(2, DEPTH + 2))


class Estimate(NamedTuple):
    """A mean with its bootstrap interval; without an interval where there are fewer than two groups."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" ({self.low:.3f}–{self.high:.3f})" if self.low is not None else "")


@dataclass(frozen=True)
class Ranked:
    """What a ranking put where, for each of n queries.

    ``top`` (n, DEPTH) are the gains of the first places, 0 beyond the last candidate; ``ideal`` those of the best
    possible ranking; ``first`` (n,) the rank of the first hit, from 1, infinite where there is none.
    """

    top: Floats
    ideal: Floats
    first: Floats

    def metrics(self) -> dict[str, Floats]:
        """Per query, each in [0, 1].

        - R@k: whether a hit is among the first k, as cross-modal retrieval counts recall;
        - P@5: hits among the first 5, divided by 5;
        - MRR: 1 / rank of the first hit (0 without one);
        - nDCG@10: gains discounted by log2(1 + rank), divided by those of the ideal order (Järvelin & Kekäläinen 2002).
        """
        hits = self.top > 0
        found: dict[str, Floats] = {f"R@{k}": (self.first <= k).astype(np.float64) for k in _RECALLS}
        found[f"P@{_PRECISION}"] = hits[:, :_PRECISION].sum(axis=1) / _PRECISION
        found["MRR"] = 1 / self.first
        best = self.ideal @ _DISCOUNTS
        found[f"nDCG@{DEPTH}"] = np.divide(self.top @ _DISCOUNTS, best, out=np.zeros(len(best)), where=best > 0)
        return found


def rank_candidates(scores: ArrayLike, gains: ArrayLike, allowed: ArrayLike | None = None) -> Ranked:
    """Rank candidates by falling score; equal scores count against the system: what is relevant less comes first.

    Args:
        scores: (n, candidates), or (candidates,) where every query gets the same order.
        gains: (n, candidates), 0 or more.
        allowed: (n, candidates) bool; what is not allowed is no candidate of that query.
    """
    worth = np.asarray(gains, dtype=np.float64)
    value = np.array(np.broadcast_to(np.asarray(scores, dtype=np.float64), worth.shape))
    if allowed is not None:
        value[~np.asarray(allowed)] = -np.inf
        worth = np.where(allowed, worth, 0.0)
    order = np.lexsort((worth, -value), axis=1)
    sorted_gains = np.take_along_axis(worth, order, axis=1)
    hits = sorted_gains > 0
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    return Ranked(_padded(sorted_gains), ideal_of(worth), first)


def ideal_of(gains: Floats) -> Floats:
    """The first DEPTH gains of the best order: (n, DEPTH)."""
    return _padded(-np.sort(-gains, axis=1))


def expected_by_chance(gains: ArrayLike, allowed: ArrayLike | None = None) -> dict[str, Floats]:
    """The metrics of :class:`Ranked` as expected when the candidates come in random order, in closed form, per query.

    With N candidates and R hits, no hit is among the first k with probability C(N-R, k) / C(N, k).
    """
    worth = np.asarray(gains, dtype=np.float64)
    if allowed is not None:
        worth = np.where(allowed, worth, 0.0)
    n = np.full(len(worth), worth.shape[1]) if allowed is None else np.asarray(allowed).sum(axis=1)
    hits = (worth > 0).sum(axis=1)
    found: dict[str, list[float]] = {}
    known: dict[tuple[int, int], dict[str, float]] = {}
    for pair in zip(n.tolist(), hits.tolist(), strict=True):
        if pair not in known:
            known[pair] = _chance(*pair)
        for name, value in known[pair].items():
            found.setdefault(name, []).append(value)
    metrics = {name: np.array(values) for name, values in found.items()}
    places = np.array([_DISCOUNTS[:some].sum() for some in n])
    best = ideal_of(worth) @ _DISCOUNTS
    mean = worth.sum(axis=1) / np.maximum(n, 1)
    metrics[f"nDCG@{DEPTH}"] = np.divide(mean * places, best, out=np.zeros(len(best)), where=best > 0)
    return metrics


def _chance(n: int, hits: int) -> dict[str, float]:
    if not hits:
        return dict.fromkeys([*(f"R@{k}" for k in _RECALLS), f"P@{_PRECISION}", "MRR"], 0.0)
    ranks = np.arange(1, n - hits + 2)
    none_before = np.concatenate([[1.0], np.cumprod(1 - hits / (n - ranks[:-1] + 1))])  # no hit in the ranks before
    at_rank = none_before * hits / (n - ranks + 1)
    row = {f"R@{k}": float(at_rank[:k].sum()) for k in _RECALLS}
    return row | {f"P@{_PRECISION}": hits / n * min(1, n / _PRECISION), "MRR": float((at_rank / ranks).sum())}


def bootstrap(
    values: Mapping[str, ArrayLike], groups: ArrayLike, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Estimate]:
    """The mean of each row of values with its percentile interval, whole groups being drawn with replacement.

    Queries of one patient are alike, so that a patient, not a query, is what could have been another (Field & Welsh
    2007, cluster bootstrap).

    Args:
        values: name -> one value a query.
        groups: the group of each query.
    """
    names, table = list(values), np.array([np.asarray(v, dtype=np.float64) for v in values.values()]).T
    if not len(table):
        return {}
    kinds, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(kinds), table.shape[1] + 1))
    np.add.at(sums, place, np.column_stack([table, np.ones(len(table))]))
    means = table.mean(axis=0)
    if len(kinds) < 2:
        return {name: Estimate(float(mean), None, None) for name, mean in zip(names, means, strict=True)}
    random = np.random.default_rng(seed)
    even, drawn = np.full(len(kinds), 1 / len(kinds)), []
    step = max(1, _BLOCK // len(kinds))
    for start in range(0, resamples, step):
        totals = random.multinomial(len(kinds), even, size=min(step, resamples - start)) @ sums
        drawn.append(totals[:, :-1] / totals[:, -1:])
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return {name: Estimate(float(means[i]), float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _padded(gains: Floats) -> Floats:
    """The first DEPTH columns, zeros where there are fewer."""
    short = max(0, DEPTH - gains.shape[1])
    return np.pad(gains[:, :DEPTH], ((0, 0), (0, short)))
