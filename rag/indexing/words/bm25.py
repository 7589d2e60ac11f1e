"""BM25 over a version's word segments, with counts taken over that version's passages and no others."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rag.indexing.masks import RowMask
from rag.indexing.records import Scored
from rag.indexing.words.postings import WordSegment
from rag.indexing.words.terms import Tokenizer, terms_of

K1, B = 1.2, 0.75


class WordRanker:
    """Ranks the passages of one version for questions in free text. Safe for many threads."""

    def __init__(self, segments: Sequence[WordSegment], alive: RowMask) -> None:
        self._segments = segments
        self._alive = alive
        self._lock = threading.Lock()

    def search(self, query: str, k: int, where: RowMask) -> list[Scored]:
        """The ``k`` best passages that share a term with ``query``, best first, ties by row.

        A passage scores, summed over the query's distinct terms, idf · tf · (k1 + 1) / (tf + k1 · (1 - b + b · length /
        mean length)) with idf = ln(1 + (N - n + 0.5) / (n + 0.5)): N passages, n of them with the term.
        """
        terms = terms_of(query)
        if not terms or not self._segments:
            return []
        with self._lock:
            (total, norms), tokenizer = self._statistics, self._tokenizer
        scores = [np.zeros(segment.info.n) for segment in self._segments]
        for stem in tokenizer.stems(terms):
            found = [segment.postings(stem) for segment in self._segments]
            n = sum(self._count_alive(*pair) for pair in zip(self._segments, found, strict=True))
            if n == 0:
                continue
            idf = math.log1p((total - n + 0.5) / (n + 0.5))
            for score, norm, postings in zip(scores, norms, found, strict=True):
                places, counts = postings[:, 0], postings[:, 1]
                score[places] += idf * (K1 + 1) * counts / (counts + norm[places])
        best = [self._best(segment, score, k, where) for segment, score in zip(self._segments, scores, strict=True)]
        return sorted((hit for hits in best for hit in hits), key=lambda hit: (-hit.score, hit.row))[:k]

    def shares(self, query: str, texts: Sequence[str]) -> list[tuple[float, bool]]:
        """Which of a query's distinct terms each text has, rare ones weighing more.

        Returns:
            For each text the share of the terms that it has, weighted by their idf among the indexed passages, in
            [0, 1]; and whether it has the rarest of them. A query without terms shares nothing.
        """
        terms = terms_of(query)
        if not terms or not texts or not self._segments:
            return [(0.0, False)] * len(texts)
        with self._lock:
            (total, _), tokenizer = self._statistics, self._tokenizer
        idf = {}
        for stem in tokenizer.stems(terms):
            n = sum(self._count_alive(segment, segment.postings(stem)) for segment in self._segments)
            idf[stem] = math.log1p((total - n + 0.5) / (n + 0.5))
        counted = tokenizer.count(texts)
        has: list[set[bytes]] = [set() for _ in texts]
        for i, term in enumerate(counted.terms):
            if term in idf:
                for place, _ in counted.postings[counted.starts[i] : counted.starts[i + 1]].tolist():
                    has[place].add(term)
        whole, most = sum(idf.values()), max(idf.values())
        return [(sum(idf[t] for t in there) / whole, any(idf[t] == most for t in there)) for there in has]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer()

    @cached_property
    def _statistics(self) -> tuple[int, list[NDArray[np.float64]]]:
        """Number of alive passages, and per segment k1 · (1 - b + b · length / mean length) of each passage."""
        passages = words = 0
        for segment in self._segments:
            alive = self._alive.of(segment)
            lengths = segment.lengths if alive is None else segment.lengths[alive.mask]
            passages += len(lengths)
            words += int(lengths.sum(dtype=np.int64))
        mean = max(words, 1) / max(passages, 1)
        return passages, [K1 * (1 - B + (B / mean) * segment.lengths.astype(np.float64)) for segment in self._segments]

    def _count_alive(self, segment: WordSegment, postings: NDArray[np.uint32]) -> int:
        alive = self._alive.of(segment)
        return len(postings) if alive is None else int(alive.mask[postings[:, 0]].sum())

    @staticmethod
    def _best(segment: WordSegment, scores: NDArray[np.float64], k: int, where: RowMask) -> list[Scored]:
        """The segment's k best and all that tie with the last of them."""
        allowed = where.of(segment)
        if allowed is not None:
            scores[~allowed.mask] = 0
        places = np.flatnonzero(scores)
        if len(places) > k:
            found = scores[places]
            places = places[found >= np.partition(found, len(found) - k)[len(found) - k]]
        rows, values = segment.rows[places].tolist(), scores[places].tolist()
        return [Scored(row, score) for row, score in zip(rows, values, strict=True)]
