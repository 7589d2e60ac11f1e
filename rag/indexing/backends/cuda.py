"""Search on a CUDA device through a GPU build of FAISS.

On disk these are flat indexes, so a machine without a device still opens them and searches exactly on its processor;
only building asks for the device. CAGRA (Ootomo et al. 2024) builds its graph on the device when the index is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.errors import MissingDependencyError
from rag.indexing.backends.exact import NOISE
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import Allowed, Facts, Positions, Vectors
from rag.settings import VectorSettings

_MOST = 1024  # neighbours that a device returns for one query


class CudaFlatIndex(FlatIndex):
    """Every vector compared with every query, on the device."""

    exact: ClassVar[bool] = True
    needs: ClassVar[str] = "GpuIndexFlat"

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        self._device_index = self._upload() if missing(self.needs) is None else None

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        reason = missing(cls.needs)
        if reason is not None:
            raise MissingDependencyError(reason)
        return super().write(directory, vectors, settings)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        n = self._index.ntotal
        wide = min(n, k + 1 if allowed is None else 4 * k)  # masked ones are dropped afterwards
        if self._device_index is None or wide > _MOST:
            return super().candidates(queries, k, allowed)
        scores, found = self._device_index.search(queries, wide)
        positions: Positions = found
        unsure = np.zeros(len(queries), np.bool_)
        if allowed is not None:
            positions = np.where((positions >= 0) & allowed.mask[np.maximum(positions, 0)], positions, -1)
            unsure |= (positions >= 0).sum(axis=1) < k
        if self.exact and wide < n:  # ties with the last one seen may go on beyond it
            unsure |= scores[:, -1] >= np.sort(scores, axis=1)[:, -k] - NOISE
        if unsure.any():
            rest = super().candidates(np.ascontiguousarray(queries[unsure]), k, allowed)
            width = max(rest.shape[1], positions.shape[1])
            full = np.full((len(queries), width), -1, np.int64)
            full[:, : positions.shape[1]] = positions
            full[unsure] = -1
            full[np.flatnonzero(unsure)[:, None], np.arange(rest.shape[1])] = rest
            positions = full
        return positions

    def _upload(self) -> Any:
        import faiss

        self._resources = faiss.StandardGpuResources()
        return faiss.index_cpu_to_gpu(self._resources, 0, self._index)


class CagraIndex(CudaFlatIndex):
    """A fixed-degree graph, built and walked on the device."""

    exact: ClassVar[bool] = False
    needs: ClassVar[str] = "GpuIndexCagra"

    def _upload(self) -> Any:
        import faiss

        self._resources = faiss.StandardGpuResources()
        index = faiss.GpuIndexCagra(self._resources, self._index.d, faiss.METRIC_INNER_PRODUCT)
        index.train(self._vectors)
        return index


def missing(feature: str = "GpuIndexFlat") -> str | None:
    """Why FAISS cannot search on a CUDA device here, in one sentence; None where it can."""
    import faiss

    if not hasattr(faiss, "GpuIndexFlat"):
        return "this faiss has no GPU code: install faiss-gpu in place of faiss-cpu"
    if faiss.get_num_gpus() == 0:
        return "faiss sees no CUDA device on this machine"
    if not hasattr(faiss, feature):
        return f"this build of faiss has no {feature}: install faiss-gpu-cuvs in its place"
    return None
