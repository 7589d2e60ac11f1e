"""Inverted lists of compressed vectors, with exact scores from half-precision vectors on disk: for little memory.

Scalar quantisation keeps a byte per dimension, product quantisation (Jégou et al. 2011) a byte per eight of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.indexing.backends.effort import Search, choose_efforts, search_by_effort
from rag.indexing.backends.exact import shortlist
from rag.indexing.backends.faiss_files import INDEX, read_faiss, search_parameters, write_faiss
from rag.indexing.backends.halves import RESIDENT, Halves
from rag.indexing.backends.protocol import SMALLEST_SEGMENT, Allowed, Cost, Facts, Positions, Stored, Vectors
from rag.settings import VectorSettings

_POINTS_PER_LIST = 40  # vectors that a list's centre is learned from: FAISS's own least


class IvfIndex:
    """A FAISS IVF index; effort is nprobe, the number of lists searched."""

    exact: ClassVar[bool] = False
    smallest: ClassVar[int] = SMALLEST_SEGMENT
    widest: ClassVar[int]
    """The most candidates per neighbour that is asked for: what the codes blur, exact scores put right."""

    def __init__(self, index: Any, halves: Halves, facts: Facts) -> None:
        self._index = index
        self._halves = halves
        self._facts = {"near_widen": self.widest, "far_widen": self.widest, **facts}

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        import faiss

        lists = max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // _POINTS_PER_LIST))
        quantizer = faiss.IndexFlatIP(vectors.shape[1])
        index = cls._empty(quantizer, vectors.shape[1], lists)
        index.cp.max_points_per_centroid = _POINTS_PER_LIST  # enough for centres, and training stays short
        index.cp.min_points_per_centroid = 1
        index.train(np.ascontiguousarray(vectors, dtype=np.float32))
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))

        ladder = [effort for effort in (2, 4, 8, 16, 32, 64, 128, 256, 512) if effort < lists] + [lists]
        write_faiss(index, directory / INDEX)
        Halves.write(directory, vectors)
        search = cls(index, Halves(directory, *vectors.shape), {})._search(None)
        return choose_efforts(vectors, search, ladder, cls.widest)

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> IvfIndex:
        import faiss

        index = read_faiss(directory / INDEX, faiss.IndexIVF, n, dim)
        return cls(index, Halves(directory, n, dim), facts)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        share = 1.0 if allowed is None else allowed.share
        blurred = self._search(allowed)

        def search(queries: Vectors, wide: int, effort: int) -> tuple[Vectors, Positions]:
            scores, found = blurred(queries, wide, effort)
            return scores, shortlist(self._halves.take, queries, found, k)

        return search_by_effort(search, queries, k, self._facts, share)

    def _search(self, allowed: Allowed | None) -> Search:
        import faiss

        def search(queries: Vectors, k: int, effort: int) -> tuple[Vectors, Positions]:
            how, selector = search_parameters(faiss.SearchParametersIVF, allowed, nprobe=min(self._index.nlist, effort))
            found: tuple[Vectors, Positions] = self._index.search(queries, min(k, self._index.ntotal), params=how)
            del selector  # FAISS reads it until here
            return found

        return search

    def take(self, positions: Positions) -> Stored:
        return self._halves.take(positions)

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        return

    @classmethod
    def _empty(cls, quantizer: Any, dim: int, lists: int) -> Any:
        raise NotImplementedError


class IvfScalarIndex(IvfIndex):
    """Eight bits per dimension."""

    widest: ClassVar[int] = 2

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return _cost(dim, dim)

    @classmethod
    def _empty(cls, quantizer: Any, dim: int, lists: int) -> Any:
        import faiss

        eight = faiss.ScalarQuantizer.QT_8bit
        return faiss.IndexIVFScalarQuantizer(quantizer, dim, lists, eight, faiss.METRIC_INNER_PRODUCT, False)


class IvfProductIndex(IvfIndex):
    """Eight bits per eight dimensions (or the fewest above eight that divide them)."""

    widest: ClassVar[int] = 16

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return _cost(code_bytes(dim), dim)

    @classmethod
    def _empty(cls, quantizer: Any, dim: int, lists: int) -> Any:
        import faiss

        return faiss.IndexIVFPQ(quantizer, dim, lists, code_bytes(dim), 8, faiss.METRIC_INNER_PRODUCT)


def _cost(code: int, dim: int) -> Cost:
    size = code + 8 + dim // 10  # the tenth for the lists' centres
    return Cost(size, size + 2 * dim, RESIDENT)


def code_bytes(dim: int) -> int:
    """Bytes of a product-quantised vector: the most parts of eight dimensions or more that ``dim`` divides into."""
    return next(parts for parts in range(max(1, dim // 8), 0, -1) if dim % parts == 0)
