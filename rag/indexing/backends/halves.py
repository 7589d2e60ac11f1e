"""Vectors in half precision in a memory-mapped file, whose share of resident memory stays bounded."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from rag.indexing.backends.protocol import Positions, Stored, Vectors
from rag.indexing.segments import load_array, write_array

HALVES = "vectors.npy"
RESIDENT = 32 << 20  # bytes of the file that may stay mapped in
_FOLIO = 2 << 20  # the kernel maps up to this much around each touched vector, if its cache holds it so (Linux 6.18)


class Halves:
    """(n, dim) float16 vectors.

    Rounding to half precision moves an inner product of unit vectors by less than 5e-4. Where ``bounded``, touched
    pages are given back to the system now and then: it keeps them cached while memory is free, but this process does
    not hold them.
    """

    def __init__(self, directory: Path, n: int, dim: int, *, bounded: bool = True) -> None:
        mapped = load_array(directory / HALVES, np.float16, (n, dim))
        self._map: mmap.mmap | None = getattr(mapped, "_mmap", None) if bounded else None
        self._vectors = np.asarray(mapped)  # as a plain array it is indexed several times as fast
        self._touched = 0

    @staticmethod
    def write(directory: Path, vectors: Vectors) -> None:
        write_array(directory / HALVES, vectors.astype(np.float16))

    def take(self, positions: Positions) -> Stored:
        taken: Stored = self._vectors.take(positions, axis=0)  # after a walk half the time of an index in brackets
        self._touched += positions.size * _FOLIO
        if self._touched > RESIDENT and self._map is not None:
            self._touched = 0
            self._map.madvise(mmap.MADV_DONTNEED)
        return taken
