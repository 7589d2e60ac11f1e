"""The index store: one directory per index, read through snapshots, written by one writer at a time."""

from __future__ import annotations

import re
import secrets
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.errors import IndexStateError, InputError, RagError, StorageError
from rag.indexing import catalogue as catalogues
from rag.indexing import leases, segments
from rag.indexing.catalogue import Catalogue
from rag.indexing.compact import CompactReport, compact_index
from rag.indexing.history import roll_back
from rag.indexing.leases import take_lease
from rag.indexing.locks import Lock
from rag.indexing.records import IndexSummary, SpaceInfo, VersionInfo
from rag.indexing.segments import SegmentInfo
from rag.indexing.snapshot import Snapshot
from rag.indexing.spaces import AnySegment, latest_version, open_segment, read_spaces
from rag.indexing.statements import ReadDocument, documents_to_read, prepare_statements, write_statements
from rag.indexing.storage import discard_directory, refusals_named, size_of_tree, sync_directory
from rag.indexing.vectors import discard_segment
from rag.indexing.verify import VerifyReport, verify_index
from rag.indexing.writer import Writer
from rag.settings import VectorSettings
from rag.types import Document

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WRITE_LOCK = "write.lock"
_READ_AT_ONCE = 512  # documents between two checkpoints of a reading
_DEFAULT = VectorSettings.model_validate({})


