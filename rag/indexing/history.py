"""Going back: an old version becomes the newest one without anything being copied."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from rag.errors import InputError
from rag.indexing import failpoints, leases
from rag.indexing.catalogue import Catalogue
from rag.indexing.shelves import write_shelves
from rag.indexing.spaces import latest_version, write_spaces


def roll_back(index: Path, catalogue: Catalogue, version: int) -> int:
    """Publish a new version with exactly the documents of ``version``; returns its number.

    Rolling back to the latest version changes nothing. Call it under the write lock.

    Raises:
        InputError: that version does not exist.
    """
    with catalogue.transaction() as connection:
        latest = latest_version(connection)
        if version == latest and latest > 0:
            return latest
        if connection.execute("SELECT 1 FROM versions WHERE number = ?", (version,)).fetchone() is None:
            raise InputError(f"index {index.name!r} has no version {version}; the latest is {latest}")
        new = latest + 1
        counts = _differences(connection, latest, version)
        connection.execute(
            f"UPDATE lifetimes SET valid_to = ? WHERE valid_to IS NULL AND document NOT IN {_documents_of(version)}",
            (new,),
        )
        connection.execute(
            f"INSERT INTO lifetimes SELECT document, ?, NULL FROM {_documents_of(version)}"
            " WHERE document NOT IN (SELECT document FROM lifetimes WHERE valid_to IS NULL)",
            (new,),
        )
        alive = connection.execute("SELECT count(*) FROM lifetimes WHERE valid_to IS NULL").fetchone()[0]
        last_row = connection.execute("SELECT max(last_row) FROM versions").fetchone()[0]
        connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, '', ?, ?, ?, ?, ?)",
            (new, now(), f"rollback to version {version}", *counts, alive, last_row),
        )
        write_spaces(connection, index, new)
        write_shelves(connection, new)
        failpoints.hit("rollback-written")
    failpoints.hit("rollback-published")
    leases.note(index, new)
    return new


def now() -> str:
    """The time a version is stamped with: UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _documents_of(version: int) -> str:
    return (
        f"(SELECT document FROM lifetimes WHERE valid_from <= {version:d}"
        f" AND (valid_to IS NULL OR valid_to > {version:d}))"
    )


def _differences(connection: sqlite3.Connection, before: int, after: int) -> tuple[int, int, int]:
    """Documents added, updated (same id, other content or vectors) and removed from one version to another."""
    rows = "SELECT id, row FROM documents WHERE row IN {}"
    old = dict(connection.execute(rows.format(_documents_of(before))).fetchall())
    new = dict(connection.execute(rows.format(_documents_of(after))).fetchall())
    updated = sum(1 for key in old.keys() & new.keys() if old[key] != new[key])
    return len(new.keys() - old.keys()), updated, len(old.keys() - new.keys())
