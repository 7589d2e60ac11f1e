"""The backends of a CUDA device: the contract, and what a trial on a real one has taught.

Without a device they run on stand-ins, which compute on the processor and refuse what the device refused: two threads
at once, more neighbours than a walk has candidates, a filter where it is ignored. Those show that we ask rightly, not
that the device answers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from rag.indexing.backends import cuda
from rag.indexing.backends.cuda import GRAPH, CagraIndex, CudaFlatIndex
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import Allowed
from rag.indexing.backends.torch_flat import TorchFlatIndex
from rag.indexing.plan import plan
from rag.indexing.vectors import VectorSegment, write_vectors
from rag.settings import VectorSettings

from . import test_backends as contract

DIM = contract.DIM_
REAL = cuda.missing("GpuIndexCagra") is None
on_stand_ins = pytest.mark.skipif(REAL, reason="it looks into the stand-ins")


class Resources:
    """As StandardGpuResources: one user at a time, or the process is gone."""

    made = 0

    def __init__(self) -> None:
        Resources.made += 1
        self.workspace = 0
        self.busy = threading.Lock()

    def setTempMemory(self, size: int) -> None:
        self.workspace = size


class Configuration:
    device, use_cuvs, graph_degree = 7, False, 64


class Standing:
    """What both indexes share. ``asked`` are the searches: queries, k and parameters."""

    def __init__(self, resources: Resources, dim: int, configuration: Configuration) -> None:
        assert configuration.device == 0 and configuration.use_cuvs and resources.workspace <= 512 << 20
        self.resources, self.index, self.asked = resources, faiss.IndexFlatIP(dim), list[tuple[int, int, Any]]()

    def _search(self, queries: np.ndarray, k: int, params: Any, how: Any) -> Any:
        assert self.resources.busy.acquire(blocking=False), "two threads in one resources object"
        try:
            self.asked.append((len(queries), k, params))
            return self.index.search(queries, k, params=how)
        finally:
            self.resources.busy.release()


class FlatStandIn(Standing):
    def add(self, vectors: np.ndarray) -> None:
        self.index.add(vectors)

    def search(self, queries: np.ndarray, k: int, params: Any = None) -> Any:
        assert params is None, "the device's flat index ignores a filter in silence"
        assert k <= 1024
        return self._search(queries, k, params, None)


class CagraStandIn(Standing):
    trained = 0

    def __init__(self, resources: Resources, dim: int, metric: int, configuration: Configuration) -> None:
        super().__init__(resources, dim, configuration)
        assert metric == faiss.METRIC_INNER_PRODUCT

    def train(self, vectors: np.ndarray) -> None:
        assert len(vectors) > 1, "a graph of one row aborts the process"
        CagraStandIn.trained += 1
        self.index.add(vectors)

    def copyTo(self, graph: Any) -> None:
        assert graph.base_level_only, "the device's copy would link the upper levels on the processor"
        graph.base_level_only = False  # or it takes no vectors
        graph.add(faiss.rev_swig_ptr(self.index.get_xb(), self.index.ntotal * self.index.d).reshape(-1, self.index.d))
        graph.base_level_only = True

    def copyFrom(self, graph: Any) -> None:
        flat = faiss.downcast_index(graph.storage)
        assert isinstance(flat, faiss.IndexFlat) and flat.ntotal == graph.ntotal
        stored = faiss.rev_swig_ptr(flat.get_xb(), graph.ntotal * graph.d).reshape(-1, graph.d)
        self.index.add(stored)

    def search(self, queries: np.ndarray, k: int, params: Any = None) -> Any:
        if k > (64 if params is None else params.itopk_size):
            raise RuntimeError("k must be at most itopk_size")
        assert params.itopk_size % 32 == 0 and params.itopk_size <= 512
        how = None if params.sel is None else faiss.SearchParameters(sel=params.sel)
        return self._search(queries, k, params, how)


class Parameters:
    def __init__(self, itopk_size: int, sel: Any = None) -> None:
        self.itopk_size, self.sel = itopk_size, sel


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    if REAL:
        yield
        return
    if hasattr(faiss, "GpuIndexFlat"):
        pytest.skip("this faiss is built for a device, and there is none")
    with pytest.MonkeyPatch.context() as patch:
        stand_ins = {
            "StandardGpuResources": Resources, "GpuIndexFlatConfig": Configuration,
            "GpuIndexFlat": FlatStandIn, "GpuIndexFlatIP": FlatStandIn, "GpuIndexCagra": CagraStandIn,
            "GpuIndexCagraConfig": Configuration, "SearchParametersCagra": Parameters, "get_num_gpus": lambda: 1,
            "IndexHNSWCagra": partial(faiss.IndexHNSWCagra, DIM, 8, faiss.METRIC_INNER_PRODUCT),
        }  # fmt: skip
        for name, stand_in in stand_ins.items():
            patch.setattr(faiss, name, stand_in, raising=False)
        cuda.first_device.cache_clear()
        yield
    cuda.first_device.cache_clear()


@pytest.fixture(scope="module", params=["cuda-flat", "cuda-cagra"])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VectorSegment:
    return contract.written(tmp_path_factory.mktemp("device"), request.param)


class TestTheContract(contract.TestEveryBackend):
    """As every backend's."""


