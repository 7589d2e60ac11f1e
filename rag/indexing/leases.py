"""Leases: a reader's shared lock on the version it reads, so that compaction does not forget it meanwhile.

Their files also tell, outside the catalogue, which versions have been: a catalogue that lacks the newest of them was
copied without its write-ahead log.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rag.indexing.locks import Lock

DIRECTORY = "leases"


def lease_path(index: Path, version: int) -> Path:
    return index / DIRECTORY / f"v{version:d}"


def note(index: Path, version: int) -> None:
    """Leave the file of a version that has just been published; what cannot be left is only missed by ``newest``."""
    with contextlib.suppress(OSError):
        path = lease_path(index, version)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)


def newest(index: Path) -> int:
    """The newest version that has been noted or read; 0 where none has."""
    with contextlib.suppress(OSError):
        names = [path.name for path in (index / DIRECTORY).iterdir()]
        return max((int(name[1:]) for name in names if name[:1] == "v" and name[1:].isdecimal()), default=0)
    return 0


def take_lease(index: Path, version: int) -> Lock | None:
    """A shared lock on ``version``; None on a read-only disk, where nobody compacts either."""
    path = lease_path(index, version)
    note(index, version)
    with contextlib.suppress(OSError):
        return Lock.shared(path)
    return None
