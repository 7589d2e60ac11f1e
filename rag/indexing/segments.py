"""Immutable segments: what one publication adds to search, in a directory of its own.

``segments/<id>/`` holds ``rows.npy`` (int64, ascending: the passage row of each entry), the files of its kind (see
``vectors`` and ``postings``) and ``manifest.json`` with their sizes and hashes. A segment is written aside, fsynced,
renamed, and only then named by the catalogue. Files are memory-mapped; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexStateError, RagError
from rag.indexing import failpoints
from rag.indexing.locks import Lock
from rag.indexing.storage import discard_directory, refusals_named, sha256_of_file, sync_directory, sync_file

Rows = NDArray[np.int64]

DIRECTORY = "segments"
MANIFEST = "manifest.json"
_ID = re.compile(r"[0-9a-f]{32}")
_SMALL = 1 << 16  # a file up to this size is read rather than mapped
_HASHED = 4 << 20  # a file up to this size is hashed whenever it is opened; what is larger, by ``verify``
# numpy parses array headers with Python's ast, which in Python 3.11 is not safe for threads (CPython issue 106905).
_HEADERS = threading.Lock()


@dataclass(frozen=True)
class SegmentInfo:
    """The catalogue's line about a segment. Word segments have no space and dimension 0."""

    id: str
    kind: Literal["vectors", "words"]
    space: str
    fingerprint: str
    dim: int
    n: int
    first_row: int
    last_row: int
    manifest_sha256: str

    def line(self) -> tuple[object, ...]:
        """The values of the catalogue's columns, in order."""
        return astuple(self)


class SegmentGoneError(Exception):
    """The segment's files are being, or have been, collected: read the catalogue again."""


class SegmentContent(NamedTuple):
    """What a segment holds: vectors of a space by an encoder, or words by a tokenizer."""

    kind: Literal["vectors", "words"]
    space: str
    fingerprint: str
    dim: int


def write_segment(
    root: Path,
    content: SegmentContent,
    rows: Rows,
    fill: Callable[[Path], None],
    discard: Callable[[Path], None] = discard_directory,
) -> SegmentInfo:
    """Write one segment under ``root`` (the ``segments`` directory); durable on return.

    Args:
        content: what it holds.
        rows: (n,) ascending passage rows, n > 0.
        fill: writes the files of the segment's kind into the directory that it is given.
        discard: removes that directory, and what ``fill`` made elsewhere, after an error.

    Raises:
        StorageError: the machine refused; nothing is left behind.
    """
    identity = secrets.token_hex(16)
    aside = root / f".tmp-{identity}"
    try:
        with refusals_named(aside):
            root.mkdir(mode=0o700, exist_ok=True)
            aside.mkdir(mode=0o700)
            write_array(aside / "rows.npy", rows.astype(np.int64, copy=False))
            fill(aside)
            failpoints.hit("segment-data-written")
            files = sorted(aside.iterdir())
            manifest = {
                "id": identity,
                **content._asdict(),
                "n": len(rows),
                "files": {file.name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)} for file in files},
            }
            written = json.dumps(manifest, indent=1, sort_keys=True).encode()
            (aside / MANIFEST).write_bytes(written)
            for file in (*files, aside / MANIFEST):
                file.chmod(0o600)
                sync_file(file)
            sync_directory(aside)
            failpoints.hit("segment-synced")
            aside.rename(root / identity)
            failpoints.hit("segment-renamed")
            sync_directory(root)
    except BaseException:
        with suppress(RagError):  # the next writer tries again
            discard(aside)
        raise
    failpoints.hit("segment-durable")
    manifest_sha256 = hashlib.sha256(written).hexdigest()
    return SegmentInfo(identity, *content, len(rows), int(rows[0]), int(rows[-1]), manifest_sha256)


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
            raise SegmentGoneError(self.path / MANIFEST) from error
        if lock is None:
            raise SegmentGoneError(self.path / MANIFEST)
        self._lock = lock
        self.hashes = self._check_files()
        self.rows: Rows = np.asarray(load_rows(root, info))  # a plain array is indexed several times as fast as a map
        if (int(self.rows[0]), int(self.rows[-1])) != (info.first_row, info.last_row) or (
            np.diff(self.rows) <= 0
        ).any():
            raise IndexStateError(damaged(self.path / "rows.npy", "it does not name the passages that were published"))

    def positions(self, rows: Rows) -> NDArray[np.int64]:
        """The position of each row in this segment, -1 where it has none."""
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, -1)

    def faults(self) -> list[str]:
        """What is wrong with the segment's files, every byte read."""
        return [
            damaged(self.path / name, "its hash differs")
            for name, expected in self.hashes.items()
            if sha256_of_file(self.path / name) != expected
        ]

    def _check_files(self) -> dict[str, str]:
        """Check the manifest's hash, the files' sizes (one too short would kill the process once mapped), and the
        hashes of small files: what is damaged is not searched."""
        path = self.path / MANIFEST
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.info.manifest_sha256:
            raise IndexStateError(damaged(path, "it is not what was published"))
        files = json.loads(content)["files"]
        for name, expected in files.items():
            file = self.path / name
            if not file.exists():
                raise SegmentGoneError(file)
            if file.stat().st_size != expected["bytes"]:
                size = f"{file.stat().st_size} bytes, {expected['bytes']} were published"
                raise IndexStateError(damaged(file, size))
            if expected["bytes"] <= _HASHED and sha256_of_file(file) != expected["sha256"]:
                raise IndexStateError(damaged(file, "its hash differs"))
        return {str(name): str(about["sha256"]) for name, about in files.items()}


def load_rows(root: Path, info: SegmentInfo) -> Rows:
    """A segment's passage rows, (n,) ascending."""
    return load_array(root / info.id / "rows.npy", np.int64, (info.n,))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file. Unlike ``numpy.save`` it lets the system's own error through when the disk is full."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.view(np.uint8).data if array.size else b"")


def load_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an .npy file; -1 in ``shape`` stands for any length.

    Raises:
        SegmentGoneError: no such file.
        IndexStateError: it holds something else.
    """
    try:
        mode: Literal["r"] | None = "r" if path.stat().st_size > _SMALL else None
        with _HEADERS:
            array: NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentGoneError(path) from error
    except (ValueError, OSError, EOFError) as error:
        raise IndexStateError(damaged(path, str(error))) from error
    fits = len(array.shape) == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise IndexStateError(damaged(path, f"it holds {array.dtype} of shape {array.shape}"))
    return array


def damaged(path: Path, what: str) -> str:
    return f"{path} is damaged: {what}; restore it, or build the index anew from its sources"
