"""A navigable small-world graph (Malkov & Yashunin 2018): the quickest search, and the most memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.indexing.backends.effort import choose_effort
from rag.indexing.backends.faiss_files import INDEX, masked, read_faiss, stored_vectors, write_faiss
from rag.indexing.backends.protocol import Allowed, Facts, Positions, Vectors
from rag.settings import VectorSettings

M = 32  # links of a node; twice as many on the ground level
_CONSTRUCTION = 100
_LADDER = (32, 64, 128, 256, 512, 1024)


class HnswIndex:
    """FAISS IndexHNSWFlat over float32 vectors; ``effort`` is efSearch."""

    exact: ClassVar[bool] = False

    def __init__(self, index: Any, effort: int) -> None:
        import faiss

        self._index = index
        self._effort = effort
        self._vectors = stored_vectors(faiss.downcast_index(index.storage))

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        import faiss

        index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _CONSTRUCTION
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))

        def search(queries: Vectors, k: int, effort: int) -> Positions:
            found: Positions = index.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=effort))[1]
            return found

        write_faiss(index, directory / INDEX)
        return choose_effort(vectors, search, _LADDER)

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> HnswIndex:
        import faiss

        return cls(read_faiss(directory / INDEX, faiss.IndexHNSWFlat, n, dim), int(facts["effort"]))

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        import faiss

        n = self._index.ntotal
        # The graph is walked through masked nodes, too, so of those it sees only a share may be returned.
        share = 1.0 if allowed is None else allowed.share
        parameters = faiss.SearchParametersHNSW(efSearch=min(n, int(max(self._effort, 2 * k) / share)))
        selector = masked(parameters, allowed, few=False)
        found: Positions = self._index.search(queries, k, params=parameters)[1]
        del selector  # FAISS reads it until here
        return found

    def take(self, positions: Positions) -> Vectors:
        return self._vectors[positions]

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return
