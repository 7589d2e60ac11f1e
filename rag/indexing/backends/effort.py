"""How hard an approximate index must search: found by measurement when it is built, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rag.indexing.backends.exact import nearest
from rag.indexing.backends.protocol import Facts, Positions, Vectors

K = 10
TARGET = 0.98
PROBES = 200
# Questions lie off the passages' own manifold, those of another modality far off: a probe is a stored vector turned
# away until its cosine with it is one of these. An image meets text at about the first. Of 1,322 biomedical questions
# three quarters have a sentence at 0.58 or more (MiniLM); probes at 0.75 chose efforts that found them 0.94 of theirs.
NEAR = 0.6
_COSINES = {"far": 0.3, "near": NEAR}
_FAR = 0.5
_APART = 4  # times apart, and a third effort between two is worth its time
Search = Callable[[Vectors, int, int], tuple[Vectors, Positions]]
"""Queries, k and effort to scores and positions, best first."""


def probes(vectors: Vectors, cosine: float) -> Vectors:
    """(200, dim) unit vectors at this cosine from stored ones, the same for the same vectors."""
    dice = np.random.default_rng(0)
    chosen = vectors[dice.integers(0, len(vectors), PROBES)]
    away = dice.standard_normal(chosen.shape).astype(np.float32)
    away -= (away * chosen).sum(axis=1, keepdims=True) * chosen
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    turned: Vectors = cosine * chosen + np.sqrt(1 - cosine**2, dtype=np.float32) * away
    return np.ascontiguousarray(turned, dtype=np.float32)


def choose_efforts(
    vectors: Vectors, search: Search, ladder: Sequence[int], widest: int = 1, *, walk: bool = False
) -> Facts:
    """The least efforts of ``ladder`` whose recall@10 reaches 0.98 on far and on near probes, or the greatest.

    The near effort is measured as it is used: with the harder searches that follow where nothing near is found.

    Args:
        vectors: (n, dim), n >= 10.
        widest: how many candidates a neighbour may have. With the effort found, the least that reaches as much.
        walk: as ``search_by_effort`` will be told.
    """
    facts: dict[str, float] = {}
    for name, cosine in _COSINES.items():  # far ones first: near ones are searched with their effort, too
        questions = probes(vectors, cosine)
        truth = nearest(lambda positions: vectors[positions], questions, K, np.arange(len(vectors)))
        for effort in ladder:
            tried = {"near_effort": effort, "near_widen": widest, "far_effort": effort, "far_widen": widest, **facts}
            found = search_by_effort(search, questions, K, tried, 1.0, walk=walk)
            recall = recall_of(found, truth)
            if recall >= TARGET:
                break
        widen = 1
        while widen < widest and recall_of(found[:, : K * widen], truth) < min(recall, TARGET):
            widen *= 2
        recall = recall_of(found[:, : K * widen], truth)
        facts |= {f"{name}_effort": effort, f"{name}_widen": widen, f"{name}_recall": round(recall, 4)}
    return facts


def search_by_effort(
    search: Search, queries: Vectors, k: int, facts: Facts, share: float, *, walk: bool = False
) -> Positions:
    """Search with the near effort, and again with the far one for queries whose best neighbour turns out to be far.

    Args:
        share: part of the vectors that a filter allows: effort grows as it falls, for the rest is searched in vain.
        walk: whether the search may have lost its way. Before the far effort comes the one half-way then, which finds
            what was missed for a fraction.
    """
    near, far = (facts.get("near_widen", 1), facts["near_effort"]), (facts.get("far_widen", 1), facts["far_effort"])
    scores, found = search(queries, int(k * near[0]), int(near[1] / share))
    best = scores[:, 0]
    steps = [] if min(best.tolist()) >= _FAR else _harder(near, far, walk)
    for widen, effort in steps:
        again = np.flatnonzero(best < _FAR)
        if not len(again):
            break
        scores, better = search(np.ascontiguousarray(queries[again]), int(k * widen), int(effort / share))
        if better.shape[1] > found.shape[1]:
            found = np.pad(found, ((0, 0), (0, better.shape[1] - found.shape[1])), constant_values=-1)
        found[again, better.shape[1] :] = -1
        found[again, : better.shape[1]] = better
        best[again] = scores[:, 0]
    return found


def _harder(near: tuple[float, float], far: tuple[float, float], walk: bool) -> list[tuple[float, float]]:
    """What follows a near search in vain, as widths and efforts."""
    if far[0] <= near[0] and far[1] <= near[1]:
        return []
    half_way = (near[0], (near[1] * far[1]) ** 0.5)
    return [half_way, far] if walk and far[1] >= _APART * near[1] else [far]


def recall_of(found: Positions, truth: Positions) -> float:
    """Mean share of the ``K`` nearest that were found; where ties make the truth longer, any ``K`` of it will do."""
    hits = [
        min(K, len(np.intersect1d(some[some >= 0], best[best >= 0]))) for some, best in zip(found, truth, strict=True)
    ]
    return float(np.mean(hits)) / min(K, int((truth >= 0).sum(axis=1).min()))
