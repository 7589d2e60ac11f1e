"""The ledger: every answer, append-only and hash-chained.

The ledger holds questions, evidence and answers, because that is what an audit is about: its file is readable by its
owner only. Changing, removing or reordering an entry breaks the chain; a file that is cut off at its end shows only to
someone who kept a later hash.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rag.errors import IndexStateError, InputError, StorageError
from rag.types import Answer, sha256_of

_APPLICATION_ID = 0x434C4C47  # "CLLG"
_FORMAT = 1
_GENESIS = "0" * 64
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is misread
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,
    audit_id TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    answer TEXT NOT NULL,
    previous TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded answer. ``text`` is the JSON that was hashed, ``previous`` the hash of the entry before."""

    number: int
    audit_id: str
    created: str
    text: str
    previous: str
    sha256: str

    @property
    def answer(self) -> Answer:
        return Answer.model_validate_json(self.text)

    @property
    def expected_sha256(self) -> str:
        return entry_hash(self.previous, self.created, self.text)


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether every entry's hash holds and follows from the one before; the first that does not, otherwise."""

    entries: int
    broken_at: str | None

    @property
    def ok(self) -> bool:
        return self.broken_at is None


def new_audit_id() -> str:
    """An id such as ``a-20261123-7f3k2m9q``: the day, and 40 bits that nobody can guess."""
    return f"a-{datetime.now(UTC):%Y%m%d}-{''.join(secrets.choice(_ALPHABET) for _ in range(8))}"


def entry_hash(previous: str, created: str, text: str) -> str:
    """SHA-256 over the previous hash, the time and the JSON, separated by newlines."""
    return sha256_of(f"{previous}\n{created}\n{text}")


class Ledger:
    """An SQLite file of entries. Appends from several processes at once keep one chain."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, answer: Answer) -> None:
        """Record ``answer`` under its audit id.

        Raises:
            StorageError: the file cannot be written; the answer must then not be given.
        """
        text, created = answer.model_dump_json(), datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._connected(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")  # one writer at a time, so that each sees the last hash
            row = connection.execute("SELECT number, sha256 FROM entries ORDER BY number DESC LIMIT 1").fetchone()
            number, previous = (row[0] + 1, row[1]) if row else (1, _GENESIS)
            values = (number, answer.audit_id, created, text, previous, entry_hash(previous, created, text))
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", values)
            connection.execute("COMMIT")

    def get(self, audit_id: str) -> Entry:
        """The entry of an audit id.

        Raises:
            InputError: there is none; the newest ids are named.
        """
        with self._connected() as connection:
            row = connection.execute("SELECT * FROM entries WHERE audit_id = ?", (audit_id,)).fetchone()
            newest = connection.execute("SELECT audit_id FROM entries ORDER BY number DESC LIMIT 3").fetchall()
        if row is None:
            listed = ", ".join(r[0] for r in newest) or "none yet"
            raise InputError(f"no answer is recorded under {audit_id!r}; the newest ids are: {listed}")
        return Entry(*row)

    def entries(self, limit: int = 100, before: int | None = None) -> list[Entry]:
        """The newest entries first, at most ``limit``, those numbered below ``before`` if it is given."""
        if not self._path.exists():
            return []
        with self._connected() as connection:
            where, values = ("WHERE number < ?", (before,)) if before is not None else ("", ())
            rows = connection.execute(f"SELECT * FROM entries {where} ORDER BY number DESC LIMIT ?", (*values, limit))
            return [Entry(*row) for row in rows]

    def verify_chain(self) -> ChainReport:
        """Recompute every hash from the first entry on."""
        previous, number = _GENESIS, 0
        with self._connected() as connection:
            for row in connection.execute("SELECT * FROM entries ORDER BY number"):
                entry, number = Entry(*row), number + 1
                if entry.previous != previous or entry.sha256 != entry.expected_sha256 or entry.number != number:
                    return ChainReport(number, entry.audit_id)
                previous = entry.sha256
        return ChainReport(number, None)

    @contextmanager
    def _connected(self, create: bool = False) -> Iterator[sqlite3.Connection]:
        if not create and not self._path.exists():
            raise InputError(f"nothing is recorded yet: there is no {self._path}")
        try:
            if create and not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
                self._check(connection)
                yield connection
        except (sqlite3.OperationalError, OSError) as error:
            raise StorageError(f"the ledger {self._path} cannot be written or read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise IndexStateError(f"the ledger {self._path} is damaged or not a ledger: {error}") from error

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (form,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, form) == (_APPLICATION_ID, _FORMAT):
            return
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == _APPLICATION_ID and form > _FORMAT:
            raise IndexStateError(
                f"the ledger {self._path} was written by a newer ClinCite (format {form}); upgrade to read it"
            )
        if application or form or tables:
            raise IndexStateError(f"{self._path} is another program's SQLite file, not a ledger; move it away")
        connection.execute("PRAGMA journal_mode = WAL")
        marks = f"PRAGMA application_id = {_APPLICATION_ID};PRAGMA user_version = {_FORMAT};"
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}{marks}COMMIT;")
