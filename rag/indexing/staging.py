"""What a writer has been given but has not published: batches in a SQLite file beside the catalogue.

Each batch is one durable transaction, so that file is the checkpoint of an interrupted ingest. Readers never look here.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from rag.errors import InputError, RagError
from rag.indexing import failpoints
from rag.indexing.backends.protocol import Vectors
from rag.indexing.catalogue import LISTED, listed, translated
from rag.indexing.segments import Rows
from rag.indexing.storage import atomic, discard_directory, refusals_named, sync_directory
from rag.types import Document, Passage, sha256_of

DIRECTORY = "staging"
_FILE = "batches.sqlite"
_ID = re.compile(r"[0-9a-f]{32}")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, body TEXT NOT NULL,
    wanted INTEGER NOT NULL, -- 1 if this run asked for it; an interrupted run's leftovers are 0 until compared
    first INTEGER -- the row of its first passage, given at publication
);
CREATE TABLE IF NOT EXISTS passages (
    document INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, start INTEGER NOT NULL,
    end INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (document, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (
    space TEXT NOT NULL, document INTEGER NOT NULL, position INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (space, document, position)
);
"""


def canonical(document: Document) -> str:
    """The JSON whose hash is ``document.sha256``: what the catalogue stores.

    Raises:
        InputError: metadata that is not JSON, or text that is not Unicode.
    """
    try:
        body = json.dumps(document.model_dump(), sort_keys=True, ensure_ascii=False)
        body.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InputError(f"document {document.id!r} cannot be stored: {error}; correct it at its source") from error
    return body


