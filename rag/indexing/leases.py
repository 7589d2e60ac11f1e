"""Leases: a reader's shared lock on the version it reads, so that compaction does not forget it meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path

from rag.indexing.locks import Lock

DIRECTORY = "leases"


def lease_path(index: Path, version: int) -> Path:
    return index / DIRECTORY / f"v{version:d}"


def take_lease(index: Path, version: int) -> Lock | None:
    """A shared lock on ``version``; None on a read-only disk, where nobody compacts either."""
    path = lease_path(index, version)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        return Lock.shared(path)
    return None
