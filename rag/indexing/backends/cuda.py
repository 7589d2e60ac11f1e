"""Search on a CUDA device through a GPU build of FAISS.

On disk these are flat indexes, so a machine without a device still opens them and searches exactly on its processor;
only building asks for the device. CAGRA (Ootomo et al. 2024) builds its graph on the device, and keeps it in a file.

What a trial on an H100 with faiss-gpu-cuvs 1.15 has shown, and this code keeps to: two threads in one resources object
abort the process, so one lock goes with it; each resources object takes 1.6 GiB, so all segments share one; the flat
index ignores a filter in silence, so it is never given one; CAGRA refuses more neighbours than its ``itopk_size``.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.errors import MissingDependencyError
from rag.indexing.backends.effort import NEAR, K, Search, choose_efforts, probes, search_by_effort
from rag.indexing.backends.exact import NOISE, nearest, ragged, score
from rag.indexing.backends.faiss_files import search_parameters, write_faiss
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import SMALLEST_SEGMENT, Allowed, Cost, Facts, Positions, Vectors
from rag.indexing.segments import MANIFEST
from rag.indexing.storage import sha256_of_file
from rag.settings import VectorSettings

GRAPH = "graph.faiss"
_MOST = 1024  # neighbours that the flat index returns for one query
_WIDEST = 512  # candidates of CAGRA's walk, and so neighbours that it returns
_DEGREE = 64  # links of a node of its graph, four bytes each
_STEP = 32  # itopk_size counts in these
_LADDER = (32, 64, 96, 128, 192, 256, 384, 512)
_DEPTHS = (25, 50, 100, 200, 400)  # neighbours for which recall is measured
_ENOUGH = 0.95
_DEEPEST = 50  # where nobody has measured
_WORKSPACE = 256 << 20  # bytes of the device that FAISS keeps for its own; it would take 1.5 GiB
_SPARE = 1.25  # times what a filter leaves on average is asked for
_WIDER = 4  # times as many are asked for when these were too few

_log = logging.getLogger(__name__)


class Device:
    """One CUDA device: the resources that all its indexes share, and the lock of whoever uses them."""

    def __init__(self, number: int) -> None:
        import faiss

        self.number = number
        self.lock = threading.Lock()
        self.resources = faiss.StandardGpuResources()
        self.resources.setTempMemory(_WORKSPACE)

    def configure(self, made: Any) -> Any:
        """A configuration of FAISS for this device, with cuVS where the build has it: four times as quick for one
        query.
        """
        made.device = self.number
        if hasattr(made, "use_cuvs"):
            made.use_cuvs = True
        return made


@lru_cache(maxsize=1)
def first_device() -> Device:
    """The first CUDA device; its resources are made once in a process."""
    return Device(0)


class CudaFlatIndex(FlatIndex):
    """Every vector compared with every query, on the device."""

    exact: ClassVar[bool] = True
    needs: ClassVar[str] = "GpuIndexFlat"

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        self._device: Device | None = first_device() if missing(self.needs) is None else None
        self._there: Any = None
        if self._device is not None:
            with self._device.lock:
                self._there = self._upload(self._device)

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return Cost(4 * dim, 4 * dim, device=4 * dim)

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        reason = missing(cls.needs)
        if reason is not None:
            raise MissingDependencyError(reason)
        return super().write(directory, vectors, settings)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        """On the device, wider for those queries of which a filter left too few or whose ties may go on; what it cannot
        tell by its widest search, the processor does.
        """
        asked, rows = np.arange(len(queries)), [np.empty(0, np.int64)] * len(queries)
        for wide in self._widths(k, allowed):
            if not len(asked):
                break
            scores, found = self._search_there(np.ascontiguousarray(queries[asked]), wide)
            there = found >= 0
            if allowed is not None:
                there &= allowed.mask[np.maximum(found, 0)]
            unsure = np.zeros(len(asked), np.bool_)
            if wide < self._index.ntotal:
                # ties with the last one seen may go on beyond it; what is masked does not push the k-th up
                kth = -np.sort(np.where(there, -scores, np.inf), axis=1)[:, k - 1]
                unsure = scores[:, -1] >= kth - NOISE
            for number, row, kept in zip(asked[~unsure], found[~unsure], there[~unsure], strict=True):
                rows[number] = row[kept]
            asked = asked[unsure]
        if len(asked):
            rest = super().candidates(np.ascontiguousarray(queries[asked]), k, allowed)
            for number, row in zip(asked, rest, strict=True):
                rows[number] = row[row >= 0]
        return _at_least(ragged(rows), k)

    def _widths(self, k: int, allowed: Allowed | None) -> Iterator[int]:
        """How many neighbours the device is asked for, more and more, until nobody is unsure."""
        n = self._index.ntotal
        wide = min(n, k + 1 if allowed is None else math.ceil((k + 1) / allowed.share * _SPARE))
        while self._there is not None and wide <= _MOST:
            yield wide
            if wide == min(n, _MOST):
                return
            wide = min(n, _MOST, wide * _WIDER)

    def _search_there(self, queries: Vectors, k: int) -> tuple[Vectors, Positions]:
        assert self._device is not None
        with self._device.lock:
            found: tuple[Vectors, Positions] = self._there.search(queries, k)
        return found

    def _upload(self, device: Device) -> Any:
        import faiss

        index = faiss.GpuIndexFlatIP(device.resources, self._index.d, device.configure(faiss.GpuIndexFlatConfig()))
        index.add(self._vectors)
        return index


class CagraIndex(FlatIndex):
    """A graph of fixed degree, built and walked on the device; effort is ``itopk_size``.

    A walk of one query and of a batch are different kernels, so their answers may differ where recall is below 1.
    """

    exact: ClassVar[bool] = False
    smallest: ClassVar[int] = SMALLEST_SEGMENT  # a graph of a single row aborted the process
    needs: ClassVar[str] = "GpuIndexCagra"

    def __init__(self, index: Any, facts: Facts, graph: Any = None) -> None:
        """``graph``: as it was kept; it is built where there is none. Few vectors have none and are compared."""
        super().__init__(index)
        # where nobody measured, 0.99 of a million's ten nearest
        self._facts = {"near_effort": 256, "far_effort": 256, "deepest": _DEEPEST, **facts}
        self._device = first_device() if missing(self.needs) is None and index.ntotal >= self.smallest else None
        self._there: Any = None
        if self._device is not None:
            with self._device.lock:
                self._there = self._upload(self._device, graph)

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return Cost(4 * dim, 4 * dim + 4 * _DEGREE, device=4 * dim + 4 * _DEGREE)

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        reason = missing(cls.needs)
        if reason is not None:
            raise MissingDependencyError(reason)
        super().write(directory, vectors, settings)
        import faiss

        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
        index = cls(flat, {})
        if index._device is None:
            return {}
        with index._device.lock:
            graph = faiss.IndexHNSWCagra()
            graph.base_level_only = True  # the levels above are for processors, which would link them here one by one
            index._there.copyTo(graph)
        write_faiss(graph, directory / GRAPH, faiss.IO_FLAG_SKIP_STORAGE)  # the vectors lie beside it already
        walk = index._walk(None)
        facts = choose_efforts(vectors, walk, _LADDER)
        return {**facts, "deepest": _deepest(vectors, walk, facts)}

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> CagraIndex:
        flat = FlatIndex.open(directory, n, dim, {}, settings)
        kept = _read_graph(directory) if missing(cls.needs) is None else None
        return cls(flat._index, facts, kept)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        """On the device, unless so many neighbours are wanted that its widest walk misses too many of them."""
        if self._there is None or k > self._facts["deepest"]:
            return super().candidates(queries, k, allowed)
        share = 1.0 if allowed is None else allowed.share
        found = search_by_effort(self._walk(allowed), queries, k, self._facts, share)
        if allowed is None:
            return found
        return np.where((found >= 0) & allowed.mask[np.maximum(found, 0)], found, -1)  # trust no filter elsewhere

    def _walk(self, allowed: Allowed | None) -> Search:
        import faiss

        device = self._device
        assert device is not None

        def search(queries: Vectors, k: int, effort: int) -> tuple[Vectors, Positions]:
            size = _size_of_walk(k, effort)
            how, selector = search_parameters(faiss.SearchParametersCagra, allowed, itopk_size=size)
            with device.lock:
                _, found = self._there.search(queries, k, params=how)
            del selector  # FAISS reads it until here
            return score(self._vectors.__getitem__, queries, found, np.float32), found

        return search

    def _upload(self, device: Device, graph: Any) -> Any:
        import faiss

        configuration = device.configure(faiss.GpuIndexCagraConfig())
        configuration.graph_degree = _DEGREE
        index = faiss.GpuIndexCagra(device.resources, self._index.d, faiss.METRIC_INNER_PRODUCT, configuration)
        if graph is not None:
            try:
                graph.storage, graph.own_fields = self._index, False
                index.copyFrom(graph)
            except RuntimeError as error:
                _log.warning("the kept graph of %s vectors cannot be loaded and is built anew: %s", graph.ntotal, error)
            else:
                return index
        index.train(self._vectors)
        return index


def missing(feature: str = "GpuIndexFlat") -> str | None:
    """Why FAISS cannot search on a CUDA device here, in one sentence; None where it can."""
    import faiss

    if not hasattr(faiss, "GpuIndexFlat"):
        return (
            'this faiss has no GPU code: pip install "clincite[gpu]", then pip uninstall -y faiss-cpu, then '
            "pip install --force-reinstall --no-deps faiss-gpu-cuvs; or use the backend torch-flat, which needs none"
        )
    if faiss.get_num_gpus() == 0:
        return "faiss sees no CUDA device on this machine"
    if not hasattr(faiss, feature):
        return f"this build of faiss has no {feature}: install faiss-gpu-cuvs in its place"
    return None


def _size_of_walk(k: int, effort: int) -> int:
    """``itopk_size``: effort is what ten neighbours ask for. With that of ten, a million's 100 nearest came to 0.75."""
    return min(_WIDEST, -(-max(effort * max(k, K) // K, k) // _STEP) * _STEP)


def _deepest(vectors: Vectors, walk: Search, facts: Facts) -> int:
    """The greatest depth at which near probes find 0.95 of what they should; ten at least."""
    if facts["near_recall"] < _ENOUGH:
        return K
    questions = probes(vectors, NEAR)
    depths = [k for k in _DEPTHS if k <= len(vectors)]
    best = nearest(lambda positions: vectors[positions], questions, depths[-1], np.arange(len(vectors)))
    scores = score(vectors.__getitem__, questions, best, np.float32)
    truth = np.take_along_axis(best, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    found = K
    for k in depths:
        _, those = walk(questions, k, int(facts["near_effort"]))
        pairs = zip(those, truth[:, :k], strict=True)
        if np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]) < _ENOUGH:
            break
        found = k
    return found


def _read_graph(directory: Path) -> Any:
    """The graph that was kept, None where there is none or where it is not the one that was published.

    A damaged graph would lead a walk on the device out of its memory, so the whole file is hashed first: a second for a
    million vectors, where building takes 24.
    """
    import faiss

    path = directory / GRAPH
    try:
        expected = json.loads((directory / MANIFEST).read_text("utf-8"))["files"][GRAPH]["sha256"]
        if sha256_of_file(path) != expected:
            _log.warning("%s is not what was published; the graph is built anew", path)
            return None
        return faiss.read_index(str(path))
    except (OSError, KeyError, ValueError, RuntimeError):
        return None


def _at_least(found: Positions, k: int) -> Positions:
    """With ``k`` columns or more."""
    short = k - found.shape[1]
    return found if short <= 0 else np.pad(found, ((0, 0), (0, short)), constant_values=-1)
