"""Removal of files that no version needs: what a killed writer left, and segments that compaction has replaced."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rag.errors import StorageError
from rag.indexing import segments
from rag.indexing.catalogue import Catalogue
from rag.indexing.locks import Lock
from rag.indexing.spaces import read_segments
from rag.indexing.vectors import discard_segment
from rag.settings import VectorSettings


def collect_garbage(index: Path, catalogue: Catalogue, settings: VectorSettings) -> int:
    """Remove unnamed segments that no open snapshot uses; returns how many. Call it only under the write lock."""
    root = index / segments.DIRECTORY
    if not root.is_dir():
        return 0
    with catalogue.connection() as connection:
        named = {info.id for info in read_segments(connection)}
    collected = 0
    for path in sorted(root.iterdir()):
        if path.name in named:
            continue
        lock = None
        if (path / segments.MANIFEST).exists():
            lock = Lock.exclusive(path / segments.MANIFEST)
            if lock is None:  # an open snapshot reads it; a later writer will collect it
                continue
        with suppress(StorageError):  # a vector store that cannot be reached now: a later writer will try
            discard_segment(path, settings)
            collected += 1
        if lock is not None:
            lock.release()
    return collected
