"""What the catalogue says about versions, vector spaces and segments."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from rag.errors import IndexStateError
from rag.indexing import segments
from rag.indexing.masks import alive_rows
from rag.indexing.records import SpaceInfo
from rag.indexing.segments import SegmentInfo
from rag.indexing.vectors import VectorSegment
from rag.indexing.words.postings import WordSegment
from rag.settings import VectorSettings

AnySegment = VectorSegment | WordSegment


def latest_version(connection: sqlite3.Connection) -> int:
    """The highest published version; 0 where nothing has been published."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM versions").fetchone()[0])


def read_segments(connection: sqlite3.Connection) -> list[SegmentInfo]:
    """All segments that the catalogue names, in row order."""
    query = (
        "SELECT id, kind, space, fingerprint, dim, n, first_row, last_row, manifest_sha256 FROM segments"
        " ORDER BY first_row, id"
    )
    return [SegmentInfo(*row) for row in connection.execute(query)]


def write_segments(connection: sqlite3.Connection, infos: Iterable[SegmentInfo]) -> None:
    """Name new segments in the catalogue."""
    connection.executemany("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (info.line() for info in infos))


def open_segment(root: Path, info: SegmentInfo, settings: VectorSettings) -> AnySegment:
    """Open a segment under ``root``, the index's ``segments`` directory."""
    return WordSegment(root, info) if info.kind == "words" else VectorSegment(root, info, settings)


def read_spaces(connection: sqlite3.Connection, version: int) -> dict[str, SpaceInfo]:
    """The spaces of a version."""
    query = "SELECT space, dim, fingerprint, n FROM spaces WHERE version = ? ORDER BY space"
    return {
        space: SpaceInfo(dim=dim, fingerprint=fingerprint, n=n)
        for space, dim, fingerprint, n in connection.execute(query, (version,))
    }


def write_spaces(connection: sqlite3.Connection, index: Path, version: int) -> None:
    """Record the spaces of a version that is being written, from the segments and lifetimes as they are now.

    Raises:
        IndexStateError: vectors of two encoders would be alive in one space.
    """
    last_row = int(connection.execute("SELECT last_row FROM versions WHERE number = ?", (version,)).fetchone()[0])
    alive = alive_rows(connection, version, last_row)
    found: dict[str, SpaceInfo] = {}
    for info in read_segments(connection):
        if info.kind != "vectors":
            continue
        rows = segments.load_rows(index / segments.DIRECTORY, info)
        n = int(alive[rows].sum())
        if n == 0:
            continue
        before = found.get(info.space)
        if before is not None and before.fingerprint != info.fingerprint:
            raise foreign_vectors(index, info.space, before.fingerprint, info.fingerprint)
        found[info.space] = SpaceInfo(info.dim, info.fingerprint, n + (before.n if before else 0))
    connection.executemany(
        "INSERT INTO spaces (version, space, dim, fingerprint, n) VALUES (?, ?, ?, ?, ?)",
        [(version, space, info.dim, info.fingerprint, info.n) for space, info in found.items()],
    )


def foreign_vectors(index: Path, space: str, there: str, given: str) -> IndexStateError:
    """The refusal to mix two encoders."""
    return IndexStateError(
        f"space {space!r} of index {index.name!r} holds vectors of encoder {there!r}, these are of {given!r}; use the "
        f"index's encoder, or bring its documents to the new one with: rag index reencode {index.name}"
    )
