"""Immutable segments: the vectors of one publication in one space, with their search structure, memory-mapped.

``segments/<id>/`` holds ``rows.npy`` (int64, ascending: the passage row of each vector), ``index.faiss`` (the float32
vectors in a FAISS flat index, so that one copy on disk serves search and exact scoring) and ``manifest.json``. A
segment is written aside, fsynced, renamed, and only then named by the catalogue.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexStateError, InputError, StorageError
from rag.indexing import failpoints
from rag.indexing.locks import Lock
from rag.indexing.storage import discard_directory, refusals_named, sha256_of_file, sync_directory, sync_file

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

DIRECTORY = "segments"
MAX_DIM = 65_536
_FILES = ("rows.npy", "index.faiss")
MANIFEST = "manifest.json"
_ID = re.compile(r"[0-9a-f]{32}")
# Two float32 evaluations of one inner product of unit vectors differ by less than this.
_NOISE = 2e-6


@dataclass(frozen=True)
class SegmentInfo:
    """The catalogue's line about a segment."""

    id: str
    space: str
    fingerprint: str
    dim: int
    n: int
    first_row: int
    last_row: int
    manifest_sha256: str


class SegmentGone(Exception):
    """The segment's files are being, or have been, collected: read the catalogue again."""


def write_segment(root: Path, space: str, fingerprint: str, rows: Rows, vectors: Vectors) -> SegmentInfo:
    """Write and publish on disk one segment under ``root`` (the ``segments`` directory); durable on return.

    Args:
        rows: (n,) ascending passage rows.
        vectors: (n, dim) L2-normalised.

    Raises:
        StorageError: the machine refused; nothing is left behind.
    """
    import faiss

    identity = secrets.token_hex(16)
    aside = root / f".tmp-{identity}"
    try:
        with refusals_named(aside):
            root.mkdir(exist_ok=True)
            aside.mkdir()
            np.save(aside / "rows.npy", np.ascontiguousarray(rows, dtype=np.int64), allow_pickle=False)
            index = faiss.IndexFlatIP(vectors.shape[1])
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
            try:
                faiss.write_index(index, str(aside / "index.faiss"))
            except RuntimeError as error:  # FAISS reports a short write like this
                raise StorageError(
                    f"cannot write {aside / 'index.faiss'}: disk full or file too large; the index is as it was, free "
                    "space and run the command again"
                ) from error
            failpoints.hit("segment-data-written")
            manifest = {
                "id": identity,
                "space": space,
                "fingerprint": fingerprint,
                "dim": int(vectors.shape[1]),
                "n": len(rows),
                "backend": "flat",
                "files": {
                    name: {"bytes": (aside / name).stat().st_size, "sha256": sha256_of_file(aside / name)}
                    for name in _FILES
                },
            }
            content = json.dumps(manifest, indent=1, sort_keys=True).encode()
            (aside / MANIFEST).write_bytes(content)
            for name in (*_FILES, MANIFEST):
                sync_file(aside / name)
            sync_directory(aside)
            failpoints.hit("segment-synced")
            os.rename(aside, root / identity)
            failpoints.hit("segment-renamed")
            sync_directory(root)
    except BaseException:
        discard_directory(aside)
        raise
    failpoints.hit("segment-durable")
    return SegmentInfo(
        id=identity,
        space=space,
        fingerprint=fingerprint,
        dim=int(vectors.shape[1]),
        n=len(rows),
        first_row=int(rows[0]),
        last_row=int(rows[-1]),
        manifest_sha256=hashlib.sha256(content).hexdigest(),
    )


class Segment:
    """One open segment. It holds a shared lock on its manifest, so that nobody collects it while it is in use."""

    def __init__(self, root: Path, info: SegmentInfo) -> None:
        if not _ID.fullmatch(info.id):
            raise IndexStateError(f"the catalogue beside {root} names a segment {info.id!r}, which is no segment id")
        self.info = info
        self.path = root / info.id
        try:
            lock = Lock.shared(self.path / MANIFEST)
        except FileNotFoundError as error:
            raise SegmentGone(self.path / MANIFEST) from error
        if lock is None:
            raise SegmentGone(self.path / MANIFEST)
        self._lock = lock
        self._check_files()
        self.rows: Rows = load_rows(root, info)
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

    def positions(self, rows: Rows) -> NDArray[np.int64]:
        """The position of each row in this segment, -1 where it has none."""
        if len(self.rows) == 0:
            return np.full(len(rows), -1, np.int64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, -1)

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

    def _check_files(self) -> None:
        """Manifest hash and file sizes; a file that is too short would kill the process once mapped."""
        manifest_path = self.path / MANIFEST
        content = manifest_path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.info.manifest_sha256:
            raise IndexStateError(_damaged(manifest_path, "it is not what was published"))
        for name, expected in json.loads(content)["files"].items():
            file = self.path / name
            if not file.exists():
                raise SegmentGone(file)
            if file.stat().st_size != expected["bytes"]:
                size = f"{file.stat().st_size} bytes, {expected['bytes']} were published"
                raise IndexStateError(_damaged(file, size))

    def _load_index(self) -> Any:
        import faiss

        path = self.path / "index.faiss"
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            if not path.exists():
                raise SegmentGone(path) from error
            raise IndexStateError(_damaged(path, "FAISS cannot read it")) from error
        if not isinstance(index, faiss.IndexFlat) or (index.ntotal, index.d) != (self.info.n, self.info.dim):
            raise IndexStateError(_damaged(path, "it is not the FAISS index that was published"))
        return index

    def _map_vectors(self) -> Vectors:
        import faiss

        flat = faiss.rev_swig_ptr(self._index.get_xb(), self.info.n * self.info.dim)
        vectors: Vectors = flat.reshape(self.info.n, self.info.dim)
        vectors.flags.writeable = False
        return vectors


def load_rows(root: Path, info: SegmentInfo) -> Rows:
    """A segment's passage rows, (n,) ascending, memory-mapped."""
    path = root / info.id / "rows.npy"
    try:
        rows: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentGone(path) from error
    except (ValueError, OSError) as error:
        raise IndexStateError(_damaged(path, str(error))) from error
    if rows.shape != (info.n,) or rows.dtype != np.int64:
        raise IndexStateError(_damaged(path, f"holds {rows.dtype}{rows.shape}"))
    return rows


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


def _damaged(path: Path, what: str) -> str:
    return f"{path} is damaged: {what}; restore it, or build the index anew from its sources"


def describe(info: SegmentInfo) -> tuple[object, ...]:
    """The catalogue row of a segment, in column order."""
    return tuple(asdict(info).values())
