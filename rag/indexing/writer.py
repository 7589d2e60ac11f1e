"""The one writer of an index: stages batches aside, then publishes them as a new version in one transaction."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.corpus.marks import Reputation, Told
from rag.errors import InputError, RagError
from rag.indexing import failpoints, leases, segments
from rag.indexing.catalogue import LISTED, Catalogue, listed
from rag.indexing.garbage import collect_garbage
from rag.indexing.history import now
from rag.indexing.locks import Lock
from rag.indexing.notices import NAMED, keep_said, said_of
from rag.indexing.plan import Plan, plan, rows_per_segment
from rag.indexing.records import Changes, FilingPlace, SpaceInfo
from rag.indexing.segments import SegmentInfo
from rag.indexing.shelves import write_shelves
from rag.indexing.spaces import (
    foreign_vectors,
    latest_version,
    read_segments,
    read_spaces,
    write_segments,
    write_spaces,
)
from rag.indexing.staging import DIRECTORY as STAGING
from rag.indexing.staging import Staging, canonical
from rag.indexing.vectors import check_vectors, write_vectors
from rag.indexing.words.postings import ROWS_PER_SEGMENT, write_words
from rag.indexing.words.terms import Tokenizer
from rag.settings import VectorSettings
from rag.types import Document, Passage, sha256_of

_TOLD = "json_object('notices', d.body -> '$.metadata.notices', 'elsewhere', d.body -> '$.metadata.elsewhere')"
_ORIGIN = "coalesce(json_extract(d.body, '$.metadata.origin'), '')"
_NO_SPACES: Mapping[str, SpaceInfo] = {}


class Writer:
    """A context manager made by ``IndexStore.writer``; holds the index's write lock while it is open.

    Nothing it does is seen by readers before ``publish``. Leaving without publishing discards what was staged, or, if
    the writer was given a ``checkpoint`` name, keeps it for the next writer of the same name.
    """

    def __init__(
        self, path: Path, catalogue: Catalogue, lock: Lock, checkpoint: str | None, settings: VectorSettings
    ) -> None:
        self.path = path
        self._catalogue = catalogue
        self._lock = lock
        self._checkpoint = checkpoint
        self._settings = settings
        self._removed: set[str] = set()
        self._seen: set[str] = set()
        collect_garbage(path, catalogue, settings)
        with catalogue.connection() as connection:
            published = {row[0] for row in connection.execute("SELECT ingest FROM versions")}
        self._staging = Staging.start(path / STAGING, checkpoint, published)

    def documents(self, size: int) -> Iterator[list[Document]]:
        """The documents of the latest version in the order they were ingested, at most ``size`` at a time."""
        query = (
            "SELECT d.row, d.body FROM documents d JOIN lifetimes l ON l.document = d.row AND l.valid_to IS NULL"
            " WHERE d.row > ? ORDER BY d.row LIMIT ?"
        )
        last = -1
        while True:
            with self._catalogue.connection() as connection:
                found = connection.execute(query, (last, size)).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield [Document.model_validate_json(body) for _, body in found]

    def compare(self, documents: Iterable[Document], *, anew: bool = False) -> Changes:
        """Sort documents into new, changed and unchanged against the latest version, by content hash.

        Documents that an interrupted run with this writer's checkpoint name has staged with the same content are
        listed apart; they will be published and need not be staged again.

        Args:
            anew: count unchanged documents as changed, because their vectors are to be replaced.
        """
        hashes = {document.id: sha256_of(canonical(document)) for document in documents}
        self._seen.update(hashes)
        alive = self._alive("d.id", hashes)
        same = {key for key, content in hashes.items() if alive.get(key) == content}
        unchanged = set[str]() if anew else same - self._removed
        self._staging.forget(unchanged)  # an earlier edition of this very run
        rest = {key: content for key, content in hashes.items() if key not in unchanged}
        staged = self._staging.want(rest)
        open_ = rest.keys() - staged
        return Changes(
            new=frozenset(open_ - alive.keys()),
            changed=frozenset(open_ & alive.keys()),
            unchanged=frozenset(unchanged),
            staged=frozenset(staged),
        )

    def stage(
        self,
        documents: Sequence[Document],
        passages: Sequence[Passage],
        vectors: Mapping[str, tuple[Sequence[str], NDArray[np.float32]]],
    ) -> None:
        """Write one batch aside; it is durable on return. May be called many times.

        Args:
            documents: whole documents; one whose id is alive becomes an update at publication.
            passages: all passages of these documents, in the documents' order.
            vectors: per space, passage ids and their (n, dim) float32 L2-normalised vectors.

        Raises:
            InputError: the parts do not fit together, or vectors are not normalised.
            StorageError: the machine refused; batches staged before are kept.
        """
        checked = {space: (ids, check_vectors(space, len(ids), matrix)) for space, (ids, matrix) in vectors.items()}
        self._staging.add(documents, passages, checked)
        self._seen.update(document.id for document in documents)

    def remove(
        self, *, document_ids: Sequence[str] = (), sources: Sequence[str] = (), groups: Sequence[str] = ()
    ) -> int:
        """Take documents out of the next version, by id, source or patient group; returns how many are alive now.

        What this writer has staged of them is dropped too; staging an id afterwards brings it back as an update.
        """
        chosen: set[str] = set()
        for column, values in (("d.id", document_ids), ("d.source", sources), ("d.group_id", groups)):
            if values:
                chosen.update(self._alive(column, values))
                self._staging.forget(self._staged_with(column.removeprefix("d."), values))
        fresh = chosen - self._removed
        self._removed |= chosen
        return len(fresh)

    def places(self, ids: Iterable[str]) -> dict[str, FilingPlace]:
        """Of these ids, those of living documents, with where each came from."""
        query = (
            f"SELECT d.id, d.source, {_ORIGIN}, d.sha256, {_TOLD} FROM documents d"
            f" JOIN lifetimes l ON l.document = d.row AND l.valid_to IS NULL WHERE d.id IN {LISTED}"
        )
        with self._catalogue.connection() as connection:
            found = connection.execute(query, (listed(ids),))
            return {
                identity: FilingPlace(source, origin, content, Told.of(json.loads(told)))
                for identity, source, origin, content, told in found
            }

    def named(self, names: Collection[str]) -> list[Document]:
        """The documents that the next version will have, as staged or else as they are, that have one of these names.

        See ``rag.corpus.marks.aliases_of``.
        """
        if not names:
            return []
        values = {"names": listed(names)}
        staged = (
            "SELECT d.id, d.body FROM (SELECT *, json_extract(body, '$.kind') AS kind FROM documents WHERE wanted) d"
        )
        alive = "SELECT d.id, d.body FROM documents d JOIN lifetimes l ON l.document = d.row AND l.valid_to IS NULL"
        by_id = f" WHERE d.id IN {LISTED}".replace("?", ":names")
        with self._staging.connection() as connection:
            bodies: dict[str, str] = dict(connection.execute(f"{staged}{by_id} UNION {staged} WHERE {NAMED}", values))
        with self._catalogue.connection() as connection:
            there = dict(connection.execute(f"{alive}{by_id} UNION {alive} WHERE {NAMED}", values))
            bodies |= self._staged_of(there.keys() - bodies.keys())
        bodies = {identity: body for identity, body in there.items() if identity not in self._removed} | bodies
        return [Document.model_validate_json(body) for _, body in sorted(bodies.items())]

    def said(self, names: Iterable[str]) -> dict[str, Reputation]:
        """What was said of those of these names of which anything was, in this ingest or another."""
        return said_of(self._catalogue.fetch, names)

    def keep_said(self, said: Mapping[str, Reputation]) -> None:
        """Keep what a source says of documents, at once: it is so whatever becomes of this version."""
        with self._catalogue.transaction() as connection:
            keep_said(connection, said)

    def unseen(self, scope: str, sources: Iterable[str]) -> dict[str, str]:
        """FilingPlace documents of a source that neither ``compare`` nor ``stage`` was given, with their origins.

        Args:
            scope: a prefix of origins that ends with a colon, or one origin.
            sources: corpora whose documents without an origin belong to the source as well.
        """
        query = (
            f"SELECT d.id, {_ORIGIN} AS origin FROM documents d JOIN lifetimes l ON l.document = d.row"
            f" AND l.valid_to IS NULL WHERE substr(origin, 1, ?) = ? OR (origin = '' AND d.source IN {LISTED})"
        )
        with self._catalogue.connection() as connection:
            found = connection.execute(query, (len(scope), scope, listed(sources))).fetchall()
        exact = not scope.endswith(":")
        return {
            identity: origin
            for identity, origin in found
            if identity not in self._seen and identity not in self._removed and (not exact or origin in ("", scope))
        }

    def check_spaces(self, spaces: Mapping[str, SpaceInfo]) -> None:
        """Refuse encoders other than the index's before anything is encoded; ``publish`` refuses them in any case.

        Raises:
            IndexStateError: a space holds vectors of another fingerprint.
        """
        with self._catalogue.connection() as connection:
            current = read_spaces(connection, latest_version(connection))
        for space, info in spaces.items():
            if space in current and current[space].fingerprint != info.fingerprint:
                raise foreign_vectors(self.path, space, current[space].fingerprint, info.fingerprint)

    def plans(self, spaces: Mapping[str, SpaceInfo]) -> dict[str, Plan]:
        """Per space with staged vectors, the backend they will get and what the whole index will then cost.

        ``spaces`` are those of ``publish``: vectors of other encoders, which only earlier versions have, do not count.
        """
        with self._catalogue.connection() as connection:
            there: Counter[str] = Counter()
            for info in read_segments(connection):
                if info.space in spaces and info.fingerprint == spaces[info.space].fingerprint:
                    there[info.space] += info.n
        return {
            space: plan(there[space] + n, dim, self._settings) for space, (dim, n) in self._staging.spaces().items()
        }

    def publish(self, note: str = "", spaces: Mapping[str, SpaceInfo] = _NO_SPACES) -> int:
        """Make everything staged and removed the new version; returns its number.

        With nothing to change the latest version stays and its number is returned.

        Args:
            note: one line for the list of versions.
            spaces: dimension and encoder fingerprint of each space that vectors were staged for; ``n`` is ignored.

        Raises:
            InputError: a staged space is missing in ``spaces`` or has another dimension.
            IndexStateError: vectors of another encoder are alive in one of the spaces.
            StorageError: the machine refused. In every case the index is as it was.
        """
        staged = self._staging.ids()
        removed = self._removed.difference(staged)
        if not staged and not removed:
            with self._catalogue.connection() as connection:
                return latest_version(connection)
        dims, plans = self._check_dims(spaces), self.plans(spaces)
        with self._catalogue.connection() as connection:
            first_row = int(connection.execute("SELECT coalesce(max(last_row), -1) + 1 FROM versions").fetchone()[0])
        last_row = self._staging.number_rows(first_row)
        failpoints.hit("rows-numbered")
        root, written = self.path / segments.DIRECTORY, list[SegmentInfo]()
        try:
            for space, dim in dims.items():
                fingerprint = spaces[space].fingerprint
                for rows, vectors in self._staging.blocks(space, dim, rows_per_segment(dim)):
                    backend = plans[space].backend_of(len(rows))
                    chosen = self._settings.model_copy(update={"backend": backend})
                    written.append(write_vectors(root, space, fingerprint, rows, vectors, chosen))
            for rows, texts in self._staging.texts(ROWS_PER_SEGMENT):
                written.append(write_words(root, rows, Tokenizer().count(texts)))
            with self._catalogue.transaction() as connection:
                version = self._write_version(connection, note, staged, removed, last_row)
                write_segments(connection, written)
                write_spaces(connection, self.path, version)
                write_shelves(connection, version)
                failpoints.hit("version-written")
        except BaseException:
            with contextlib.suppress(OSError, RagError):  # the next writer collects what is left
                collect_garbage(self.path, self._catalogue, self._settings)
            raise
        failpoints.hit("version-published")
        leases.note(self.path, version)
        self._catalogue.checkpoint()
        failpoints.hit("log-folded")
        self._removed = set()
        self._staging.discard()
        failpoints.hit("staging-discarded")
        self._staging = Staging.start(self.path / STAGING, self._checkpoint, ())
        return version

    def close(self) -> None:
        """Give up the lock; what is staged is kept only under a checkpoint name."""
        if self._checkpoint is not None and self._staging.ids():
            self._staging.close()
        else:
            self._staging.discard()
        self._catalogue.close()
        self._lock.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _alive(self, column: str, values: Iterable[str]) -> dict[str, str]:
        """Content hash by id of the alive documents whose ``column`` is one of ``values``."""
        query = (
            f"SELECT d.id, d.sha256 FROM documents d JOIN lifetimes l ON l.document = d.row AND l.valid_to IS NULL"
            f" WHERE {column} IN {LISTED}"
        )
        with self._catalogue.connection() as connection:
            return dict(connection.execute(query, (listed(values),)))

    def _staged_with(self, field: str, values: Sequence[str]) -> list[str]:
        with self._staging.connection() as connection:
            query = f"SELECT id FROM documents WHERE json_extract(body, '$.{field}') IN {LISTED}"
            return [row[0] for row in connection.execute(query, (listed(values),))]

    def _staged_of(self, ids: Iterable[str]) -> dict[str, str]:
        with self._staging.connection() as connection:
            query = f"SELECT id, body FROM documents WHERE wanted AND id IN {LISTED}"
            return dict(connection.execute(query, (listed(ids),)))

    def _check_dims(self, spaces: Mapping[str, SpaceInfo]) -> dict[str, int]:
        staged = self._staging.spaces()
        for space, (dim, _) in staged.items():
            if space not in spaces:
                raise InputError(f"vectors were staged for space {space!r}, but publish was not told its encoder")
            if spaces[space].dim != dim:
                raise InputError(f"space {space!r} was declared with dim {spaces[space].dim}, its vectors have {dim}")
        return {space: dim for space, (dim, _) in staged.items()}

    def _write_version(
        self, connection: sqlite3.Connection, note: str, staged: list[str], removed: set[str], last_row: int
    ) -> int:
        before = latest_version(connection)
        version = before + 1
        replaced = self._end(connection, version, staged)
        ended = self._end(connection, version, removed)
        self._write_documents(connection, version)
        alive = int(connection.execute("SELECT count(*) FROM lifetimes WHERE valid_to IS NULL").fetchone()[0])
        created = now()
        changes = len(staged) - replaced, replaced, ended, alive
        connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (version, created, note, self._staging.ingest, *changes, last_row),
        )
        return version

    @staticmethod
    def _end(connection: sqlite3.Connection, version: int, ids: Iterable[str]) -> int:
        """End the lives of these documents with ``version``; returns how many were alive."""
        query = (
            "UPDATE lifetimes SET valid_to = ? WHERE valid_to IS NULL"
            f" AND document IN (SELECT row FROM documents WHERE id IN {LISTED})"
        )
        return connection.execute(query, (version, listed(ids))).rowcount

    def _write_documents(self, connection: sqlite3.Connection, version: int) -> None:
        row = int(connection.execute("SELECT coalesce(max(row), -1) + 1 FROM documents").fetchone()[0])
        for body, content, first, passages in self._staging.documents():
            document = Document.model_validate_json(body)
            shelf = (
                document.kind, document.domain, document.source,
                document.licence, document.case_id, document.group_id,
            )  # fmt: skip
            connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row, document.id, *shelf, first, len(passages), content, body),
            )
            connection.execute("INSERT INTO lifetimes VALUES (?, ?, NULL)", (row, version))
            for passage_row, identity, start, end, passage_sha256 in passages:
                connection.execute(
                    "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)",
                    (passage_row, row, identity, start, end, passage_sha256),
                )
            row += 1
