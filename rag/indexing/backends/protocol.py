"""What a vector backend is.

A backend only *proposes* neighbours. The segment scores what is proposed from the stored vectors, orders it, and fills
up from an exact scan where a filter left too little, so every backend answers with the same scores in the same order
and differs in recall and speed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.settings import VectorSettings

Vectors = NDArray[np.float32]
Stored = NDArray[np.float16] | NDArray[np.float32]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Facts = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Allowed:
    """The positions that a search may return: a mask, counted and packed once for many searches.

    Equal to itself alone, so that what a backend makes of it can be kept as long as it lives.
    """

    mask: Mask
    count: int
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, mask: Mask) -> Allowed:
        return cls(mask, int(np.count_nonzero(mask)), np.packbits(mask, bitorder="little"))

    @property
    def share(self) -> float:
        """Part of all positions that is allowed."""
        return self.count / len(self.mask)


class Cost(NamedTuple):
    """What a backend takes, in bytes: ``memory``, ``disk`` and memory of an accelerator (``device``) for each vector,
    ``segment`` of memory for each segment.

    Memory is what a process that searches holds once every page has been touched. Rows, masks and the process itself
    are reckoned by the plan.
    """

    memory: int
    disk: int
    segment: int = 0
    device: int = 0


SMALLEST_SEGMENT = 4096  # below this an approximate index is no quicker than a flat one


class VectorIndex(Protocol):
    """An open backend over n vectors of dimension dim, numbered by position."""

    exact: ClassVar[bool]
    """Whether the k best are always among the candidates."""

    smallest: ClassVar[int]
    """Segments of fewer vectors are flat whatever was asked for; 0 takes any."""

    @classmethod
    def cost(cls, dim: int) -> Cost:
        """What vectors of dimension ``dim`` take, known before anything is built."""
        ...

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        """Build from (n, dim) float32 unit vectors into files of ``directory``; returns what ``open`` must know.

        Raises:
            StorageError: the machine refused.
            MissingDependencyError: the backend's library or device is not there.
        """
        ...

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> VectorIndex:
        """Map the files of ``directory``.

        Raises:
            SegmentGoneError: a file is missing.
            IndexStateError: a file holds something else.
        """
        ...

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        """Positions likely to be among the ``k`` best allowed ones of each query.

        Args:
            queries: (q, dim) float32, C-contiguous.
            k: between 1 and the number of allowed positions.
            allowed: positions that may be returned, or None for all.

        Returns:
            (q, c) in any order with c >= k, -1 where there is none; never a position that is not allowed.
        """
        ...

    def take(self, positions: Positions) -> Stored:
        """The vectors at ``positions``, (..., dim), as they are stored: what scores are computed from."""
        ...

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        """Give up what the backend keeps outside ``directory``, before that is removed."""
        ...