def flat_of(vectors: np.ndarray) -> Any:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


@pytest.mark.parametrize("backend", ["cuda-flat", "cuda-cagra", "torch-flat"])
@pytest.mark.parametrize("k", [50, 64, 100, 600, 1000])
@pytest.mark.parametrize("filtered", [False, True])
def test_depths_that_settings_allow(tmp_path: Path, backend: str, k: int, filtered: bool) -> None:
    segment = contract.written(tmp_path, backend)
    mask = np.random.default_rng(7).random(contract.N) < 0.5
    queries = contract.clustered(4, 20)
    rows, _ = segment.search(queries, k, Allowed.of(mask) if filtered else None)
    truth = contract.brute_force(segment, queries, k, mask if filtered else None)
    assert rows.tolist() == truth if segment.exact or not REAL else contract.recall(rows, truth) >= 0.95


@pytest.mark.parametrize("backend", ["cuda-flat", "cuda-cagra", "torch-flat"])
@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_segments_of_any_size(tmp_path: Path, backend: str, n: int) -> None:
    settings = VectorSettings(backend=backend)
    info = write_vectors(tmp_path, "text", "e", np.arange(n), contract.clustered(1, n), settings)
    queries = contract.clustered(2, 3)
    rows, _ = VectorSegment(tmp_path, info, settings).search(queries, 10, None)
    wanted = [np.argsort(-(contract.clustered(1, n) @ q), kind="stable")[:10].tolist() for q in queries]
    assert rows.tolist() == wanted


def test_few_vectors_get_no_graph() -> None:
    assert plan(100, DIM, VectorSettings(backend="cuda-cagra")).backend_of(100) == "flat"
    before = CagraStandIn.trained
    assert CagraIndex(flat_of(contract.clustered(1, 1)), {}).candidates(contract.clustered(2, 1), 1, None).size
    assert CagraStandIn.trained == before


