"""The ledger: every answer, every judgement of one and every redaction, append-only and hash-chained.

The ledger holds questions, evidence and answers, because that is what an audit is about: its file is readable by its
owner only. Changing, removing or reordering an entry breaks the chain. A chain alone cannot show that its end was cut
off, or that somebody who may write the file wrote it anew from some entry on: that shows to someone who kept a later
hash (``rag audit verify --all`` prints it, ``--expect`` compares).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rag.audit.chain import ChainReport, check_chain
from rag.audit.history import MARKS, Wanted
from rag.audit.images import FOLDER, ImageStore
from rag.audit.record import (
    GENESIS,
    IMAGE,
    Entry,
    Kind,
    LedgerPart,
    Working,
    canonical_json,
    new_audit_id,
    record_parts,
)
from rag.audit.schema import THREAD, THREADS, prepare_ledger
from rag.errors import IndexStateError, InputError, StorageError
from rag.indexing.storage import atomic, sqlite_uri
from rag.types import Answer

__all__ = ["ChainReport", "Entry", "Given", "Ledger", "new_audit_id"]
LEDGER = "ledger.sqlite"  # in an index's folder
_BATCH = 256
_MOST_CALLER = 200


class Given(NamedTuple):
    """An answer to record, how it came about, and who asked: the id of a key, 'cli' or 'python', never a secret."""

    answer: Answer
    working: Working = Working()
    caller: str = "python"


class Ledger:
    """An SQLite file of entries, and a folder of images beside it. Safe for many threads and processes.

    Writing uses one connection that is kept open. Every commit reaches the disk before it returns (``synchronous =
    FULL``): an answer that was given is never lost, and costs one flush of the disk, which the answers recorded
    together by :meth:`extend` share.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.images = ImageStore(path.parent / FOLDER)
        self._lock = threading.Lock()
        self._kept: tuple[sqlite3.Connection, int, tuple[int, int]] | None = None

    # ---------------------------------------------------------------- writing

    def append(self, answer: Answer, working: Working | None = None, caller: str = "python") -> None:
        """Record one answer; see :meth:`extend`."""
        self.extend([Given(answer, working or Working(), caller)])

    def extend(self, given: Iterable[Given]) -> None:
        """Record answers under their audit ids, all or none of them. The image of a question is copied as well.

        Raises:
            InputError: the image of a question cannot be read any more.
            StorageError: the file cannot be written; the answers must then not be given.
        """
        kept = [(one, self._keep_image(one.answer)) for one in given]
        made = [(one, *record_parts(one.answer, one.working, sha256)) for one, sha256 in kept]
        with self.transaction() as connection:
            for one, fields, parts in made:
                if IMAGE in parts and not self.images.path(parts[IMAGE].text).exists():
                    self._keep_image(one.answer)  # a redaction removed the same bytes meanwhile
                self.add(connection, "answer", one.answer.audit_id, one.caller, fields, parts)

    def add(
        self,
        connection: sqlite3.Connection,
        kind: Kind,
        audit_id: str,
        caller: str,
        fields: Mapping[str, Any],
        parts: Mapping[str, LedgerPart],
    ) -> None:
        """Add an entry inside a transaction."""
        row = connection.execute("SELECT number, sha256 FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (row[0] + 1, row[1]) if row else (1, GENESIS)
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"format": 2, "number": number, "kind": kind, "audit_id": audit_id, "created": created}
        commitments = {name: part.commitment for name, part in parts.items()}
        record = canonical_json({**head, "caller": caller[:_MOST_CALLER], **fields, "parts": commitments})
        entry = Entry(number, kind, audit_id, created, record, previous, "", parts)
        values = (number, kind, audit_id, created, record, previous, entry.expected_sha256)
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        rows = [(number, name, part.salt, part.text) for name, part in parts.items()]
        connection.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)", rows)

    def redact(
        self,
        choose: Callable[[Entry], Collection[str]],
        why: str,
        caller: str = "python",
        advance: Callable[[int], None] = lambda _: None,
    ) -> tuple[Entry | None, int]:
        """Take parts out for good, record that, and remove the images that no entry holds any more.

        Args:
            choose: the names of the parts of an entry that have to go; asked once for each entry, oldest first.
            advance: told how many entries were looked at.

        Returns:
            The entry that records the redaction, None where there was nothing to take out; and how many images went.
        """
        audit_id, last = new_audit_id("r"), 0
        redacted: list[dict[str, Any]] = []

        def look(entries: Iterable[Entry]) -> None:
            nonlocal last
            for entry in entries:
                last = entry.number
                advance(1)
                if names := sorted(set(choose(entry)) & entry.parts.keys()):
                    redacted.append({"entry": entry.number, "audit_id": entry.audit_id, "parts": names})

        look(self.walk())  # most of the work, and nobody waits for it
        with self.transaction() as connection:
            look(_walk(connection, after=last))
            if redacted:
                self.add(connection, "redaction", audit_id, caller, {"why": why, "redacted": redacted}, {})
            gone = [(one["entry"], name) for one in redacted for name in one["parts"]]
            connection.executemany("DELETE FROM parts WHERE entry = ? AND name = ?", gone)
        with self.transaction() as connection:  # only now: bytes that go must be recorded as gone
            rows = connection.execute("SELECT DISTINCT text FROM parts WHERE name = ?", (IMAGE,))
            images = self.images.sweep({sha256 for (sha256,) in rows})
        with self._writing() as connection:  # the write-ahead log still holds the texts
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return (self.get(audit_id) if redacted else None), images

    def note_certificate(self, file_sha256: str, caller: str = "python") -> None:
        """Record the hash of a certificate's file before it is written, so that one edited by hand is known as such."""
        with self.transaction() as connection:
            self.add(connection, "certificate", new_audit_id("c"), caller, {"file_sha256": file_sha256}, {})

    def certificates(self) -> frozenset[str]:
        """The hashes of all certificates' files that were noted."""
        return frozenset(str(entry.fields["file_sha256"]) for entry in self.walk("certificate"))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, the only one at its time: all of it or, after any error, nothing."""
        with self._writing() as connection, self._turn(), atomic(connection):
            yield connection

    def close(self) -> None:
        """Give the connection up; the next append opens another."""
        with self._lock:
            self._drop()

    # ---------------------------------------------------------------- reading

    def get(self, audit_id: str) -> Entry:
        """The entry of an audit id.

        Raises:
            InputError: there is none; the newest answers are named.
        """
        with self._reading() as connection:
            found = _entries(connection, "WHERE audit_id = ?", (audit_id,))
            newest = "SELECT audit_id FROM entries WHERE kind = 'answer' ORDER BY number DESC LIMIT 3"
            listed = ", ".join(row[0] for row in connection.execute(newest)) or "none yet"
        if not found:
            raise InputError(f"no answer is recorded under {audit_id!r}; the newest ids are: {listed}")
        return found[0]

    def __getitem__(self, audit_id: str) -> Entry:
        """The same, as ``ledger["a-20261123-7f3k2m9q"]``."""
        return self.get(audit_id)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, oldest first."""
        return self.walk()

    def answered(self, audit_id: str) -> Entry:
        """The entry of an audit id, if it holds an answer.

        Raises:
            InputError: there is none, or it is a judgement or a redaction.
        """
        entry = self.get(audit_id)
        if entry.kind != "answer":
            raise InputError(f"{audit_id!r} is not an answer but a {entry.kind}; see the answers with: rag audit list")
        return entry

    def entries(self, limit: int = 100, before: int | None = None, kind: Kind | None = "answer") -> list[Entry]:
        """The newest entries first, at most ``limit``, of one kind or of all (None).

        Args:
            before: only entries with a lower number than this.
        """
        if not self._path.exists():
            return []
        conditions, values = ["1"], list[Any]()
        if before is not None:
            conditions, values = [*conditions, "number < ?"], [*values, before]
        if kind is not None:
            conditions, values = [*conditions, "kind = ?"], [*values, kind]
        with self._reading() as connection:
            where = f"WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?"
            return _entries(connection, where, (*values, limit))

    def sought(self, wanted: Wanted, limit: int = 100, before: int | None = None) -> list[Entry]:
        """The newest answers that are looked for, at most ``limit``; ``before`` as in :meth:`entries`."""
        if not self._path.exists():
            return []
        conditions, values = wanted.conditions()
        where = " AND ".join(["kind = 'answer'", "number < ?", *conditions])
        with self._reading() as connection:
            last = 2**63 - 1 if before is None else before
            return _entries(connection, f"WHERE {where} ORDER BY number DESC LIMIT ?", (last, *values, limit))

    def marks(self, audit_ids: Collection[str]) -> dict[str, str]:
        """How these answers were judged last; those that nobody judged are left out."""
        if not self._path.exists():
            return {}
        with self._reading() as connection:
            return dict(connection.execute(MARKS, (canonical_json(list(audit_ids)),)).fetchall())

    def thread(self, thread: str, caller: str, limit: int) -> list[Entry]:
        """The newest answers of one caller's thread, newest first, at most ``limit``.

        Nobody sees another caller's thread, whatever it is called.
        """
        if not self._path.exists():
            return []
        where = (
            f"WHERE {THREAD} = ? AND {THREAD} IS NOT NULL AND kind = 'answer' AND json_extract(record, '$.caller') = ?"
            " ORDER BY number DESC LIMIT ?"
        )
        with self._writing() as connection:  # it is open already, and has the index of threads
            return _entries(connection, where, (thread, caller[:_MOST_CALLER], limit))

    def walk(self, kind: Kind | None = None) -> Iterator[Entry]:
        """All entries, or those of one kind, as of one moment, oldest first, a few at a time."""
        if not self._path.exists():
            return
        with self._reading() as connection:
            connection.execute("BEGIN")
            yield from _walk(connection, kind=kind)
            connection.execute("ROLLBACK")

    def count(self) -> int:
        """How many entries there are."""
        if not self._path.exists():
            return 0
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])

    def verify_chain(
        self, *, images: bool = True, expect: str | None = None, advance: Callable[[int], None] = lambda _: None
    ) -> ChainReport:
        """Recompute every hash from the first entry on.

        Args:
            images: check the bytes of the questions' images as well.
            expect: a hash that the chain must go through: one noted earlier as its head.
            advance: told how many entries were looked at.
        """

        def watched() -> Iterator[Entry]:
            for entry in self.walk():
                yield entry
                advance(1)

        if not self._path.exists():
            raise InputError(f"nothing is recorded yet: there is no {self._path}")
        return check_chain(watched(), self.images if images else None, expect)

    # ---------------------------------------------------------------- connections

    def _keep_image(self, answer: Answer) -> str | None:
        return self.images.keep(Path(answer.question.image)) if answer.question.image else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The connection for writing; it stays open, unless an error or another file under our path speaks against."""
        with self._lock, self._translated():
            if not os.access(self._path.parent, os.W_OK):
                raise StorageError(
                    f"the ledger {self._path} cannot be written: its folder may only be read. Ask with --no-ledger (in "
                    "Python record=False), which records nothing, or copy the index to where it may be written"
                )
            try:
                yield self._connection()
            except (sqlite3.Error, OSError):
                self._drop()
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the transactions of other processes here, in a queue: SQLite sleeps and looks again.

        Between two busy writers those sleeps were half of all time. SQLite's own lock still protects the file. Ours is
        on the folder, since closing any descriptor of a file gives up SQLite's locks on it.
        """
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some network file systems lock no folders; there SQLite's waiting must do
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _connection(self) -> sqlite3.Connection:
        if self._kept is not None:
            connection, process, file = self._kept
            if process == os.getpid() and _identity(self._path) == file:
                return connection
            self._drop()  # we are a forked child, or the index was deleted and built anew
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = self._open()
        connection.execute(THREADS)
        self._kept = (connection, os.getpid(), _identity(self._path))
        return connection

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept[0].close()
            self._kept = None

    def _open(self) -> sqlite3.Connection:
        uri = sqlite_uri(self._path, writable=os.access(self._path.parent, os.W_OK))
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # what is redacted is overwritten, not left in the file
            prepare_ledger(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            raise InputError(f"nothing is recorded yet: there is no {self._path}")
        with self._translated(), closing(self._open()) as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise StorageError(f"the ledger {self._path} cannot be written or read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise IndexStateError(f"the ledger {self._path} is damaged or not a ledger: {error}") from error


def _identity(path: Path) -> tuple[int, int]:
    """Which file lies under a path; (0, 0) where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


def _entries(connection: sqlite3.Connection, where: str, values: Collection[Any]) -> list[Entry]:
    """Entries with their parts."""
    query = f"SELECT number, kind, audit_id, created, record, previous, sha256 FROM entries {where}"
    rows: list[tuple[Any, ...]] = connection.execute(query, tuple(values)).fetchall()
    parts: defaultdict[int, dict[str, LedgerPart]] = defaultdict(dict)
    listed = canonical_json([row[0] for row in rows])
    query = "SELECT entry, name, salt, text FROM parts WHERE entry IN (SELECT value FROM json_each(?)) ORDER BY rowid"
    for number, name, salt, text in connection.execute(query, (listed,)):
        parts[number][name] = LedgerPart(salt, text)
    return [
        Entry(number, kind, audit_id, created, record, previous, sha256, parts[number])
        for number, kind, audit_id, created, record, previous, sha256 in rows
    ]


def _walk(connection: sqlite3.Connection, after: int = -(2**63), kind: Kind | None = None) -> Iterator[Entry]:
    last, where = after, "WHERE number > ? AND kind = coalesce(?, kind) ORDER BY number LIMIT ?"
    while page := _entries(connection, where, (last, kind, _BATCH)):
        yield from page
        last = page[-1].number
