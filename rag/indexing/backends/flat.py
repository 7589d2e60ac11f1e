"""Every vector compared with every query: exact, and quick enough for tens of thousands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.indexing.backends.exact import NOISE, ragged
from rag.indexing.backends.faiss_files import INDEX, parameters, read_faiss, stored_vectors, write_faiss
from rag.indexing.backends.protocol import Allowed, Facts, Positions, Stored, Vectors
from rag.settings import VectorSettings


class FlatIndex:
    """FAISS IndexFlatIP. Its float32 vectors serve search and scoring from one copy on disk."""

    exact: ClassVar[bool] = True

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

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        import faiss

        how, selector = parameters(faiss.SearchParameters, allowed, few=len(queries) < 20)
        count = self._index.ntotal if allowed is None else allowed.count
        scores, found = self._index.search(queries, min(k + 1, count), params=how)
        if found.shape[1] > k:
            # Equal vectors may straddle the cut (identical texts do): propose all of them and let the row decide.
            tied = np.flatnonzero(scores[:, k] >= scores[:, k - 1] - NOISE)
            if len(tied):
                rows = list(found)
                for number in tied:
                    threshold = float(scores[number, k - 1]) - NOISE
                    _, _, rows[number] = self._index.range_search(queries[number, None], threshold, params=how)
                found = ragged(rows)
        del selector  # FAISS reads it until here
        positions: Positions = found
        return positions

    def take(self, positions: Positions) -> Stored:
        return self._vectors[positions]

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return