@pytest.mark.parametrize("make", [CudaFlatIndex, lambda index: CagraIndex(index, {})], ids=["flat", "cagra"])
def test_threads_take_turns_and_get_their_own_answers(make: Any) -> None:
    index, other = make(flat_of(contract.clustered(1, 5000))), make(flat_of(contract.clustered(2, 5000)))
    queries = contract.clustered(3, 64)
    wanted = {i: [i.candidates(queries[n : n + 8], 10, None).tolist() for n in range(0, 64, 8)] for i in (index, other)}
    wrong: list[Any] = []

    def ask(which: Any) -> None:
        try:
            for _ in range(10):
                for number, n in enumerate(range(0, 64, 8)):
                    found, first = which.candidates(queries[n : n + 8], 10, None), wanted[which][number]
                    same = contract.recall(found, first) >= 0.9 if REAL and not which.exact else found.tolist() == first
                    if not same:
                        wrong.append(n)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(which,)) for which in (index, other, index, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@on_stand_ins
def test_all_segments_share_one_resources_object() -> None:
    cuda.first_device.cache_clear()
    before = Resources.made
    for seed in range(4):
        CudaFlatIndex(flat_of(contract.clustered(seed, 100)))
        CagraIndex(flat_of(contract.clustered(seed, 5000)), {})
    assert Resources.made == before + 1


@pytest.mark.parametrize("make", [CudaFlatIndex, TorchFlatIndex])
def test_ties_behind_a_filter_are_all_seen(make: Any) -> None:
    """30 nearer vectors that the filter hides, then 200 equal ones that are allowed: the lowest rows must come."""
    dice = np.random.default_rng(0)

    def unit(x: np.ndarray) -> np.ndarray:
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    query = unit(dice.standard_normal((1, 64)))
    aside = dice.standard_normal((1, 64))
    aside = unit(aside - (aside @ query.T) * query)
    rest = dice.standard_normal((3000, 64))
    rest = unit(rest - 1.2 * np.maximum(rest @ query.T, 0) * query)
    near = [unit(c * query + (1 - c * c) ** 0.5 * aside) for c in (0.7, *(0.9 + 0.001 * j for j in range(30)))]
    vectors = np.concatenate([rest[:1000], np.repeat(near[0], 200, 0), *near[1:], rest[1000:]])
    mask = np.ones(len(vectors), np.bool_)
    mask[1200:1230] = False
    found = make(flat_of(vectors)).candidates(query, 10, Allowed.of(mask))
    assert set(range(1000, 1200)) <= set(found[0].tolist())


@on_stand_ins
def test_a_narrow_filter_is_answered_wider_on_the_device_before_the_processor_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = CudaFlatIndex(flat_of(contract.clustered(1, contract.N)))
    asked: list[int] = []
    exact = FlatIndex.candidates

    def counted(self: FlatIndex, queries: np.ndarray, k: int, allowed: Allowed | None) -> np.ndarray:
        asked.append(len(queries))
        return exact(self, queries, k, allowed)

    monkeypatch.setattr(FlatIndex, "candidates", counted)
    mask = np.random.default_rng(7).random(contract.N) < 0.1
    index.candidates(contract.clustered(4, 64), 10, Allowed.of(mask))
    assert asked == []
    assert [k for _, k, _ in index._there.asked][0] >= 110


@on_stand_ins
def test_the_effort_of_a_graph_is_measured_and_used(tmp_path: Path) -> None:
    segment = contract.written(tmp_path, "cuda-cagra")
    assert segment.facts["near_effort"] == 32 and segment.facts["near_recall"] == 1.0
    segment.search(contract.clustered(4, 5), 10, None)
    assert segment._index._there.asked[-1][2].itopk_size == 32


@on_stand_ins
def test_more_neighbours_ask_for_a_wider_walk_and_beyond_what_was_measured_for_the_processor(tmp_path: Path) -> None:
    segment = contract.written(tmp_path, "cuda-cagra")
    assert segment.facts["deepest"] == 400  # the stand-in finds them all
    asked = segment._index._there.asked
    for k, size in ((10, 32), (25, 96), (50, 160), (400, 512)):
        segment.search(contract.clustered(4, 5), k, None)
        assert asked[-1][1:2] == (k,) and asked[-1][2].itopk_size >= size
    before = len(asked)
    rows = segment.search(contract.clustered(4, 5), 401, None)[0]
    assert len(asked) == before and rows.tolist() == contract.brute_force(segment, contract.clustered(4, 5), 401, None)


@on_stand_ins
def test_a_graph_that_loses_the_deep_ones_is_not_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CagraStandIn.search

    def shallow(self: Any, queries: np.ndarray, k: int, params: Any = None) -> Any:
        scores, found = whole(self, queries, k, params)
        found[:, 60:] = -1
        return scores, found

    monkeypatch.setattr(CagraStandIn, "search", shallow)
    segment = contract.written(tmp_path, "cuda-cagra")
    assert segment.facts["deepest"] == 50
    rows = segment.search(contract.clustered(4, 5), 100, None)[0]
    assert rows.tolist() == contract.brute_force(segment, contract.clustered(4, 5), 100, None)


def test_the_graph_is_kept_without_its_vectors_and_built_anew_if_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = contract.written(tmp_path, "cuda-cagra")
    vectors = contract.N * (DIM + 64) * 4  # and 64 links of each
    assert 0 < (segment.path / GRAPH).stat().st_size < vectors
    rows = segment.search(contract.clustered(4, 50), 10, None)[0]
    info, root = segment.info, segment.path.parent
    trained, train = list[int](), faiss.GpuIndexCagra.train

    def counted(index: Any, x: np.ndarray) -> None:
        trained.append(len(x))
        train(index, x)

    monkeypatch.setattr(faiss.GpuIndexCagra, "train", counted)
    again = VectorSegment(root, info, VectorSettings())
    assert (
        trained == [] and contract.recall(again.search(contract.clustered(4, 50), 10, None)[0], rows.tolist()) >= 0.95
    )
    content = bytearray((segment.path / GRAPH).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (segment.path / GRAPH).write_bytes(bytes(content))
    assert cuda._read_graph(segment.path) is None
    damaged = CagraIndex.open(segment.path, info.n, info.dim, segment.facts, VectorSettings())
    assert trained == [contract.N]
    found = segment.rows[damaged.candidates(contract.clustered(4, 50), 10, None)]
    assert contract.recall(found, rows.tolist()) >= 0.95


def test_the_plan_says_what_the_device_must_hold() -> None:
    made = plan(1_000_000, 512, VectorSettings(backend="cuda-cagra", memory_gib=8))
    assert 2.2 * 2**30 < made.device < 3.2 * 2**30
    assert "on the accelerator" in str(made)
    assert "accelerator" not in str(plan(1_000_000, 512, VectorSettings(backend="hnsw", memory_gib=8)))


class Half(TorchFlatIndex):
    bfloat16 = True


@pytest.mark.parametrize("share", [None, 0.3, 0.005])
def test_rounding_to_half_precision_loses_nobody(share: float | None) -> None:
    """Crowded vectors, whose scores differ by less than bfloat16 can tell."""
    dice = np.random.default_rng(0)
    vectors = 1 + 0.02 * dice.standard_normal((5000, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    queries, allowed = vectors[:7] + np.float32(0), None if share is None else Allowed.of(dice.random(5000) < share)
    found = Half(flat_of(vectors)).candidates(queries, 10, allowed)
    exact = vectors.astype(np.float64) @ queries.T.astype(np.float64)
    if allowed is not None:
        exact[~allowed.mask] = -np.inf
        assert allowed.mask[found[found >= 0]].all()
    for row, scores in zip(found, exact.T, strict=True):
        assert set(np.argsort(-scores)[:10].tolist()) <= set(row.tolist())
