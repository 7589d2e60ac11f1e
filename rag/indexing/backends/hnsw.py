"""A navigable small-world graph (Malkov & Yashunin 2018): the quickest search, and the most memory.

The graph is walked over vectors in bfloat16, half the memory traffic of float32 and as many neighbours found; what it
finds is scored from vectors in float16, which are eight times as fine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.indexing.backends.effort import Search, choose_efforts, search_by_effort
from rag.indexing.backends.exact import Take
from rag.indexing.backends.faiss_files import INDEX, parameters, read_faiss, stored_vectors, write_faiss
from rag.indexing.backends.halves import Halves
from rag.indexing.backends.protocol import Allowed, Facts, Positions, Vectors
from rag.settings import VectorSettings

M = 32  # links of a node; twice as many on the ground level
# Neighbours weighed for each link. Many small clusters far apart are poorly linked by the first (recall 0.83 at the
# greatest effort, 60,000 vectors of 10,000 clusters); the second mends that (0.98) and takes four times as long.
_CONSTRUCTIONS = (100, 400)
_POOR = 0.95
_LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class HnswIndex:
    """A FAISS HNSW index; effort is efSearch."""

    exact: ClassVar[bool] = False

    def __init__(self, index: Any, take: Take, facts: Facts) -> None:
        self._index = index
        self.take = take
        self._facts = facts

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        import faiss

        for construction in _CONSTRUCTIONS:
            index = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_bf16, M, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = construction
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
            facts = choose_efforts(vectors, cls(index, vectors.__getitem__, {})._search(None), _LADDER)
            if min(facts["near_recall"], facts["far_recall"]) >= _POOR:
                break
        write_faiss(index, directory / INDEX)
        Halves.write(directory, vectors)
        return {**facts, "construction": construction}

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> HnswIndex:
        import faiss

        index = read_faiss(directory / INDEX, faiss.IndexHNSW, n, dim)
        if isinstance(index, faiss.IndexHNSWFlat):  # of earlier versions: one float32 copy serves both ends
            return cls(index, stored_vectors(faiss.downcast_index(index.storage)).__getitem__, facts)
        return cls(index, Halves(directory, n, dim, bounded=False).take, facts)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        # The graph is walked through masked nodes, too, so of those it sees only a share may be returned.
        share = 1.0 if allowed is None else allowed.share
        return search_by_effort(self._search(allowed), queries, k, self._facts, share)

    def _search(self, allowed: Allowed | None) -> Search:
        import faiss

        def search(queries: Vectors, k: int, effort: int) -> tuple[Vectors, Positions]:
            effort = min(self._index.ntotal, max(effort, 2 * k))
            how, selector = parameters(faiss.SearchParametersHNSW, allowed, efSearch=effort)
            found: tuple[Vectors, Positions] = self._index.search(queries, k, params=how)
            del selector  # FAISS reads it until here
            return found

        return search

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return
