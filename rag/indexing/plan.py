"""Which vector backend an index gets, and what it will cost, known before anything is built."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rag.indexing.backends.effort import PROBES
from rag.indexing.backends.protocol import VectorIndex
from rag.indexing.catalogue import MAPPED
from rag.plugins import find
from rag.settings import VectorSettings

FLAT_UP_TO = 20_000  # so many vectors are compared one by one in a few milliseconds
_SEGMENT_BYTES = 1 << 29
# A process that has opened an index: interpreter, FAISS, work space of a search; and the mapped pages of the catalogue.
_PROCESS = (128 << 20) + MAPPED
# Scores that the effort of an approximate index is measured with: as float32 twice, and what passes.
_SCORED = 9 << 25
_WORKSPACE = 768 << 20  # of an accelerator: its context, and what a search works in


@dataclass(frozen=True)
class Plan:
    """A backend for ``n`` vectors of dimension ``dim`` and its cost in bytes.

    ``resident`` is what a process that searches the index holds once every page has been touched: the vectors' index,
    their rows and masks, and the process itself. Word search and the encoders come on top. ``building`` is the same of
    the process that writes it, a segment at a time. ``device`` is what lies in the memory of an accelerator, for
    backends that search on one; how much it has is not known before one is there.
    """

    backend: str
    n: int
    dim: int
    resident: int
    disk: int
    memory: int
    building: int
    device: int = 0

    @property
    def fits(self) -> bool:
        """Whether ``resident`` stays within ``memory``; where nothing does, the smallest backend is planned."""
        return self.resident <= self.memory

    def backend_of(self, n: int) -> str:
        """The backend of one segment of ``n`` vectors."""
        return self.backend if n >= _backend(self.backend).smallest else "flat"

    def __str__(self) -> str:
        size = f"{self.n:,} vectors of {self.dim} dimensions: {self.backend}, {_gib(self.resident)} in memory"
        bound = f"{_gib(self.memory)} allowed" if self.fits else f"MORE than the {_gib(self.memory)} allowed"
        there = f", {_gib(self.device)} on the accelerator" if self.device else ""
        return f"{size} ({bound}; {_gib(self.building)} while it is written), {_gib(self.disk)} on disk{there}"


def plan(n: int, dim: int, settings: VectorSettings) -> Plan:
    """The plan for ``n`` vectors of dimension ``dim``.

    With ``backend = "auto"``: flat for few vectors; else the graph, scalar or product quantisation, whichever comes
    first within the memory.
    """
    memory = int(settings.memory_gib * 2**30) if settings.memory_gib is not None else _half_of_the_machine()
    backend: str = settings.backend
    if backend == "auto":
        choices = ("flat",) if n <= FLAT_UP_TO else ("hnsw", "ivf-sq8", "ivf-pq")
        fitting = (choice for choice in choices if _resident(choice, n, dim) <= memory)
        backend = next(fitting, choices[-1])
    disk = n * (_backend(backend).cost(dim).disk + 8)
    device = n * _backend(backend).cost(dim).device
    resident, building = _resident(backend, n, dim), _building(backend, n, dim)
    return Plan(backend, n, dim, resident, disk, memory, building, device + _WORKSPACE if device else 0)


def rows_per_segment(dim: int) -> int:
    """How many vectors one segment holds at most: what is in memory at once while it is written."""
    return max(1, _SEGMENT_BYTES // (4 * dim))


def _backend(name: str) -> type[VectorIndex]:
    found: type[VectorIndex] = find("backend", name, setting="vectors.backend")
    return found


def _resident(backend: str, n: int, dim: int) -> int:
    cost = _backend(backend).cost(dim)
    segments = -(-n // rows_per_segment(dim))
    return n * (cost.memory + 8 + 2) + cost.segment * segments + _PROCESS


def _building(backend: str, n: int, dim: int) -> int:
    """One segment: its vectors as they came and as they are stored, what is made of them, and its measuring."""
    kind = _backend(backend)
    cost, rows = kind.cost(dim), min(n, rows_per_segment(dim))
    measured = 0 if kind.exact else min(_SCORED, 9 * PROBES * rows)
    return rows * (4 * dim + cost.disk) + measured + _PROCESS


def _half_of_the_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