class IndexStore:
    """One index. Cheap to open; safe for many threads and processes reading while one writes."""

    def __init__(self, path: Path, vectors: VectorSettings) -> None:
        """Use ``create`` or ``open``."""
        self.path = path
        self._vectors = vectors
        self.name = path.name
        self._catalogue = Catalogue(path / catalogues.FILE_NAME)
        self._open: weakref.WeakValueDictionary[str, AnySegment] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, vectors: VectorSettings = _DEFAULT) -> IndexStore:
        """Make an empty index at ``path``, or open the one that is there.

        Args:
            vectors: the backend and memory of vectors written from now on.

        Raises:
            InputError: the name is not usable, or something that is not an index is there.
            StorageError: the machine refused; nothing is left behind.
        """
        path = path.absolute()
        if not _NAME.fullmatch(path.name):
            raise InputError(
                f"{path.name!r} cannot be an index's name; use up to 100 of letters, digits, '.', '_', '-'"
            )
        if _is_index(path):
            return cls.open(path, vectors)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} exists and is not an index; choose another index name or remove it")
        aside = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
        with refusals_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                for folder in (aside, aside / segments.DIRECTORY, aside / leases.DIRECTORY):
                    folder.mkdir(mode=0o700)  # whoever else may read it is the owner's to say
                Catalogue.create(aside / catalogues.FILE_NAME)
                sync_directory(aside)
                aside.rename(path)
            except BaseException as error:
                discard_directory(aside)
                faster = isinstance(error, OSError) and (path / catalogues.FILE_NAME).exists()
                if not faster:  # than we was another process
                    raise
            sync_directory(path.parent)
        return cls.open(path, vectors)

    @classmethod
    def open(cls, path: Path, vectors: VectorSettings = _DEFAULT) -> IndexStore:
        """Open an existing index.

        Args:
            vectors: the backend and memory of vectors written from now on; what is there keeps its own until
                ``compact``.

        Raises:
            InputError: there is no such index; the message lists those that exist.
            IndexStateError: it is damaged, another program's file, or of a newer format.
        """
        path = path.absolute()
        file = path / catalogues.FILE_NAME
        try:
            is_there = path.is_dir() and any(path.iterdir())
        except PermissionError as error:
            raise StorageError(
                f"permission denied: {path} may not be read by this user; its owner can allow it"
            ) from error
        if not is_there:
            existing = ", ".join(summary.name for summary in list_indexes(path.parent)) or "none"
            raise InputError(
                f"no such index {path.name!r} in {path.parent}; existing: {existing}; build one with `rag ingest`"
            )
        if not file.is_file():
            raise IndexStateError(f"{file} is missing, so {path} is not an index or a damaged one; restore the file")
        with refusals_named(file):
            catalogues.check_header(file)
        store, noted = cls(path, vectors), leases.newest(path)
        version = store.version()  # the first real look at the catalogue
        if noted > version:
            raise IndexStateError(
                f"{file} ends with version {version}, and version {noted} has been here: the index was copied without "
                f"{file.name}-wal, or while it was written. Copy the whole folder again; or remove {leases.DIRECTORY} "
                f"from it to go on with version {version}"
            )
        return store

    def version(self) -> int:
        """The latest published version; 0 where nothing has been published."""
        with self._catalogue.connection() as connection:
            return latest_version(connection)

    def versions(self) -> list[VersionInfo]:
        """All versions, oldest first."""
        query = "SELECT number, created, note, added, updated, removed, documents FROM versions ORDER BY number"
        with self._catalogue.connection() as connection:
            return [VersionInfo(*row) for row in connection.execute(query)]

    def spaces(self) -> dict[str, SpaceInfo]:
        """The vector spaces of the latest version."""
        with self._catalogue.reading() as connection:
            return read_spaces(connection, latest_version(connection))

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A pinned read view of ``version``, or of the latest one.

        Raises:
            InputError: that version does not exist.
            IndexStateError: one of its files is missing or damaged.
        """
        number = self.version() if version is None else version
        self._last_row(number)  # before a lease is made for a version that never was
        lease = take_lease(self.path, number)
        return Snapshot(self._catalogue, number, self._last_row(number), self._open_segment, lease)

    def writer(self, timeout_s: float = 10.0, checkpoint: str | None = None) -> Writer:
        """The writer, once nobody else writes.

        Args:
            timeout_s: how long to wait for another writer.
            checkpoint: name of the work, which must change with whatever changes its result (source, chunking, encoder
                fingerprints). Batches that an interrupted writer of the same name has staged are taken over where
                ``compare`` meets the same documents again. Without a name nothing is taken over or left behind.

        Raises:
            IndexStateError: another writer holds the index.
            StorageError: the directory cannot be written.
        """
        lock = self._write_lock(timeout_s)
        catalogue = Catalogue(self._catalogue.path, writable=True)
        try:
            with refusals_named(self.path):
                return Writer(self.path, catalogue, lock, checkpoint, self._vectors)
        except BaseException:
            catalogue.close()
            lock.release()
            raise

    def rollback(self, version: int, timeout_s: float = 10.0) -> int:
        """Publish a new version with exactly the documents of ``version``; returns the new number.

        Raises:
            InputError: that version does not exist.
            IndexStateError: another writer holds the index.
        """
        with self._write_lock(timeout_s), self._writable() as catalogue:
            return roll_back(self.path, catalogue, version)

    def compact(self, keep: Collection[int] | None = None, timeout_s: float = 10.0) -> CompactReport:
        """Merge segments and collect garbage while readers go on.

        Args:
            keep: forget every version but these and the latest one, with the documents that only forgotten versions
                had: the way to erase a withdrawn patient for good. None forgets nothing.

        Raises:
            InputError: ``keep`` names a version that does not exist.
            IndexStateError: another writer holds the index.
            StorageError: the machine refused; the index is as it was.
        """
        with self._write_lock(timeout_s), self._writable() as catalogue, refusals_named(self.path):
            return compact_index(self.path, catalogue, keep, self._vectors)

    def read_anew(
        self, read: Callable[[int, Document], ReadDocument], rules: str, *, again: bool, timeout_s: float = 10.0
    ) -> Iterator[int]:
        """Keep what ``read`` finds in the latest version's reports; yields how many were read, batch by batch.

        Each batch is one durable transaction: an interrupted reading goes on where it stopped.

        Args:
            read: from a document and its row.
            rules: the version of whoever reads.
            again: also those that were read by other rules.

        Raises:
            IndexStateError: another writer holds the index.
            StorageError: the machine refused; what was read before is kept.
        """
        with self._write_lock(timeout_s), self._writable() as catalogue, refusals_named(self.path):
            with catalogue.transaction() as connection:
                prepare_statements(connection)
            for some in documents_to_read(catalogue, rules, _READ_AT_ONCE, again=again):
                found = [read(row, document) for row, document in some]
                with catalogue.transaction() as connection:
                    write_statements(connection, rules, found)
                yield len(found)
            catalogue.checkpoint()

    def verify(self) -> VerifyReport:
        """Recompute every hash and check every reference; problems are listed, not raised."""
        return verify_index(self.path, self._catalogue, self._vectors)

    def delete(self, timeout_s: float = 10.0) -> None:
        """Remove the index and everything in its directory. Open snapshots go on; the store cannot be used afterwards.

        Raises:
            IndexStateError: a writer holds the index.
            StorageError: the machine refused.
        """
        with self._write_lock(timeout_s), refusals_named(self.path):
            self.close()
            aside = self.path.with_name(f".tmp-{self.name}-{secrets.token_hex(4)}")
            self.path.rename(aside)
            for segment in sorted((aside / segments.DIRECTORY).iterdir()):
                discard_segment(segment, self._vectors)
            discard_directory(aside)

    def close(self) -> None:
        """Close the idle connections. Snapshots are closed on their own."""
        self._catalogue.close()

    def __enter__(self) -> IndexStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_segment(self, info: SegmentInfo) -> AnySegment:
        """The open segment, shared by all snapshots that use it and closed with the last of them."""
        with self._lock:
            segment = self._open.get(info.id)
            if segment is None:
                segment = self._open[info.id] = open_segment(self.path / segments.DIRECTORY, info, self._vectors)
            return segment

    def _write_lock(self, timeout_s: float) -> Lock:
        path = self.path / _WRITE_LOCK
        with refusals_named(path):
            lock = Lock.exclusive(path, create=True, timeout_s=timeout_s)
            if lock is None:
                owner = path.read_text(errors="replace")[:20] or "unknown"
                raise IndexStateError(
                    f"index {self.name!r} is being written by process {owner}; waited {timeout_s:g} s,"
                    " try again when it is done"
                )
            if not lock.is_on(path):
                lock.release()
                raise IndexStateError(
                    f"index {self.name!r} was deleted while this waited for it; run the command again"
                )
            lock.write_owner()
        return lock

    @contextmanager
    def _writable(self) -> Iterator[Catalogue]:
        catalogue = Catalogue(self._catalogue.path, writable=True)
        try:
            yield catalogue
        finally:
            catalogue.close()

    def _last_row(self, version: int) -> int:
        """The highest passage row given out when ``version`` was published."""
        with self._catalogue.reading() as connection:
            row = connection.execute("SELECT last_row FROM versions WHERE number = ?", (version,)).fetchone()
            latest = latest_version(connection)
        if row is not None:
            return int(row[0])
        if version == latest == 0:
            return -1
        raise InputError(f"index {self.name!r} has no version {version}; the latest is {latest}")


def index_names(root: Path) -> list[str]:
    """The names of the indexes in a directory, in order; they are not opened."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name) and _is_index(path))


def list_indexes(root: Path) -> list[IndexSummary]:
    """The indexes in a directory, by name; one that cannot be opened is listed with its problem."""
    return [_summary(root / name) for name in index_names(root)]


def _is_index(path: Path) -> bool:
    """Whether an index lies there; one may, where we may not look."""
    try:
        return (path / catalogues.FILE_NAME).is_file()
    except PermissionError:
        return True


def _summary(path: Path) -> IndexSummary:
    size = size_of_tree(path)
    try:
        with IndexStore.open(path) as store, store.snapshot() as snapshot:
            documents: dict[str, int] = {}
            for count in snapshot.counts():
                documents[count.kind] = documents.get(count.kind, 0) + count.documents
            created = next((info.created for info in store.versions()), "")
            return IndexSummary(path.name, path, snapshot.version, documents, size, created)
    except (RagError, OSError) as error:
        return IndexSummary(path.name, path, bytes=size, problem=str(error))
