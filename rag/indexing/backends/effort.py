"""How hard an approximate index must search: found by measurement when it is built, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from rag.indexing.backends.exact import nearest
from rag.indexing.backends.protocol import Facts, Positions, Vectors

K = 10
TARGET = 0.98
_PROBES = 200
# Questions lie off the passages' own manifold: a probe is a stored vector turned away until its cosine with it is this.
_COSINE = 0.75


def probes(vectors: Vectors) -> Vectors:
    """(200, dim) unit vectors near stored ones, the same for the same vectors."""
    dice = np.random.default_rng(0)
    chosen = vectors[dice.integers(0, len(vectors), _PROBES)]
    away = dice.standard_normal(chosen.shape).astype(np.float32)
    away -= (away * chosen).sum(axis=1, keepdims=True) * chosen
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    turned: Vectors = _COSINE * chosen + np.sqrt(1 - _COSINE**2, dtype=np.float32) * away
    return np.ascontiguousarray(turned, dtype=np.float32)


def choose_effort(vectors: Vectors, search: Callable[[Vectors, int, int], Positions], ladder: Iterable[int]) -> Facts:
    """The least effort of ``ladder`` whose recall@10 on probes reaches 0.98 (or the greatest), and that recall.

    Args:
        vectors: (n, dim), n >= 10.
        search: queries, k and effort to (q, c) positions.
    """
    queries = probes(vectors)
    truth = nearest(lambda positions: vectors[positions], queries, K, np.arange(len(vectors)))
    effort, recall = 0, 0.0
    for effort in ladder:
        recall = recall_of(search(queries, K, effort), truth)
        if recall >= TARGET:
            break
    return {"effort": effort, "recall": recall}


def recall_of(found: Positions, truth: Positions) -> float:
    """Mean share of the ``K`` nearest that were found; where ties make the truth longer, any ``K`` of it will do."""
    hits = [
        min(K, len(np.intersect1d(some[some >= 0], best[best >= 0]))) for some, best in zip(found, truth, strict=True)
    ]
    return float(np.mean(hits)) / min(K, int((truth >= 0).sum(axis=1).min()))
