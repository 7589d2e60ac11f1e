"""Vector segments: the embeddings of one space, in whichever backend the plan chose.

``backend.json`` names the backend and holds what it must know to open its files; a segment without one is flat.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexStateError, InputError, StorageError
from rag.indexing.backends.exact import nearest, score
from rag.indexing.backends.faiss_files import hold
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import Allowed, Facts, Positions, VectorIndex, Vectors
from rag.indexing.segments import Rows, Segment, SegmentContent, SegmentInfo, damaged, write_segment
from rag.indexing.storage import discard_directory, sync_file
from rag.plugins import find, is_dotted_path
from rag.settings import VectorSettings

MAX_DIM = 65_536
_BACKEND = "backend.json"
_BLOCK = 65_536  # vectors checked at a time
# Below these an exact scan of what a filter allows beats an approximate index that must look past the rest.
_FEW = 1000
_FEW_SHARE = 0.1
_MANY = 200_000  # vectors; below, handing a segment to another thread costs what it saves


def write_vectors(
    root: Path, space: str, fingerprint: str, rows: Rows, vectors: Vectors, settings: VectorSettings
) -> SegmentInfo:
    """Write a vector segment: (n,) ascending rows and their (n, dim) L2-normalised vectors, n > 0.

    ``settings.backend`` names the backend: where it is to be chosen, the plan has chosen it.

    Raises:
        StorageError: the machine refused; nothing is left behind.
        MissingDependencyError: the backend cannot be had here.
    """

    backend = settings.backend

    def fill(directory: Path) -> None:
        _record(directory, backend, {})  # first, so that whoever finds the directory after a crash knows whom to ask
        facts = find("backend", backend, setting="vectors.backend").write(directory, vectors, settings)
        _record(directory, backend, facts)

    def discard(directory: Path) -> None:
        discard_segment(directory, settings)

    content = SegmentContent("vectors", space, fingerprint, int(vectors.shape[1]))
    return write_segment(root, content, rows, fill, discard)


def discard_segment(directory: Path, settings: VectorSettings) -> None:
    """Remove a segment's directory and what its backend keeps elsewhere.

    Raises:
        StorageError: the other place cannot be reached, or its backend is not installed any more; the directory stays,
            so that it can be tried again.
    """
    try:
        name, _ = backend_of(directory)
    except IndexStateError:
        name = "flat"  # a damaged record names nobody to ask
    try:
        find("backend", name, named_only=name != settings.backend).drop(directory, settings)
    except InputError as error:
        raise StorageError(f"{directory}: what its backend keeps elsewhere cannot be dropped ({error})") from error
    discard_directory(directory)


def backend_of(directory: Path) -> tuple[str, Facts]:
    """The name of a segment's backend, and what was recorded when it was built.

    Raises:
        IndexStateError: the record is damaged.
    """
    path = directory / _BACKEND
    if not path.exists():
        return "flat", {}
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        name = str(facts.pop("backend"))
    except (ValueError, KeyError, AttributeError) as error:
        raise IndexStateError(damaged(path, "it does not name a backend")) from error
    return name, facts


def _backend(name: str, settings: VectorSettings, directory: Path) -> type[VectorIndex]:
    """The backend of a segment. An index may come from a stranger: its dotted path is followed only if set here, too.

    Raises:
        IndexStateError: there is no such backend.
    """
    try:
        found: type[VectorIndex] = find("backend", name, named_only=name != settings.backend)
    except InputError as error:
        what = "if you trust it, set vectors.backend to it" if is_dotted_path(name) else "install it, or upgrade"
        raise IndexStateError(
            f"{directory / _BACKEND} asks for the vector backend {name!r}; {what} ({error})"
        ) from error
    return found


def _record(directory: Path, backend: str, facts: Facts) -> None:
    path = directory / _BACKEND
    path.write_text(json.dumps({"backend": backend, **facts}, sort_keys=True), encoding="utf-8")
    sync_file(path)


class VectorSegment(Segment):
    """An open vector segment."""

    def __init__(self, root: Path, info: SegmentInfo, settings: VectorSettings) -> None:
        super().__init__(root, info)
        self.backend, self.facts = backend_of(self.path)
        backend = _backend(self.backend, settings, self.path)
        self._open: Callable[[], VectorIndex]
        self._open = partial(backend.open, self.path, info.n, info.dim, self.facts, settings)
        self._opening, self._opened = Lock(), None if backend is FlatIndex else self._open()
        if self._opened is None:  # held, so that who has an index open can search it after it was deleted
            held = hold(self.path)
            self._let_go = finalize(self, os.close, held)
            self._open = partial(FlatIndex.open_held, self.path, held, info.n, info.dim)

    @property
    def _index(self) -> VectorIndex:
        """The backend's index. A flat one is its file, checked already, and opened when first asked: a question
        about a study looks at no vector, and FAISS takes longer to load than such a question to answer."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
                self._let_go()
            return self._opened

    @property
    def exact(self) -> bool:
        """Whether the nearest are always found."""
        return self._index.exact

    def search(
        self, queries: Vectors, k: int, allowed: Allowed | None, *, exact: bool = False
    ) -> tuple[NDArray[np.int64], Vectors]:
        """The ``k`` best allowed rows for each query, best first, ties by row.

        Args:
            queries: (q, dim) float32, C-contiguous.
            allowed: the positions that may be found, or None for all; the others are skipped before any
                distance is computed.
            exact: compare every allowed vector, whatever the backend.

        Returns:
            Rows and float32 inner products, both (q, min(k, allowed)). Scores are evaluated in float64 and rounded, so
            they depend neither on batch size nor on how vectors are spread over segments.
        """
        count = len(self.rows) if allowed is None else allowed.count
        wanted = min(k, count)
        if wanted == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        if not self._index.exact and (exact or self._few(count, wanted)):
            found = nearest(self._index.take, queries, wanted, _positions(allowed, self.info.n))
            return self._best(queries, found, wanted)
        found = self._index.candidates(queries, wanted, allowed)
        rows, scores = self._best(queries, found, wanted)
        short = [number for number, last in enumerate(scores[:, -1].tolist()) if last == -np.inf]
        if not short:
            return rows, scores
        rest = nearest(self._index.take, queries[short], wanted, _positions(allowed, self.info.n))
        rows[short], scores[short] = self._best(queries[short], rest, wanted)
        return rows, scores

    def take(self, positions: Positions) -> Vectors:
        """The stored vectors at ``positions``: (len, dim) float32."""
        return self._index.take(positions).astype(np.float32, copy=False)

    def belongs_to(self, space: str, fingerprint: str) -> bool:
        """Whether the vectors are of this space and this encoder."""
        return (self.info.space, self.info.fingerprint) == (space, fingerprint)

    def faults(self) -> list[str]:
        found = super().faults()
        for start in range(0, self.info.n, _BLOCK):
            norms = np.linalg.norm(self.take(np.arange(start, min(start + _BLOCK, self.info.n))), axis=1)
            if not (np.abs(norms - 1) < 2e-3).all():
                return [*found, damaged(self.path, "it holds vectors that are not of unit length")]
        return found

    def _few(self, count: int, wanted: int) -> bool:
        return count <= max(_FEW, 2 * wanted, int(_FEW_SHARE * self.info.n))

    def _best(self, queries: Vectors, found: Positions, wanted: int) -> tuple[NDArray[np.int64], Vectors]:
        """Score what was found, and of each row of it keep the ``wanted`` best, ties by position."""
        scores = score(self._index.take, queries, found)
        best = np.lexsort((found, -scores))[:, :wanted]
        if len(found) > 1:
            best = best + np.arange(0, found.size, found.shape[1])[:, None]
        return self.rows.take(found.take(best)), scores.take(best)


