"""Recall against brute force, measured per direction: what an approximate index really finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rag.indexing.backends.effort import K
from rag.indexing.snapshot import Snapshot

_STEP = 32  # queries at a time: brute force reads every vector for each


@dataclass(frozen=True)
class IndexRecall:
    """Mean share of the 10 nearest that a search finds when asked with vectors of one space in another.

    ``backends`` counts the searched vectors by backend. A direction such as image→text exists where two spaces hold
    vectors of one encoder.
    """

    asked: str
    searched: str
    queries: int
    recall: float
    backends: dict[str, int]


def measure_recall(snapshot: Snapshot, queries: int = 200) -> list[IndexRecall]:
    """Recall@10 of every direction, asked with stored vectors chosen at random (always the same ones).

    Within one space the vector asked with finds itself, so one neighbour more is asked for and it is not counted.
    """
    spaces = snapshot.spaces()
    return [
        _measure(snapshot, asked, searched, queries)
        for asked in spaces
        for searched in spaces
        if spaces[asked].fingerprint == spaces[searched].fingerprint
    ]


def _measure(snapshot: Snapshot, asked: str, searched: str, queries: int) -> IndexRecall:
    rows = snapshot.rows(asked)
    chosen = np.random.default_rng(0).permutation(rows)[:queries].tolist()
    k = K + (asked == searched)
    shares = []
    for start in range(0, len(chosen), _STEP):
        some = chosen[start : start + _STEP]
        vectors = snapshot.vectors(asked, some)
        found, truth = (snapshot.search(searched, vectors, k, exact=exact) for exact in (False, True))
        for row, hits, best in zip(some, found, truth, strict=True):
            wanted = {hit.row for hit in best} - {row}
            if wanted:
                shares.append(len(wanted & {hit.row for hit in hits}) / len(wanted))
    recall = float(np.mean(shares)) if shares else 1.0
    return IndexRecall(asked, searched, len(chosen), recall, snapshot.backends(searched))
