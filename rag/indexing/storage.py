"""Durable writes: what is written here has reached the disk when the function returns."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from rag.errors import StorageError

_REFUSALS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Turn the machine's refusal to write (full, too large, not allowed) into a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise StorageError(
            f"cannot write {path}: {os.strerror(error.errno or 0).lower()}; the index is as it was, free the space "
            "or the permission and run the command again"
        ) from error


def sqlite_uri(path: Path, *, writable: bool) -> str:
    """The URI under which SQLite opens an existing file, only to read unless ``writable``.

    In a folder that may only be read SQLite cannot make its shared-memory file: there a file without a write-ahead log
    is said never to change.
    """
    log = path.with_name(path.name + "-wal")
    never_changes = not writable and not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
    mode = "rw" if writable else "ro"
    return f"file:{quote(str(path))}?mode={mode}{'&immutable=1' if never_changes else ''}"


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, the only one at its time: all of it or, after any error, nothing.

    The connection is in autocommit mode (``isolation_level=None``).
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


sync_directory = sync_file  # a directory is opened and fsynced in the same way


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of_tree(path: Path) -> int:
    """Bytes of all files under ``path``; files that vanish meanwhile count nothing."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(directory) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def discard_directory(path: Path) -> None:
    """Remove a directory as far as the machine lets us; renamed first, so that a crash leaves known garbage."""
    if not path.name.startswith(".tmp-"):
        aside = path.with_name(f".tmp-{path.name}")
        try:
            path.rename(aside)
        except OSError:
            return  # gone already, or not ours to remove
        path = aside
    shutil.rmtree(path, ignore_errors=True)
