"""How well images and texts find each other: ranks, recall, and its interval by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.encoders.protocols import Vectors

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class PairRanks:
    """0-based rank of the first right answer, for each image among the texts and each text among the images."""

    image_to_text: npt.NDArray[np.int64]
    text_to_image: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]

    @property
    def mean_recall(self) -> float:
        """R@1, R@5 and R@10 of both directions, averaged: what early stopping watches.

        A text that many share is one question here: otherwise a single rank would move the recall by all of them.
        """
        _, distinct = np.unique(self.keys, return_index=True)
        both = (self.image_to_text, self.text_to_image[distinct])
        return float(np.mean([recall(ranks, k) for ranks in both for k in (1, 5, 10)]))


def rank_pairs(images: Vectors, texts: Vectors, keys: npt.NDArray[np.int64]) -> PairRanks:
    """Ranks of ``n`` pairs among each other. Both vector sets are (n, dim) unit vectors; pairs of one key are right
    answers to each other (the same case, or the same text). Ties count against the model."""
    scores = images @ texts.T
    right = keys[:, None] == keys[None, :]
    return PairRanks(_first(scores, right), _first(scores.T, right.T), keys)


def _first(scores: Vectors, right: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    best = np.where(right, scores, -np.inf).max(axis=1)
    ahead = (scores >= best[:, None] - 1e-6) & ~right
    return np.asarray(ahead.sum(axis=1), dtype=np.int64)


def recall(ranks: npt.NDArray[np.int64], k: int) -> float:
    """Share of the queries with a right answer among the first ``k``; NaN of none."""
    return float((ranks < k).mean()) if len(ranks) else float("nan")


def interval(ranks: npt.NDArray[np.int64], k: int, groups: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """95% percentile bootstrap interval of :func:`recall`, drawing groups, since queries of one patient are alike."""
    _, of = np.unique(np.asarray(groups), return_inverse=True)
    hits = np.bincount(of, weights=ranks < k)
    sizes = np.bincount(of)
    draws = np.random.default_rng(seed).integers(0, len(sizes), (_RESAMPLES, len(sizes)))
    low, high = np.percentile(hits[draws].sum(axis=1) / sizes[draws].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)
