"""The catalogue: one SQLite file that says which documents, passages, versions and segments an index has.

It is the source of truth. A document's content never changes once written; ``lifetimes`` say from which version on
(``valid_from``) and up to which version exclusively (``valid_to``, null while alive) it is part of the index, so a
rollback opens a second lifetime instead of copying anything. A document's passages have consecutive rows.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.errors import IndexStateError, RagError, StorageError
from rag.indexing.storage import atomic, sqlite_uri

FILE_NAME = "catalogue.sqlite"
APPLICATION_ID = 0x436C6943  # "CliC"
FORMAT_VERSION = 2
MAPPED = 128 << 20  # bytes of the file that a connection reads without a system call and a copy for each page

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
    number INTEGER PRIMARY KEY, created TEXT NOT NULL, note TEXT NOT NULL, ingest TEXT NOT NULL,
    added INTEGER NOT NULL, updated INTEGER NOT NULL, removed INTEGER NOT NULL, documents INTEGER NOT NULL,
    last_row INTEGER NOT NULL -- the highest passage row that had been given out
);
CREATE TABLE documents (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, domain TEXT NOT NULL, source TEXT NOT NULL,
    licence TEXT NOT NULL, case_id TEXT NOT NULL, group_id TEXT NOT NULL,
    first INTEGER NOT NULL, passages INTEGER NOT NULL, -- its passages are rows [first, first + passages)
    sha256 TEXT NOT NULL, body TEXT NOT NULL -- canonical JSON of the document, whose hash is sha256
);
CREATE INDEX documents_id ON documents (id);
CREATE INDEX documents_case ON documents (case_id);
CREATE INDEX documents_case_any ON documents (case_id COLLATE NOCASE);
CREATE INDEX documents_group ON documents (group_id);
-- what Snapshot.terms() asks for, word by word
CREATE INDEX documents_terms ON documents (row) WHERE json_extract(body, '$.metadata.synonyms') IS NOT NULL;
CREATE INDEX documents_shelf ON documents (kind, domain, source, first, passages);
CREATE TABLE lifetimes (
    document INTEGER NOT NULL REFERENCES documents (row), valid_from INTEGER NOT NULL, valid_to INTEGER,
    PRIMARY KEY (document, valid_from)
) WITHOUT ROWID;
CREATE INDEX lifetimes_ended ON lifetimes (valid_to) WHERE valid_to IS NOT NULL;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (row), id TEXT NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE segments (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, space TEXT NOT NULL, fingerprint TEXT NOT NULL, dim INTEGER NOT NULL,
    n INTEGER NOT NULL, first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, manifest_sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE spaces (
    version INTEGER NOT NULL, space TEXT NOT NULL, dim INTEGER NOT NULL, fingerprint TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (version, space)
) WITHOUT ROWID;
"""

# What was read in documents; see ``rag.indexing.statements``. Indexes made before have none until they are read.
STATEMENT_TABLES = (
    "CREATE TABLE readings (document INTEGER PRIMARY KEY, rules TEXT NOT NULL, date TEXT NOT NULL, "
    "sha256 TEXT NOT NULL)",
    "CREATE TABLE statements ("
    "document INTEGER NOT NULL, number INTEGER NOT NULL, concept TEXT NOT NULL, status TEXT NOT NULL, "
    "sides INTEGER NOT NULL, zones TEXT NOT NULL, degrees TEXT NOT NULL, course TEXT NOT NULL, "
    "dimension TEXT NOT NULL, value REAL, sure REAL NOT NULL, derived INTEGER NOT NULL, "
    "start INTEGER NOT NULL, end INTEGER NOT NULL, PRIMARY KEY (document, number)) WITHOUT ROWID",
    "CREATE INDEX statements_concept ON statements (concept, status, document)",
)

# A document alive at version :v; joins documents d.
ALIVE = (
    "EXISTS (SELECT 1 FROM lifetimes l WHERE l.document = d.row AND l.valid_from <= :v"
    " AND (l.valid_to IS NULL OR l.valid_to > :v))"
)


