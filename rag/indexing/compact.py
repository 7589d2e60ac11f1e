"""Compaction: fewer and fuller segments, and nothing left of what has been forgotten.

Readers go on meanwhile. The new segments are written aside; one transaction swaps them in and drops forgotten versions;
files that an open snapshot still maps stay until a later writer finds them free.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.errors import InputError, RagError
from rag.indexing import failpoints, segments
from rag.indexing.catalogue import LISTED, Catalogue, listed
from rag.indexing.garbage import collect_garbage
from rag.indexing.leases import lease_path
from rag.indexing.locks import Lock
from rag.indexing.plan import plan, rows_per_segment
from rag.indexing.segments import Rows, SegmentInfo
from rag.indexing.shelves import forget_shelves
from rag.indexing.spaces import latest_version, read_segments, write_segments
from rag.indexing.storage import size_of_tree
from rag.indexing.vectors import VectorSegment, backend_of, merge_vectors, write_vectors
from rag.indexing.words.postings import ROWS_PER_SEGMENT, WordSegment, merge_words, write_words
from rag.settings import VectorSettings


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did. ``in_use`` are versions that it was to forget but that are being read."""

    segments_before: int
    segments_after: int
    forgotten: tuple[int, ...]
    in_use: tuple[int, ...]
    documents_dropped: int
    bytes_before: int
    bytes_after: int


def compact_index(
    index: Path, catalogue: Catalogue, keep: Collection[int] | None, settings: VectorSettings
) -> CompactReport:
    """Merge small segments and, given ``keep``, forget the other versions and the documents that only they had.

    The latest version is always kept, as are versions being read. Call it under the write lock.

    Raises:
        InputError: ``keep`` names a version that does not exist.
        StorageError: the machine refused; the index is as it was.
    """
    bytes_before = size_of_tree(index)
    with ExitStack() as stack:
        with catalogue.reading() as connection:
            forgotten, in_use = _to_forget(connection, index, keep, stack)
            lost = _lost_documents(connection, forgotten)
            before = read_segments(connection)
        dead = np.array([row for _, first, count in lost for row in range(first, first + count)], np.int64)
        replaced, written = [], []
        try:
            for old, new in _merge(index / segments.DIRECTORY, before, dead, settings):
                replaced += old
                written += new
            failpoints.hit("compact-written")
            with catalogue.transaction() as connection:
                _forget(connection, forgotten, lost)
                connection.execute(
                    f"DELETE FROM segments WHERE id IN {LISTED}", (listed(info.id for info in replaced),)
                )
                write_segments(connection, written)
                failpoints.hit("compact-swapped")
        except BaseException:
            with suppress(OSError, RagError):  # the next writer collects what is left
                collect_garbage(index, catalogue, settings)
            raise
        failpoints.hit("compact-committed")
        for version in forgotten:
            lease_path(index, version).unlink(missing_ok=True)
    if lost:
        _give_back_space(catalogue)
    catalogue.checkpoint()
    failpoints.hit("compact-folded")
    collect_garbage(index, catalogue, settings)
    return CompactReport(
        segments_before=len(before),
        segments_after=len(before) - len(replaced) + len(written),
        forgotten=tuple(forgotten),
        in_use=tuple(in_use),
        documents_dropped=len(lost),
        bytes_before=bytes_before,
        bytes_after=size_of_tree(index),
    )


def _to_forget(
    connection: sqlite3.Connection, index: Path, keep: Collection[int] | None, stack: ExitStack
) -> tuple[list[int], list[int]]:
    """Versions to forget, their leases held on ``stack``, and those that readers hold."""
    numbers = [row[0] for row in connection.execute("SELECT number FROM versions ORDER BY number")]
    if keep is None:
        return [], []
    unknown = set(keep).difference(numbers)
    if unknown:
        raise InputError(f"index {index.name!r} has no version {min(unknown)} to keep")
    forgotten, in_use = [], []
    for number in numbers:
        if number in keep or number == latest_version(connection):
            continue
        path = lease_path(index, number)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        lease = Lock.exclusive(path, create=True)
        if lease is None:
            in_use.append(number)
        else:
            stack.enter_context(lease)
            forgotten.append(number)
    return forgotten, in_use


