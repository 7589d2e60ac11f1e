"""Every vector compared with every query by torch: exact, on a CUDA device where there is one, on the processor else.

It needs no GPU build of FAISS. Candidates come from one multiplication of matrices, in bfloat16 on a device (half the
memory, twice the speed), and are scored anew from the float32 vectors on disk, which are those of a flat index. How far
a sum in bfloat16 can be from the true one is known, so it is known when nothing can have been missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.errors import MissingDependencyError
from rag.indexing.backends.exact import NOISE, ragged, score
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import Allowed, Cost, Facts, Positions, Vectors
from rag.settings import VectorSettings

# Rounding to the 8 bits of bfloat16 moves a unit vector by 2**-8 at most, hence an inner product by twice that;
# rounding the product, which is below 1, moves it by 2**-9; and a little for small terms. What seems farther below
# the k-th best is not among the k best.
_ROUNDED = 2.6 * 2.0**-8
_SPARE = 22  # candidates besides the k that are wanted
_WIDER = 8  # times as many, where they were too few to be sure
_SCORES = 1 << 28  # at a time


class TorchFlatIndex(FlatIndex):
    """``bfloat16`` multiplies in half precision; where it is None that is done on a device alone.

    On a processor the vectors are those mapped from disk, not copied.
    """

    bfloat16: ClassVar[bool | None] = None

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        self._torch = _torch()
        self._there: Any = None
        if self._torch is not None:
            where = "cuda" if self._torch.cuda.is_available() else "cpu"
            half = where == "cuda" if self.bfloat16 is None else self.bfloat16
            import faiss

            # as stored_vectors gives them, but not marked as read-only, of which torch would warn at each opening
            vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
            precision = self._torch.bfloat16 if half else self._torch.float32
            self._there = self._torch.from_numpy(vectors).to(where, precision)
            self._error = (_ROUNDED if half else NOISE) + NOISE

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return Cost(4 * dim, 4 * dim, device=2 * dim)

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        if _torch() is None:
            raise MissingDependencyError('the backend torch-flat needs torch: pip install "clincite[models]"')
        return super().write(directory, vectors, settings)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        if self._there is None:
            return super().candidates(queries, k, allowed)
        step = max(1, _SCORES // self._index.ntotal)
        rows: list[Positions] = []
        with self._torch.inference_mode():
            for begin in range(0, len(queries), step):
                rows += self._best_of(queries[begin : begin + step], k, allowed)
        return ragged(rows)

    def _best_of(self, queries: Vectors, k: int, allowed: Allowed | None) -> list[Positions]:
        """Of each query all that may be among its ``k`` best, ties included."""
        count = self._index.ntotal if allowed is None else allowed.count
        scores = self._torch.from_numpy(queries).to(self._there) @ self._there.T
        if allowed is not None:
            scores.masked_fill_(~self._torch.from_numpy(allowed.mask).to(scores.device), -self._torch.inf)
        rows, asked, wide = [np.empty(0, np.int64)] * len(queries), np.arange(len(queries)), min(count, k + _SPARE)
        while len(asked):
            some = scores if len(asked) == len(queries) else scores[self._torch.from_numpy(asked).to(scores.device)]
            rough, found = (part.cpu() for part in self._torch.topk(some, wide, dim=1))
            positions: Positions = found.numpy()
            exact = score(self._vectors.__getitem__, queries[asked], positions, np.float32)
            kth = -np.partition(-exact, k - 1, axis=1)[:, k - 1]
            sure = (rough[:, -1].float().numpy() < kth - self._error) | (wide == count)
            for number, row in zip(asked[sure], positions[sure], strict=True):
                rows[number] = row
            asked, wide = asked[~sure], min(count, wide * _WIDER)
        return rows


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch
