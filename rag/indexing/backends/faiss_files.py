"""Reading and writing FAISS indexes: memory-mapped, with clear errors, and searched through a mask."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag.errors import IndexStateError, StorageError
from rag.indexing.backends.protocol import Allowed, Vectors
from rag.indexing.segments import SegmentGoneError, damaged

INDEX = "index.faiss"


def write_faiss(index: Any, path: Path, flags: int = 0) -> None:
    """Write a FAISS index; ``flags`` are FAISS's own.

    Raises:
        StorageError: the disk is full or the file too large.
    """
    import faiss

    try:
        faiss.write_index(index, str(path), flags)
    except RuntimeError as error:  # FAISS reports a short write like this
        raise StorageError(
            f"cannot write {path}: disk full or file too large; the index is as it was, "
            "free space and run the command again"
        ) from error


def hold(directory: Path) -> int:
    """A descriptor of the index in ``directory``, to be closed by the caller: what it names outlives the name.

    Raises:
        SegmentGoneError: no such file.
    """
    try:
        return os.open(directory / INDEX, os.O_RDONLY)
    except FileNotFoundError as error:
        raise SegmentGoneError(directory / INDEX) from error


def read_faiss(path: Path, kind: type[Any] | tuple[type[Any], ...], n: int, dim: int) -> Any:
    """Map the FAISS index at ``path``; pages are read when a search first touches them.

    Raises:
        SegmentGoneError: no such file.
        IndexStateError: it is not a FAISS index of this kind and shape.
    """
    import faiss

    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        if not path.exists():
            raise SegmentGoneError(path) from error
        raise IndexStateError(damaged(path, "FAISS cannot read it")) from error
    if not isinstance(index, kind) or (index.ntotal, index.d) != (n, dim):
        raise IndexStateError(damaged(path, "it is not the FAISS index that was published"))
    return index


def stored_vectors(flat: Any) -> Vectors:
    """The (n, dim) float32 vectors inside a flat FAISS index, not copied; keep the index as long as they are used."""
    import faiss

    vectors: Vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
    vectors.flags.writeable = False
    return vectors


def search_parameters(
    kind: Callable[..., Any], allowed: Allowed | None, few: bool = False, **how: int
) -> tuple[Any, Any]:
    """FAISS search parameters restricted to a mask, and what they refer to, to be kept while they are used.

    Masked vectors are skipped before their distance is computed. Without a mask, parameters are made once: making them
    takes as long as scoring what is found.

    Args:
        allowed: the mask, in FAISS's own order of the vectors.
        few: whether an exact scan is asked few queries.
        how: what else the parameters say.
    """
    if allowed is None:
        return _unmasked(kind, few, **how)
    import faiss

    selector = faiss.IDSelectorBitmap(len(allowed.bits), faiss.swig_ptr(allowed.bits))
    return kind(sel=selector, **how), selector


@lru_cache(maxsize=256)
def _unmasked(kind: Callable[..., Any], few: bool, **how: int) -> tuple[Any, Any]:
    import faiss

    if not few:
        return kind(**how), None
    # Given any selector, FAISS scans for a few queries without waking its threads: 5 times faster for one.
    selector = faiss.IDSelectorAll()
    return kind(sel=selector, **how), selector