class Staging:
    """One ingest's batches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ingest = path.name
        self._connection = self._open()

    @classmethod
    def start(cls, root: Path, checkpoint: str | None, published: Collection[str]) -> Staging:
        """Continue the interrupted ingest that was named ``checkpoint`` if there is one, else start afresh.

        Batches of other ingests and of those already ``published`` are discarded; so are unreadable ones.
        """
        with refusals_named(root):
            root.mkdir(mode=0o700, exist_ok=True)
            continued: Staging | None = None
            for path in sorted(root.iterdir()):
                resumable = checkpoint is not None and _ID.fullmatch(path.name) and path.name not in published
                if resumable and checkpoint is not None and continued is None:
                    continued = cls._continue(path, checkpoint)
                if continued is None or continued.path != path:
                    discard_directory(path)
            if continued is not None:
                return continued
            path = root / secrets.token_hex(16)
            path.mkdir(mode=0o700)
            staging = cls(path)
            with staging.transaction() as connection:
                connection.execute("INSERT INTO checkpoint VALUES (?)", (checkpoint or "",))
            sync_directory(path)
            sync_directory(root)
        return staging

    @classmethod
    def _continue(cls, path: Path, checkpoint: str) -> Staging | None:
        try:
            staging = cls(path)
            with staging.transaction() as connection:
                names = connection.execute("SELECT name FROM checkpoint").fetchall()
                if names == [(checkpoint,)]:
                    connection.execute("UPDATE documents SET wanted = 0, first = NULL")
                    return staging
            staging.close()
        except RagError:
            return None
        return None

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Passage],
        vectors: Mapping[str, tuple[Sequence[str], Vectors]],
    ) -> None:
        """Write one batch durably. A document that was staged before is replaced."""
        of_document: dict[str, list[Passage]] = {document.id: [] for document in documents}
        if len(of_document) != len(documents):
            raise InputError("a batch holds the same document id twice; ids must be unique within an index")
        places: dict[str, tuple[str, int]] = {}
        texts = {document.id: document.text for document in documents}
        for passage in passages:
            if passage.document_id not in of_document:
                raise InputError(f"passage {passage.id!r}: its document {passage.document_id!r} is not in the batch")
            if passage.id in places:
                raise InputError(f"passage id {passage.id!r} occurs twice in a batch")
            if texts[passage.document_id][passage.start : passage.end] != passage.text:
                span = f"characters {passage.start}:{passage.end}"
                raise InputError(f"passage {passage.id!r} is not {span} of document {passage.document_id!r}")
            places[passage.id] = passage.document_id, len(of_document[passage.document_id])
            of_document[passage.document_id].append(passage)
        bodies = {document.id: canonical(document) for document in documents}
        with self.transaction() as connection:
            self._forget(connection, list(bodies))
            numbers: dict[str, int] = {}
            for identity, body in bodies.items():
                cursor = connection.execute(
                    "INSERT INTO documents (id, sha256, body, wanted) VALUES (?, ?, ?, 1)",
                    (identity, sha256_of(body), body),
                )
                numbers[identity] = cursor.lastrowid or 0
            connection.executemany(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (numbers[identity], position, passage.id, passage.start, passage.end, passage.sha256)
                    for identity, some in of_document.items()
                    for position, passage in enumerate(some)
                ),
            )
            for space, (ids, matrix) in vectors.items():
                unknown = next((identity for identity in ids if identity not in places), None)
                if unknown is not None or len(set(ids)) != len(ids):
                    fault = "a passage twice" if unknown is None else f"passage {unknown!r}, which is not in the batch"
                    raise InputError(f"the vectors of space {space!r} name {fault}")
                connection.executemany(
                    "INSERT INTO vectors VALUES (?, ?, ?, ?)",
                    (
                        (space, numbers[places[identity][0]], places[identity][1], vector.astype("<f4").tobytes())
                        for identity, vector in zip(ids, matrix, strict=True)
                    ),
                )
            failpoints.hit("batch-written")
        failpoints.hit("batch-durable")

    def want(self, hashes: Mapping[str, str]) -> set[str]:
        """Of these ids, those staged with exactly this content; they will be published."""
        with self.transaction() as connection:
            query = f"SELECT id, sha256 FROM documents WHERE id IN {LISTED}"
            same = {
                identity
                for identity, content in connection.execute(query, (listed(hashes),))
                if hashes[identity] == content
            }
            connection.execute(f"UPDATE documents SET wanted = 1 WHERE id IN {LISTED}", (listed(same),))
        return same

    def forget(self, ids: Iterable[str]) -> None:
        with self.transaction() as connection:
            self._forget(connection, list(ids))

    def ids(self) -> list[str]:
        with self.connection() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM documents WHERE wanted ORDER BY number")]

    def spaces(self) -> dict[str, tuple[int, int]]:
        """Dimension and number of the vectors to publish, per space.

        Raises:
            InputError: vectors of one space differ in dimension.
        """
        query = (
            "SELECT space, length(vector) / 4, count(*) FROM vectors v JOIN documents d ON d.number = v.document"
            " WHERE d.wanted GROUP BY 1, 2"
        )
        found: dict[str, tuple[int, int]] = {}
        with self.connection() as connection:
            for space, dim, n in connection.execute(query):
                if space in found:
                    raise InputError(f"space {space!r} was given vectors of dimensions {found[space][0]} and {dim}")
                found[space] = dim, n
        return found

    def number_rows(self, first_row: int) -> int:
        """Give consecutive rows from ``first_row`` on to the passages to publish; returns the last one."""
        row = first_row
        with self.transaction() as connection:
            connection.execute("UPDATE documents SET first = NULL")
            query = (
                "SELECT d.number, count(p.document) FROM documents d LEFT JOIN passages p ON p.document = d.number"
                " WHERE d.wanted GROUP BY d.number ORDER BY d.number"
            )
            for number, count in connection.execute(query).fetchall():
                connection.execute("UPDATE documents SET first = ? WHERE number = ?", (row, number))
                row += count
        return row - 1

    def texts(self, limit: int) -> Iterator[tuple[Rows, list[str]]]:
        """Rows and texts of the passages that have text, in row order, at most ``limit`` at a time."""
        pairs = (
            (row, text[start:end])
            for body, _, _, passages in self.documents()
            for text in [str(json.loads(body)["text"])]
            for row, _, start, end, _ in passages
            if end > start
        )
        while block := list(islice(pairs, limit)):
            yield np.array([row for row, _ in block], np.int64), [text for _, text in block]

    def blocks(self, space: str, dim: int, limit: int) -> Iterator[tuple[Rows, Vectors]]:
        """Rows and vectors of a space in row order, at most ``limit`` at a time; the next ones overwrite them."""
        query = (
            "SELECT d.first + v.position, v.vector FROM documents d"
            " JOIN vectors v ON v.document = d.number AND v.space = ? WHERE d.wanted ORDER BY d.number, v.position"
        )
        with self.connection() as connection:
            cursor = connection.execute(query, (space,))
            rows, vectors, n = np.empty(limit, np.int64), np.empty((limit, dim), np.float32), 0
            for n, (row, vector) in enumerate(cursor, start=1):
                place = (n - 1) % limit
                rows[place], vectors[place] = row, np.frombuffer(vector, "<f4")
                if place == limit - 1:
                    yield rows, vectors
            if n % limit:
                yield rows[: n % limit], vectors[: n % limit]

    def documents(self) -> Iterator[tuple[str, str, int, list[tuple[int, str, int, int, str]]]]:
        """Each document to publish: body, hash, first row, and its passages as (row, id, start, end, hash)."""
        with self.connection() as connection:
            query = "SELECT number, body, sha256, first FROM documents WHERE wanted ORDER BY number"
            for number, body, content, first in connection.execute(query):
                passages = connection.execute(
                    "SELECT ? + position, id, start, end, sha256 FROM passages WHERE document = ? ORDER BY position",
                    (first, number),
                ).fetchall()
                yield body, content, first, passages

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path / _FILE):
            yield self._connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.connection() as connection, atomic(connection):
            yield connection

    def close(self) -> None:
        self._connection.close()

    def discard(self) -> None:
        """Close and remove the batches."""
        self.close()
        discard_directory(self.path)

    def _open(self) -> sqlite3.Connection:
        with translated(self.path / _FILE):
            connection = sqlite3.connect(self.path / _FILE, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
        return connection

    @staticmethod
    def _forget(connection: sqlite3.Connection, ids: list[str]) -> None:
        old = f"(SELECT number FROM documents WHERE id IN {LISTED})"
        for table in ("vectors", "passages"):
            connection.execute(f"DELETE FROM {table} WHERE document IN {old}", (listed(ids),))
        connection.execute(f"DELETE FROM documents WHERE id IN {LISTED}", (listed(ids),))
