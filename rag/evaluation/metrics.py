"""Metrics of rankings and of classes, what chance would give, and intervals by resampling groups.

Rankings are measured by ``ir_measures`` (trec_eval) and classes by scikit-learn. What is written here has no library:
rankings with ties that count against the system, the expectation of a random order, and a bootstrap of whole groups.
A *gain* says how relevant a candidate is to a query: 0 is not at all, and anything above 0 is a hit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rag.errors import MissingDependencyError

Floats = NDArray[np.float64]

DEPTH = 10  # places that nDCG and the deepest recall look at
_RECALLS = (1, 5, 10)
_PRECISION = 5
_LEVELS = 100_000  # most steps of a gain of 1 where gains are fractions: trec_eval knows whole ones only
_BLOCK = 10_000_000  # cells of the table of resamples at a time
_DISCOUNTS = 1 / np.log2(np.arange(2, DEPTH + 2))


class Estimate(NamedTuple):
    """A mean with its bootstrap interval; without an interval where there are fewer than two groups."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" ({self.low:.3f}–{self.high:.3f})" if self.low is not None else "")


class Score(NamedTuple):
    """Of one class: how many are labelled so; precision, recall and F1 in [0, 1], 0 where undefined."""

    n: int
    precision: float
    recall: float
    f1: float


