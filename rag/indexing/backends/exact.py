"""Exact nearest neighbours by brute force: small selections, fall-back, and the oracle that recall is measured with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rag.indexing.backends.protocol import Positions, Stored, Vectors

# Two float32 evaluations of one inner product of unit vectors differ by less than this.
NOISE = 2e-6
_NUMBERS = 1 << 15  # numbers multiplied at a time: they stay in the processor's cache, and their memory is reused
_BLOCK = 16_384  # vectors read at a time
_SCORES = 1 << 25  # float32 scores kept at a time

Take = Callable[[Positions], Stored]


def score(take: Take, queries: Vectors, found: Positions, precision: type[np.floating[Any]] = np.float64) -> Vectors:
    """Inner products of each query and its row of positions, summed in ``precision``; -inf for position -1.

    In float64 and rounded to float32, one pair's score does not depend on the others: it is the same in any batch and
    any segment.
    """
    pairs = max(1, _NUMBERS // queries.shape[1])
    if found.size <= pairs:
        return _score(take, queries, found, precision)
    scores = np.empty(found.shape, np.float32)
    step = max(1, pairs // found.shape[1])
    for start in range(0, len(found), step):
        asked = queries[start : start + step]
        for left in range(0, found.shape[1], pairs):  # ties may make a row as long as the segment
            part = slice(start, start + step), slice(left, left + pairs)
            scores[part] = _score(take, asked, found[part], precision)
    return scores


def _score(take: Take, queries: Vectors, found: Positions, precision: type[np.floating[Any]]) -> Vectors:
    vectors = take(found).astype(precision, copy=False)
    sums = np.einsum("qcd,qd->qc", vectors, queries.astype(precision, copy=False))
    scores: Vectors = sums.astype(np.float32, copy=False)
    if found.size and found.min() < 0:
        scores[found < 0] = -np.inf
    return scores


def shortlist(take: Take, queries: Vectors, found: Positions, k: int) -> Positions:
    """Of each query's row of positions those that may be among its ``k`` best, ties included, by cheap sums."""
    if found.shape[1] <= k:
        return found
    scores = score(take, queries, found, np.float32)
    order, lines = np.argsort(-scores, axis=1, kind="stable"), np.arange(len(found))[:, None]
    least = scores[lines, order[:, k - 1 : k]] - NOISE
    return found[lines, order[:, : (scores >= least).sum(axis=1).max()]]


def nearest(take: Take, queries: Vectors, k: int, positions: Positions) -> Positions:
    """For each query a (q, c) superset of its ``k`` best among ``positions``, ties included, padded with -1."""
    step = max(1, _SCORES // max(1, len(positions)))
    parts = [_nearest(take, queries[start : start + step], k, positions) for start in range(0, len(queries), step)]
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts])


def _nearest(take: Take, queries: Vectors, k: int, positions: Positions) -> Positions:
    scores = np.empty((len(queries), len(positions)), np.float32)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores[:, part] = queries @ take(positions[part]).astype(np.float32, copy=False).T
    if k >= len(positions):
        return np.broadcast_to(positions, scores.shape)
    distances = -scores
    distances.partition(k - 1, axis=1)  # in place: there may be 2**25 of them
    threshold = -distances[:, k - 1] - NOISE
    kept = scores >= threshold[:, None]
    return ragged([positions[row] for row in kept])


def ragged(rows: list[Positions]) -> Positions:
    """Rows of different lengths as one array, padded with -1."""
    table = np.full((len(rows), max(map(len, rows))), -1, np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table