# A set of values of any size as one parameter, made by ``listed``.
LISTED = "(SELECT value FROM json_each(?))"
_FEW = 128  # up to so many values, one parameter each is quicker


def table(values: int) -> str:
    """SQL for a table of one column, ``value``, of so many values. It is read in order, once: no set is built."""
    if 0 < values <= _FEW:
        return f"(SELECT column1 AS value FROM (VALUES {','.join(['(?)'] * values)}))"
    return LISTED


def table_values(values: Sequence[object]) -> Sequence[object]:
    """What fills the ``table`` of these values."""
    return values if 0 < len(values) <= _FEW else (listed(values),)


def listed(values: Iterable[object]) -> str:
    """The parameter for LISTED."""
    return json.dumps(list(values))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on ``path`` into ours."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _translate(error, path) from error


def _translate(error: Exception, path: Path) -> RagError:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StorageError(
            f"cannot write or read {path}: {error}; the index is as it was, free the space or the permission and run "
            "the command again"
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return IndexStateError(f"{path} is being written by another process; try again when it is done")
    return IndexStateError(f"{path} is damaged or not a catalogue of ours ({error}); restore it or build it anew")


def check_header(path: Path) -> None:
    """Look at the file's first bytes before SQLite does: another program's database is never opened, let alone changed.

    Raises:
        IndexStateError: not a SQLite file, not ours, or of a newer format.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise IndexStateError(f"{path} is damaged: it is not a SQLite file; restore it or build the index anew")
    application_id, format_version = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
    if application_id != APPLICATION_ID:
        raise IndexStateError(f"{path} is another program's SQLite file, not an index; choose another index name")
    if format_version != FORMAT_VERSION:
        remedy = "upgrade clincite" if format_version > FORMAT_VERSION else "build the index anew from its sources"
        raise IndexStateError(f"{path} has format {format_version}, this ClinCite reads {FORMAT_VERSION}; {remedy}")


def schema_fault(connection: sqlite3.Connection) -> str | None:
    """How the tables and indexes differ from those that :meth:`Catalogue.create` makes; None where they do not."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    read = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'readings'").fetchone()
    plain = sqlite3.connect(":memory:")
    try:
        plain.executescript(_SCHEMA)
        for statement in STATEMENT_TABLES if read else ():
            plain.execute(statement)
        odd = {name for _, name, *_ in {*plain.execute(query)} ^ {*connection.execute(query)}}
    finally:
        plain.close()
    return f"its tables are not as they were made ({', '.join(sorted(map(str, odd)))})" if odd else None


class Catalogue:
    """Connections to one catalogue file. Safe for many threads: each borrows a connection of its own."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        self.writable = writable
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    @staticmethod
    def create(path: Path) -> None:
        """Write an empty catalogue that its owner alone may read; ``path`` must not exist."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite's files beside it follow
        with translated(path):
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                for statement in STATEMENT_TABLES:
                    connection.execute(statement)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Borrow a connection; SQLite's errors come out as IndexStateError or StorageError."""
        connection: sqlite3.Connection | None = None
        try:
            connection = self._borrow()
            yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _translate(error, self.path) from error
        finally:
            if connection is not None:
                with self._lock:
                    self._idle.append(connection)

    def fetch(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """All rows of one query: what ``connection`` does, with less on the way."""
        connection = self._borrow()
        try:
            return connection.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _translate(error, self.path) from error
        finally:
            with self._lock:
                self._idle.append(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it or, after any error, nothing."""
        with self.connection() as connection, atomic(connection):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one moment."""
        with self.connection() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file where no reader is in the way; a full disk is no reason to fail."""
        try:
            with self.connection() as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except RagError:
            return

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._process != os.getpid():  # a forked child must not use its parent's connections
                self._idle, self._process = [], os.getpid()
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            sqlite_uri(self.path, writable=self.writable),
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=30.0,
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "PRAGMA secure_delete = ON"
        )  # a withdrawn patient's text is overwritten, not left in the file
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute(f"PRAGMA mmap_size = {MAPPED}")
        return connection
