"""How hard an approximate index must search: found by measurement when it is built, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rag.indexing.backends.exact import nearest
from rag.indexing.backends.protocol import Facts, Positions, Vectors

K = 10
TARGET = 0.98
_PROBES = 200
# Questions lie off the passages' own manifold, those of another modality far off: a probe is a stored vector turned
# away until its cosine with it is one of these. Text meets text at about the first, image meets text at the second.
_COSINES = {"near": 0.75, "far": 0.3}
_FAR = 0.5
Search = Callable[[Vectors, int, int], tuple[Vectors, Positions]]
"""Queries, k and effort to scores and positions, best first."""


def probes(vectors: Vectors, cosine: float) -> Vectors:
    """(200, dim) unit vectors at this cosine from stored ones, the same for the same vectors."""
    dice = np.random.default_rng(0)
    chosen = vectors[dice.integers(0, len(vectors), _PROBES)]
    away = dice.standard_normal(chosen.shape).astype(np.float32)
    away -= (away * chosen).sum(axis=1, keepdims=True) * chosen
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    turned: Vectors = cosine * chosen + np.sqrt(1 - cosine**2, dtype=np.float32) * away
    return np.ascontiguousarray(turned, dtype=np.float32)


def choose_efforts(vectors: Vectors, search: Search, ladder: Sequence[int], widest: int = 1) -> Facts:
    """The least efforts of ``ladder`` whose recall@10 reaches 0.98 on near and on far probes, or the greatest.

    Args:
        vectors: (n, dim), n >= 10.
        widest: how many candidates a neighbour may have. With the effort found, the least that reaches as much.
    """
    facts: dict[str, float] = {}
    for name, cosine in _COSINES.items():
        questions = probes(vectors, cosine)
        truth = nearest(lambda positions: vectors[positions], questions, K, np.arange(len(vectors)))
        for effort in ladder:
            found = search(questions, K * widest, effort)[1]
            recall = recall_of(found, truth)
            if recall >= TARGET:
                break
        widen = 1
        while widen < widest and recall_of(found[:, : K * widen], truth) < min(recall, TARGET):
            widen *= 2
        recall = recall_of(found[:, : K * widen], truth)
        facts |= {f"{name}_effort": effort, f"{name}_widen": widen, f"{name}_recall": round(recall, 4)}
    return facts


def search_by_effort(search: Search, queries: Vectors, k: int, facts: Facts, share: float) -> Positions:
    """Search with the near effort, and again with the far one for queries whose best neighbour turns out to be far.

    Args:
        share: part of the vectors that a filter allows: effort grows as it falls, for the rest is searched in vain.
    """
    near, far = (facts.get("near_widen", 1), facts["near_effort"]), (facts.get("far_widen", 1), facts["far_effort"])
    scores, found = search(queries, int(k * near[0]), int(near[1] / share))
    if min(scores[:, 0].tolist()) < _FAR and (far[0] > near[0] or far[1] > near[1]):
        again = np.flatnonzero(scores[:, 0] < _FAR)
        better = search(np.ascontiguousarray(queries[again]), int(k * far[0]), int(far[1] / share))[1]
        if better.shape[1] > found.shape[1]:
            found = np.pad(found, ((0, 0), (0, better.shape[1] - found.shape[1])), constant_values=-1)
        found[again, better.shape[1] :] = -1
        found[again, : better.shape[1]] = better
    return found


def recall_of(found: Positions, truth: Positions) -> float:
    """Mean share of the ``K`` nearest that were found; where ties make the truth longer, any ``K`` of it will do."""
    hits = [
        min(K, len(np.intersect1d(some[some >= 0], best[best >= 0]))) for some, best in zip(found, truth, strict=True)
    ]
    return float(np.mean(hits)) / min(K, int((truth >= 0).sum(axis=1).min()))
