"""Verification: every hash recomputed, every reference followed, every problem listed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from rag.corpus.images import image_fault
from rag.errors import RagError
from rag.indexing import segments
from rag.indexing.catalogue import Catalogue, schema_fault
from rag.indexing.masks import alive_rows
from rag.indexing.segments import SegmentGoneError, SegmentInfo
from rag.indexing.shelves import are_shelves_sound
from rag.indexing.spaces import AnySegment, open_segment, read_segments
from rag.indexing.statements import statement_faults
from rag.indexing.vectors import VectorSegment
from rag.indexing.words.postings import WordSegment
from rag.settings import VectorSettings
from rag.types import Document, sha256_of


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, and what was found wrong; sound means that ``problems`` is empty."""

    versions: int
    documents: int
    passages: int
    vectors: int
    segments: int
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


def verify_index(index: Path, catalogue: Catalogue, settings: VectorSettings) -> VerifyReport:
    """Check the whole index as of now; it may be read and written meanwhile."""
    problems: list[str] = []
    counts = dict.fromkeys(("versions", "documents", "passages", "vectors", "segments"), 0)
    try:
        parts = _open(index, catalogue, settings, problems)
        with catalogue.reading() as connection:
            for (finding,) in connection.execute("PRAGMA integrity_check"):
                if finding != "ok":
                    problems.append(f"{catalogue.path}: {finding}")
            if (fault := schema_fault(connection)) is not None:
                problems.append(f"{catalogue.path}: {fault}")
            for table in ("versions", "documents", "passages"):
                counts[table] = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            problems += _documents(connection)
            problems += _words(connection, parts)
            problems += _versions(connection, parts)
            problems += statement_faults(connection)
            rows = np.fromiter(
                (row for (row,) in connection.execute("SELECT row FROM passages ORDER BY row")), np.int64
            )
        for part in parts:
            counts["vectors"] += part.info.n if isinstance(part, VectorSegment) else 0
            counts["segments"] += 1
            problems += _segment(part, rows)
    except RagError as error:
        problems.append(str(error))
    return VerifyReport(problems=tuple(problems), **counts)


def _open(index: Path, catalogue: Catalogue, settings: VectorSettings, problems: list[str]) -> list[AnySegment]:
    """The catalogue's segments, held open so that no compaction takes them away while they are checked."""

    def names() -> list[SegmentInfo]:
        with catalogue.connection() as connection:
            return read_segments(connection)

    def attempt(infos: list[SegmentInfo]) -> list[AnySegment]:
        parts = []
        for info in infos:
            try:
                parts.append(open_segment(index / segments.DIRECTORY, info, settings))
            except SegmentGoneError as error:
                if info in names():
                    problems.append(f"{error} is missing")
                else:  # compaction has just replaced it
                    problems.clear()
                    return attempt(names())
            except RagError as error:
                problems.append(str(error))
        return parts

    return attempt(names())


def _documents(connection: sqlite3.Connection) -> Iterator[str]:
    claimed = 0
    columns = "row, id, kind, domain, source, licence, case_id, group_id, first, passages, sha256, body"
    for row, identity, *shelf, first, count, content, body in connection.execute(f"SELECT {columns} FROM documents"):
        claimed += count
        if sha256_of(body) != content:
            yield f"document {identity!r} (row {row}) is not what was ingested: its hash differs"
            continue
        try:
            document = Document.model_validate_json(body)
        except ValidationError:
            yield f"document {identity!r} (row {row}) cannot be read"
            continue
        about = [document.id, document.kind, document.domain, document.source, document.licence]
        if [*about, document.case_id, document.group_id] != [identity, *shelf]:
            yield f"document {identity!r} (row {row}) is filed under other values than its own"
        fault = image_fault(Path(document.image), document.image_sha256) if document.image else None
        if fault is not None:
            yield f"the image of document {identity!r} {fault}; put it back, or remove the document"
        passages = connection.execute(
            "SELECT row, id, start, end, sha256 FROM passages WHERE row >= ? AND row < ? AND document = ? ORDER BY row",
            (first, first + count, row),
        ).fetchall()
        if len(passages) != count:
            yield f"document {identity!r} (row {row}) has {len(passages)} passages, {count} were ingested"
        for n, (place, name, start, end, passage_content) in enumerate(passages):
            if (place, name) != (first + n, f"{identity}#{n}"):
                yield f"passage {n} of document {identity!r} is filed as {name!r} (row {place})"
            if sha256_of(document.text[start:end]) != passage_content:
                yield f"passage {name!r} is not what was ingested: its hash differs"
    there = connection.execute("SELECT count(*) FROM passages").fetchone()[0]
    if there != claimed:
        yield f"the catalogue has {there} passages, its documents {claimed}"


def _words(connection: sqlite3.Connection, parts: list[AnySegment]) -> Iterator[str]:
    rows = [part.rows for part in parts if isinstance(part, WordSegment)]
    there = np.concatenate(rows) if rows else np.empty(0, np.int64)
    query = "SELECT row FROM passages WHERE end > start ORDER BY row"
    wanted = np.array(connection.execute(query).fetchall(), np.int64).ravel()
    odd = len(np.setxor1d(there, wanted))
    if odd:
        yield f"the word segments and the passages differ in {odd} rows"


def _versions(connection: sqlite3.Connection, parts: list[AnySegment]) -> Iterator[str]:
    for version, documents, last_row in connection.execute(
        "SELECT number, documents, last_row FROM versions ORDER BY number"
    ).fetchall():
        alive = connection.execute(
            "SELECT count(*) FROM lifetimes WHERE valid_from <= :v AND (valid_to IS NULL OR valid_to > :v)",
            {"v": version},
        ).fetchone()[0]
        if alive != documents:
            yield f"version {version} has {alive} documents, {documents} were published"
        if not are_shelves_sound(connection, version):
            yield f"version {version} has other documents by source, kind, domain and licence than were published"
        mask = alive_rows(connection, version, last_row)
        for space, fingerprint, n in connection.execute(
            "SELECT space, fingerprint, n FROM spaces WHERE version = ?", (version,)
        ).fetchall():
            rows = [
                part.rows for part in parts if isinstance(part, VectorSegment) and part.belongs_to(space, fingerprint)
            ]
            found = sum(int(mask[some[some <= last_row]].sum()) for some in rows)
            if found != n:
                yield f"version {version} has {found} vectors in space {space!r}, {n} were published"


def _segment(part: AnySegment, passages: NDArray[np.int64]) -> Iterator[str]:
    yield from part.faults()
    if not np.isin(part.rows, passages).all() or (np.diff(part.rows) <= 0).any():
        yield f"{part.path / 'rows.npy'} names passages that the catalogue does not have"