def search_segments(
    parts: Sequence[tuple[VectorSegment, Allowed | None]], queries: Vectors, k: int, *, exact: bool = False
) -> list[tuple[Rows, Vectors]]:
    """What each segment finds for all queries among the positions it is allowed, as ``VectorSegment.search``.

    FAISS spreads a batch over its threads and leaves one query to one of them. So one query is put to the segments of
    a large index side by side, on as many threads as FAISS may use (OMP_NUM_THREADS), for all searches of the process.
    """

    def search(part: tuple[VectorSegment, Allowed | None]) -> tuple[Rows, Vectors]:
        segment, allowed = part
        return segment.search(queries, k, allowed, exact=exact)

    if len(queries) > 1 or len(parts) < 2 or sum(segment.info.n for segment, _ in parts) < _MANY:
        return list(map(search, parts))
    return list(_threads(os.getpid()).map(search, parts))


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Of this process: a fork does not inherit the threads of its parent's."""
    import faiss

    return ThreadPoolExecutor(faiss.omp_get_max_threads(), "segments")


def merge_vectors(parts: Sequence[VectorSegment], dead: Rows) -> tuple[Rows, Vectors]:
    """The rows and vectors of several segments in row order, without the rows in ``dead``."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    order = order[~np.isin(rows[order], dead)]
    vectors = np.concatenate([part.take(np.arange(part.info.n)) for part in parts])
    return rows[order], vectors[order]


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


def _positions(allowed: Allowed | None, n: int) -> Positions:
    return np.arange(n) if allowed is None else np.flatnonzero(allowed.mask)