def _lost_documents(connection: sqlite3.Connection, forgotten: list[int]) -> list[tuple[int, int, int]]:
    """Document row, first passage row and passage count of documents that no remaining version has."""
    if not forgotten:
        return []
    return connection.execute(
        f"""
        WITH remaining AS (SELECT number FROM versions WHERE number NOT IN {LISTED})
        SELECT d.row, d.first, d.passages FROM documents d WHERE NOT EXISTS (
            SELECT 1 FROM lifetimes l JOIN remaining r
                ON r.number >= l.valid_from AND (l.valid_to IS NULL OR r.number < l.valid_to)
            WHERE l.document = d.row)
        ORDER BY d.first
        """,
        (listed(forgotten),),
    ).fetchall()


def _merge(
    root: Path, before: list[SegmentInfo], dead: Rows, settings: VectorSettings
) -> Iterator[tuple[list[SegmentInfo], list[SegmentInfo]]]:
    """Segments to replace and, written and durable, their replacements; each space and encoder on its own.

    Besides small segments and those with forgotten rows, those are replaced whose backend is not the planned one.
    """
    groups: defaultdict[tuple[str, str, str, int], list[SegmentInfo]] = defaultdict(list)
    for info in before:
        groups[info.kind, info.space, info.fingerprint, info.dim].append(info)
    for (kind, space, fingerprint, dim), infos in groups.items():
        limit = ROWS_PER_SEGMENT if kind == "words" else rows_per_segment(dim)
        dirty = {info.id for info in infos if np.isin(segments.load_rows(root, info), dead).any()}
        planned = plan(sum(info.n for info in infos), dim, settings) if kind == "vectors" else None
        if planned is not None:
            dirty |= {info.id for info in infos if backend_of(root / info.id)[0] != planned.backend_of(info.n)}
        small = [info for info in infos if info.id in dirty or info.n <= limit // 2]
        for run in _runs(small, limit):
            if len(run) == 1 and run[0].id not in dirty:
                continue
            if planned is None:
                rows, counted = merge_words([WordSegment(root, info) for info in run], dead)
                yield run, [write_words(root, rows, counted)] if len(rows) else []
            else:
                rows, vectors = merge_vectors([VectorSegment(root, info, settings) for info in run], dead)
                chosen = settings.model_copy(update={"backend": planned.backend_of(len(rows))})
                made = [write_vectors(root, space, fingerprint, rows, vectors, chosen)] if len(rows) else []
                yield run, made


def _runs(infos: list[SegmentInfo], limit: int) -> Iterator[list[SegmentInfo]]:
    """Neighbouring segments that together fit into one."""
    run: list[SegmentInfo] = []
    for info in infos:
        if run and sum(one.n for one in run) + info.n > limit:
            yield run
            run = []
        run.append(info)
    if run:
        yield run


def _forget(connection: sqlite3.Connection, versions: list[int], documents: list[tuple[int, int, int]]) -> None:
    for table, column in (("versions", "number"), ("spaces", "version")):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN {LISTED}", (listed(versions),))
    for version in versions:
        forget_shelves(connection, version)
    read = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'readings'").fetchone()
    for document, first, count in documents:
        for table in ("statements", "readings") if read else ():
            connection.execute(f"DELETE FROM {table} WHERE document = ?", (document,))
        connection.execute("DELETE FROM passages WHERE row >= ? AND row < ?", (first, first + count))
        connection.execute("DELETE FROM lifetimes WHERE document = ?", (document,))
        connection.execute("DELETE FROM documents WHERE row = ?", (document,))


def _give_back_space(catalogue: Catalogue) -> None:
    """Squeeze forgotten text out of the file; a busy reader or a full disk is no reason to fail."""
    try:
        with catalogue.connection() as connection:
            connection.execute("VACUUM")
    except RagError:
        return