def score_classes(counts: Mapping[tuple[str, str], int], classes: Sequence[str]) -> dict[str, Score]:
    """The score of each class from counts of (label, answer), by scikit-learn:

        score_classes({("yes", "yes"): 3, ("no", "yes"): 1}, ["yes"])   # {"yes": Score(3, 0.75, 1.0, 0.857…)}

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import precision_recall_fscore_support
    except ImportError as error:
        raise MissingDependencyError('scikit-learn is not installed: pip install "clincite[models]"') from error
    pairs = {pair: n for pair, n in counts.items() if n}
    if not pairs:
        return {name: Score(0, 0.0, 0.0, 0.0) for name in classes}
    labels, answers = zip(*pairs, strict=True)
    table = precision_recall_fscore_support(
        labels, answers, labels=list(classes), sample_weight=list(pairs.values()), zero_division=0
    )
    return {
        name: Score(int(n), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, n in zip(classes, *table, strict=True)
    }


def measure_ranking(scores: ArrayLike, gains: ArrayLike, allowed: ArrayLike | None = None) -> dict[str, Floats]:
    """Rank candidates by falling score and measure every query, each metric (n,) in [0, 1]:

    - R@k: whether a hit is among the first k, as cross-modal retrieval counts recall (Success@k of trec_eval);
    - P@5: hits among the first 5, divided by 5;
    - MRR: 1 / rank of the first hit (0 without one);
    - nDCG@10: gains discounted by log2(1 + rank), divided by those of the ideal order (Järvelin & Kekäläinen 2002).

    Equal scores count against the system: of two, the less relevant one comes first. trec_eval would break ties by the
    names of documents, so it is given the order, as scores without ties, and not the scores. Gains that are fractions
    are brought to a common denominator; where that is above 100,000, they are rounded to 1/100,000, which moves nDCG by
    less than 0.00005 where gains are 0.1 or more.

        measure_ranking([[0.9, 0.5, 0.1]], [[0, 1, 0]])["MRR"]   # [0.5]

    Args:
        scores: (n, candidates), or (candidates,) where every query gets the same order; -inf is not found, and missed
            if it is relevant.
        gains: (n, candidates), 0 or more.
        allowed: (n, candidates) bool; what is not allowed is no candidate of that query, relevant or not.

    Raises:
        MissingDependencyError: ir_measures is not installed.
    """
    worth = np.asarray(gains, dtype=np.float64)
    value = np.broadcast_to(np.asarray(scores, dtype=np.float64), worth.shape)
    if allowed is not None:
        worth, value = np.where(allowed, worth, 0.0), np.where(allowed, value, -np.inf)
    order = np.lexsort((worth, -value), axis=1)
    ranked = np.take_along_axis(worth, order, axis=1)
    levels = np.maximum(np.rint(ranked * _denominator(ranked)), ranked > 0)
    names = [str(place) for place in range(worth.shape[1])]
    judged, found = dict[str, dict[str, int]](), dict[str, dict[str, float]]()
    for query, (row, there) in enumerate(zip(levels, np.isfinite(value).sum(axis=1).tolist(), strict=True)):
        hits = np.flatnonzero(row)
        seen = min(there, max(DEPTH, int(hits[0]) + 1 if len(hits) else 0))  # nothing below decides a metric
        judged[str(query)] = {names[place]: int(row[place]) for place in hits}
        found[str(query)] = {name: -float(place) for place, name in enumerate(names[:seen])}
    measures = _measures()
    metrics = {name: np.zeros(len(worth)) for name in measures.values()}
    for one in _library().iter_calc(list(measures), judged, found):
        metrics[measures[one.measure]][int(one.query_id)] = one.value
    return metrics


def _denominator(gains: Floats) -> int:
    """What makes all gains whole, or _LEVELS where that is larger or one is no simple fraction."""
    parts = [(gain, Fraction(gain).limit_denominator(1000)) for gain in np.unique(gains).tolist()]
    common = math.lcm(*(part.denominator for _, part in parts))
    return common if common <= _LEVELS and all(math.isclose(gain, part) for gain, part in parts) else _LEVELS


def _library() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingDependencyError('ir_measures is not installed: pip install "clincite[models]"') from error
    return ir_measures


def _measures() -> dict[Any, str]:
    """What ir_measures calls our metrics."""
    library = _library()
    found = {library.Success @ k: f"R@{k}" for k in _RECALLS}
    return found | {
        library.P @ _PRECISION: f"P@{_PRECISION}",
        library.RR: "MRR",
        library.nDCG @ DEPTH: f"nDCG@{DEPTH}",
    }


def expected_by_chance(gains: ArrayLike, allowed: ArrayLike | None = None) -> dict[str, Floats]:
    """The metrics of :func:`measure_ranking` as a random order of the candidates would be expected to have them.

    Per query, in closed form: of N candidates with R hits, the first k hold none with probability C(N-R, k) / C(N, k).
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
    ideal = -np.sort(-worth, axis=1)[:, :DEPTH]
    best = ideal @ _DISCOUNTS[: ideal.shape[1]]
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

    Args:
        values: name -> one value a query.
        groups: the group of each query.
    """
    names, table = list(values), np.array([np.asarray(v, dtype=np.float64) for v in values.values()]).T
    if not len(table):
        return {}

    def means(totals: Floats) -> dict[str, Floats]:
        return {name: totals[:, i] / totals[:, -1] for i, name in enumerate(names)}

    return bootstrap_totals(np.column_stack([table, np.ones(len(table))]), groups, means, resamples, level, seed)


def bootstrap_shares(
    shares: Mapping[str, tuple[Sequence[float], Sequence[bool]]], groups: ArrayLike
) -> dict[str, Estimate]:
    """Means of values over the rows that are kept, each metric with its own, all from the same resamples.

    >>> bootstrap_shares({"right": ([1, 0, 1], [True, True, False])}, ["a", "b", "c"])["right"].value
    0.5

    Args:
        shares: name -> one value a row, and which rows count; a metric for which none does is left out.
        groups: the group of each row.
    """
    told = {name: (values, kept) for name, (values, kept) in shares.items() if any(kept)}
    pairs = [(np.multiply(values, kept), np.asarray(kept, float)) for values, kept in told.values()]
    if not pairs:
        return {}

    def ratios(totals: Floats) -> dict[str, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample may keep none
            return {name: totals[:, 2 * i] / totals[:, 2 * i + 1] for i, name in enumerate(told)}

    return bootstrap_totals(np.column_stack([column for pair in pairs for column in pair]), groups, ratios)


def bootstrap_totals(
    columns: ArrayLike,
    groups: ArrayLike,
    statistics: Callable[[Floats], dict[str, Floats]],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Statistics of sums, such as an F1 of counts, with percentile intervals from resampled groups.

    Queries of one patient are alike, so that a patient, not a query, is what could have been another (Field & Welsh
    2007, cluster bootstrap). Resamples for which a statistic is not defined (nan) are left out of its interval.

    Args:
        columns: (queries, c), what is summed.
        groups: the group of each query.
        statistics: from totals (r, c) to name -> (r,).
    """
    table = np.asarray(columns, dtype=np.float64)
    kinds, place = np.unique(np.asarray(groups), return_inverse=True)
    whole = {name: float(value[0]) for name, value in statistics(table.sum(axis=0)[None]).items()}
    if len(kinds) < 2:
        return {name: Estimate(value, None, None) for name, value in whole.items()}
    sums = np.zeros((len(kinds), table.shape[1]))
    np.add.at(sums, place, table)
    random, step = np.random.default_rng(seed), max(1, _BLOCK // len(kinds))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    drawn = [statistics(_often_drawn(len(kinds), size, random) @ sums) for size in sizes]
    tail = (1 - level) / 2
    found = {}
    for name, value in whole.items():
        values = np.concatenate([some[name] for some in drawn])
        values = values[~np.isnan(values)]
        low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (None, None)
        found[name] = Estimate(value, None if low is None else float(low), None if high is None else float(high))
    return found


def _often_drawn(n: int, resamples: int, random: np.random.Generator) -> Floats:
    """How often each of ``n`` is drawn when n are drawn with replacement, (resamples, n): thrice as fast as numpy's
    multinomial."""
    drawn = random.integers(n, size=(resamples, n))
    drawn += np.arange(0, resamples * n, n)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)
