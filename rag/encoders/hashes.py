"""Hashes of files of weights, remembered between processes: hashing them takes longer than answering a question.

A large file is read again when its size, its inode or one of its times has changed; the time of its last change
(``ctime``) cannot be set, so no program replaces a file unnoticed. What a disk does to a file on its own is found by
``rag doctor``, which begins with :func:`forget`. They are remembered as JSON in the user's cache folder; where that
cannot be read or written, files are hashed each time. Caches by libraries (diskcache, joblib) hold pickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

_LARGE = 1 << 20  # bytes; a smaller file is hashed in a millisecond
_SETTLED_NS = 2_000_000_000  # a file that has just changed may do so again within the resolution of its times


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, which is read only if it is small or not as it was when it was last read."""
    about = path.stat()
    if about.st_size < _LARGE:
        return _read(path)
    state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    known, name = _remembered(), str(path.absolute())
    before = known.get(name)
    if isinstance(before, dict) and before.get("state") == state and isinstance(before.get("sha256"), str):
        return str(before["sha256"])
    found = _read(path)
    if max(about.st_mtime_ns, about.st_ctime_ns) < time.time_ns() - _SETTLED_NS:
        _remember(known | {name: {"state": state, "sha256": found}})
    return found


def forget() -> None:
    """Have every file read again."""
    with suppress(OSError):
        _place().unlink(missing_ok=True)


def _read(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _place() -> Path:
    return user_cache_path("clincite") / "weights.json"


def _remembered() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        known = json.loads(_place().read_text("utf-8"))
        if isinstance(known, dict):
            return known
    return {}


def _remember(known: dict[str, Any]) -> None:
    """Written whole, so that no reader sees half of it; of two who write at once, one is not remembered."""
    there = {path: about for path, about in known.items() if Path(path).exists()}
    with suppress(OSError):
        place = _place()
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f"{place.name}.{os.getpid()}")
        aside.write_text(json.dumps(there, indent=1), "utf-8")
        aside.replace(place)
