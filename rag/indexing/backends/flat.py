"""Every vector compared with every query: exact, and quick enough for tens of thousands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.indexing.backends.exact import NOISE, ragged
from rag.indexing.backends.faiss_files import INDEX, read_faiss, search_parameters, stored_vectors, write_faiss
from rag.indexing.backends.protocol import Allowed, Cost, Facts, Positions, Stored, Vectors
from rag.indexing.segments import SegmentGoneError
from rag.settings import VectorSettings

# Where a mask allows at least this share, all is compared and what is not allowed falls out afterwards: skipping one
# vector in ten takes half as long again as comparing it, and FAISS multiplies matrices for a batch without a mask only.
_MOST = 0.8
_SPARE = 8  # asked for besides


class FlatIndex:
    """FAISS IndexFlatIP. Its float32 vectors serve search and scoring from one copy on disk."""

    exact: ClassVar[bool] = True
    smallest: ClassVar[int] = 0

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return Cost(4 * dim, 4 * dim)

    def __init__(self, index: Any) -> None:
        self._index = index
        self._vectors = stored_vectors(index)

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        write_faiss(index, directory / INDEX)
        return {}

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> FlatIndex:
        import faiss

        return cls(read_faiss(directory / INDEX, faiss.IndexFlat, n, dim))

    @classmethod
    def open_held(cls, directory: Path, held: int, n: int, dim: int) -> FlatIndex:
        """As :meth:`open`, and from the file that :func:`~rag.indexing.backends.faiss_files.hold` holds where the
        directory is gone."""
        import faiss

        try:
            return cls(read_faiss(directory / INDEX, faiss.IndexFlat, n, dim))
        except SegmentGoneError:
            return cls(read_faiss(Path(f"/dev/fd/{held}"), faiss.IndexFlat, n, dim))

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        count = self._index.ntotal if allowed is None else allowed.count
        scores, found = self._best(queries, min(k + 1, count), allowed)
        if found.shape[1] > k:
            # Equal vectors may straddle the cut (identical texts do): propose all of them and let the row decide.
            tied = np.flatnonzero(scores[:, k] >= scores[:, k - 1] - NOISE)
            if len(tied):
                how, selector = self._how(1, allowed)
                rows = list(found)
                for number in tied:
                    threshold = float(scores[number, k - 1]) - NOISE
                    _, _, rows[number] = self._index.range_search(queries[number, None], threshold, params=how)
                found = ragged(rows)
                del selector  # FAISS reads it until here
        return found

    def _best(self, queries: Vectors, k: int, allowed: Allowed | None) -> tuple[Vectors, Positions]:
        """The ``k`` best allowed positions of each query with their scores, best first; so many must be allowed."""
        if allowed is None or allowed.share < _MOST:
            return self._search(queries, k, allowed)
        asked = min(self._index.ntotal, math.ceil(2 * k / allowed.share) + _SPARE)
        scores, found = self._search(queries, asked, None)
        there = allowed.mask[found]
        order, lines = np.argsort(~there, axis=1, kind="stable")[:, :k], np.arange(len(found))[:, None]
        scores, found = scores[lines, order], found[lines, order]
        short = np.flatnonzero(there.sum(axis=1) < k)
        if len(short):
            scores[short], found[short] = self._search(queries[short], k, allowed)
        return scores, found

    def _search(self, queries: Vectors, k: int, allowed: Allowed | None) -> tuple[Vectors, Positions]:
        how, selector = self._how(len(queries), allowed)
        found: tuple[Vectors, Positions] = self._index.search(queries, k, params=how)
        del selector  # FAISS reads it until here
        return found

    @staticmethod
    def _how(queries: int, allowed: Allowed | None) -> tuple[Any, Any]:
        import faiss

        return search_parameters(faiss.SearchParameters, allowed, few=queries < 20)

    def take(self, positions: Positions) -> Stored:
        return self._vectors[positions]

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return
