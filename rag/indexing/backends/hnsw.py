"""A navigable small-world graph (Malkov & Yashunin 2018): the quickest search, and the most memory.

The graph is walked over vectors in bfloat16, half the memory traffic of float32 and as many neighbours found; what it
finds is scored from vectors in float16, which are eight times as fine. In the file, linked nodes lie side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from rag.indexing.backends.effort import K, Search, choose_efforts, search_by_effort
from rag.indexing.backends.exact import Take
from rag.indexing.backends.faiss_files import INDEX, read_faiss, search_parameters, stored_vectors, write_faiss
from rag.indexing.backends.halves import Halves
from rag.indexing.backends.protocol import SMALLEST_SEGMENT, Allowed, Cost, Facts, Positions, Vectors
from rag.settings import VectorSettings

# Half the links of a node on the ground level. With 32, graphs of the same 100,000 vectors differ more: to find 0.98 of
# their probes' neighbours in one walk, they ask for efforts of 28 to 64; with 48, for 28 to 32.
M = 48
_UPPER = 16  # links on the levels above: with 48, a walk compares a tenth more vectors and finds no more
# Neighbours weighed for each link. Many small clusters far apart are poorly linked by the first (recall 0.87 at the
# greatest effort, 60,000 vectors of 10,000 clusters); the second mends that (0.98) and takes four times as long.
_CONSTRUCTIONS = (100, 400)
_POOR = 0.95
_LADDER = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024)
_TIES = 16  # links of a node that decide where it lies


class HnswIndex:
    """A FAISS HNSW index; effort is efSearch."""

    exact: ClassVar[bool] = False
    smallest: ClassVar[int] = SMALLEST_SEGMENT

    @classmethod
    def cost(cls, dim: int) -> Cost:
        size = (2 + 2) * dim + 8 * M + 32  # vectors to walk by, vectors to score by, links, levels and ids twice
        return Cost(size, size)

    def __init__(self, graph: Any, take: Take, facts: Facts, wrapped: Any = None) -> None:
        """``wrapped`` is the IndexIDMap around a graph whose nodes do not lie in the order of their positions.

        It holds their positions, which we look up: it would wake all of FAISS's threads to look up ten.
        """
        self._graph = graph
        self.take = take
        self._facts = facts
        self._wrapped = wrapped  # owns the graph
        self._positions: Positions | None = None
        self._masks: WeakKeyDictionary[Allowed, Allowed] = WeakKeyDictionary()
        if wrapped is not None:
            import faiss

            self._positions = np.append(faiss.vector_to_array(wrapped.id_map), -1)  # node -1 is none, and the last one

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        import faiss

        for construction in _CONSTRUCTIONS:
            graph = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_bf16, M, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = construction
            for level in range(1, graph.hnsw.cum_nneighbor_per_level.size() - 1):
                graph.hnsw.set_nb_neighbors(level, _UPPER)
            index = faiss.IndexIDMap(graph)
            index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), np.arange(len(vectors)))
            facts = choose_efforts(vectors, cls(graph, vectors.__getitem__, {})._search(None), _LADDER, walk=True)
            if min(facts["near_recall"], facts["far_recall"]) >= _POOR:
                break
        order = _order(graph)
        graph.permute_entries(order)
        faiss.copy_array_to_vector(order, index.id_map)
        write_faiss(index, directory / INDEX)
        Halves.write(directory, vectors)
        return {**facts, "construction": construction}

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> HnswIndex:
        import faiss

        # Of earlier versions the file is the graph itself: its nodes lie in the order of their positions.
        index = read_faiss(directory / INDEX, (faiss.IndexIDMap, faiss.IndexHNSW), n, dim)
        if isinstance(index, faiss.IndexHNSWFlat):  # and of the earliest one float32 copy serves both ends
            return cls(index, stored_vectors(faiss.downcast_index(index.storage)).__getitem__, facts)
        take = Halves(directory, n, dim, bounded=False).take
        if isinstance(index, faiss.IndexHNSW):
            return cls(index, take, facts)
        return cls(faiss.downcast_index(index.index), take, facts, index)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        # The graph is walked through masked nodes, too, so of those it sees only a share may be returned.
        share = 1.0 if allowed is None else allowed.share
        return search_by_effort(self._search(allowed), queries, k, self._facts, share, walk=True)

    def _search(self, allowed: Allowed | None) -> Search:
        import faiss

        mask = None if allowed is None else self._in_order(allowed)

        def search(queries: Vectors, k: int, effort: int) -> tuple[Vectors, Positions]:
            effort = min(self._graph.ntotal, effort if k <= K else max(effort, 2 * k))
            how, selector = search_parameters(faiss.SearchParametersHNSW, mask, efSearch=effort)
            scores, nodes = self._graph.search(queries, k, params=how)
            del selector  # FAISS reads it until here
            return scores, nodes if self._positions is None else self._positions.take(nodes)

        return search

    def _in_order(self, allowed: Allowed) -> Allowed:
        """The mask in the order of the nodes. It is asked at each step of a walk, so it is made once and kept."""
        if self._positions is None:
            return allowed
        mask = self._masks.get(allowed)
        if mask is None:
            mask = self._masks[allowed] = Allowed.of(allowed.mask[self._positions[:-1]])
        return mask

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return


def _order(graph: Any) -> Positions:
    """The nodes in an order that puts linked ones near each other in memory, which a walk then reads faster.

    Reverse Cuthill-McKee (1969; for graphs of neighbours see Coleman et al. 2022).
    """
    import faiss
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    starts = faiss.vector_to_array(graph.hnsw.offsets)[:-1].astype(np.int64)
    links = faiss.vector_to_array(graph.hnsw.neighbors)[starts[:, None] + np.arange(_TIES)]
    there = links >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    table = csr_array((np.ones(ends[-1], np.int8), links[there], ends), shape=(len(links), len(links)))
    return np.ascontiguousarray(reverse_cuthill_mckee(table), dtype=np.int64)
