"""Vector segments: the embeddings of one space in a FAISS index, memory-mapped.

``index.faiss`` is a flat index, whose float32 vectors serve both search and exact scoring from one copy on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexStateError, InputError, StorageError
from rag.indexing.segments import Rows, Segment, SegmentGoneError, SegmentInfo, damaged, write_segment

Vectors = NDArray[np.float32]

MAX_DIM = 65_536
_FILE = "index.faiss"
# Two float32 evaluations of one inner product of unit vectors differ by less than this.
_NOISE = 2e-6
_SEGMENT_BYTES = 1 << 29
_BLOCK = 65_536  # vectors checked at a time


def rows_per_segment(dim: int) -> int:
    """How many vectors one segment holds at most: what is in memory at once while it is written."""
    return max(1, _SEGMENT_BYTES // (4 * dim))


def write_vectors(root: Path, space: str, fingerprint: str, rows: Rows, vectors: Vectors) -> SegmentInfo:
    """Write a vector segment: (n,) ascending rows and their (n, dim) L2-normalised vectors."""
    import faiss

    def fill(directory: Path) -> None:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        try:
            faiss.write_index(index, str(directory / _FILE))
        except RuntimeError as error:  # FAISS reports a short write like this
            raise StorageError(
                f"cannot write {directory / _FILE}: disk full or file too large; the index is as it was, "
                "free space and run the command again"
            ) from error

    return write_segment(root, "vectors", space, fingerprint, int(vectors.shape[1]), rows, fill)


class VectorSegment(Segment):
    """An open vector segment."""

    def __init__(self, root: Path, info: SegmentInfo) -> None:
        super().__init__(root, info)
        self._index = self._load_index()
        self.vectors: Vectors = self._map_vectors()

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None) -> list[tuple[Rows, Vectors]]:
        """The ``k`` best allowed rows for each query, best first, ties by row.

        Args:
            queries: (q, dim) float32, C-contiguous.
            allowed: (n,) mask over this segment's vectors, or None for all; masked vectors are skipped before any
                distance is computed.

        Returns:
            Per query, rows and float32 inner products of equal length min(k, allowed). Scores are evaluated in
            float64 and rounded, so they do not depend on batch size or on how vectors are spread over segments.
        """
        count = len(self.rows) if allowed is None else int(allowed.sum())
        wanted = min(k, count)
        if wanted == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        parameters, kept = self._parameters(allowed, few=len(queries) < 20)
        scores, found = self._index.search(queries, min(wanted + 1, count), params=parameters)
        results = []
        for number, query in enumerate(queries):
            positions = found[number]
            if len(positions) > wanted and scores[number, wanted] >= scores[number, wanted - 1] - _NOISE:
                # Equal vectors straddle the cut (identical texts do): take all of them and let the row decide.
                threshold = float(scores[number, wanted - 1]) - _NOISE
                _, _, positions = self._index.range_search(query[None], threshold, params=parameters)
            exact = self.score(query, positions)
            order = np.lexsort((positions, -exact))[:wanted]
            results.append((self.rows[positions[order]], exact[order]))
        del kept  # FAISS reads it until here
        return results

    def score(self, query: Vectors, positions: NDArray[np.int64]) -> Vectors:
        """Inner products of one query with the vectors at ``positions``: float64 sums, rounded to float32."""
        products = self.vectors[positions].astype(np.float64) * query.astype(np.float64)
        scores: Vectors = products.sum(axis=1).astype(np.float32)
        return scores

    def belongs_to(self, space: str, fingerprint: str) -> bool:
        """Whether the vectors are of this space and this encoder."""
        return (self.info.space, self.info.fingerprint) == (space, fingerprint)

    def faults(self) -> list[str]:
        found = super().faults()
        for start in range(0, self.info.n, _BLOCK):
            norms = np.linalg.norm(self.vectors[start : start + _BLOCK], axis=1)
            if not (np.abs(norms - 1) < 1e-3).all():
                return [*found, damaged(self.path / _FILE, "it holds vectors that are not of unit length")]
        return found

    def _parameters(self, allowed: NDArray[np.bool_] | None, few: bool) -> tuple[Any, tuple[Any, ...]]:
        """FAISS search parameters for a mask, and what must stay referenced while they are used."""
        import faiss

        if allowed is None and not few:
            return None, ()
        parameters = faiss.SearchParameters()
        if allowed is None:
            # Given any selector, FAISS scans for a few queries without waking its threads: 5 times faster for one.
            parameters.sel = faiss.IDSelectorAll()
            return parameters, (parameters.sel,)
        bits = np.packbits(allowed, bitorder="little")
        parameters.sel = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        return parameters, (parameters.sel, bits)

    def _load_index(self) -> Any:
        import faiss

        path = self.path / _FILE
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            if not path.exists():
                raise SegmentGoneError(path) from error
            raise IndexStateError(damaged(path, "FAISS cannot read it")) from error
        if not isinstance(index, faiss.IndexFlat) or (index.ntotal, index.d) != (self.info.n, self.info.dim):
            raise IndexStateError(damaged(path, "it is not the FAISS index that was published"))
        return index

    def _map_vectors(self) -> Vectors:
        import faiss

        flat = faiss.rev_swig_ptr(self._index.get_xb(), self.info.n * self.info.dim)
        vectors: Vectors = flat.reshape(self.info.n, self.info.dim)
        vectors.flags.writeable = False
        return vectors


def merge_vectors(parts: Sequence[VectorSegment], dead: Rows) -> tuple[Rows, Vectors]:
    """The rows and vectors of several segments in row order, without the rows in ``dead``."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    order = order[~np.isin(rows[order], dead)]
    return rows[order], np.concatenate([part.vectors for part in parts])[order]


def check_vectors(space: str, ids: int, vectors: NDArray[Any]) -> Vectors:
    """``vectors`` as (n, dim) float32 if they are finite and L2-normalised; InputError otherwise."""
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != ids or not 0 < array.shape[1] <= MAX_DIM:
        raise InputError(f"space {space!r}: {ids} passage ids came with vectors of shape {array.shape}")
    if len(array):
        norms = np.linalg.norm(array, axis=1)
        if not np.isfinite(norms).all() or np.abs(norms - 1).max() > 1e-3:
            raise InputError(f"space {space!r}: vectors must be finite and L2-normalised; do so in the encoder")
    return array
