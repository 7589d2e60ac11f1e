"""Encoding in a pool of processes and on a real Ray cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rag.building.reading
from rag.building.ingest import ingest
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.encoders.pool import EncoderPool, ProcessPool, RayCluster, ThisProcess, Work, open_workers
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import InputError, RagError
from rag.indexing import IndexStore
from rag.progress import Silent
from rag.settings import EncoderSettings

SETTINGS = EncoderSettings.model_validate({})
DOCUMENTS = 240


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """240 notes, encoded twenty at a time."""
    monkeypatch.setattr(rag.building.reading, "BATCH", 20)
    path = tmp_path / "notes.jsonl"
    sizes = ("small", "large", "moderate")
    rows = [
        {"id": f"n{i}", "text": f"There is a {sizes[i % 3]} effusion. Note {i}.", "kind": "report", "group_id": f"g{i}"}
        for i in range(DOCUMENTS)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


class KillOnce:
    """A listener that runs ``kill`` when the first batch has been encoded."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill: Callable[[], None] | None = kill
        self.killed = False

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
        def count(done: int) -> None:
            if name == "encoding text" and self._kill is not None:
                kill, self._kill = self._kill, None
                kill()
                self.killed = True

        return count


def build(path: Path, corpus: Path, workers: EncoderPool | None, progress: KillOnce | None = None) -> IngestReport:
    store = IndexStore.create(path)
    encoders = load_text_encoder(SETTINGS), load_image_encoder(SETTINGS)
    return ingest([Source(corpus)], store, Encoders(*encoders, workers=workers), progress=progress)


def content(path: Path) -> tuple[list[str], np.ndarray]:
    with IndexStore.open(path).snapshot() as snapshot:
        rows = snapshot.rows("text")
        return [p.text for p, _ in snapshot.passages(rows.tolist())], snapshot.vectors("text", rows.tolist())


def assert_same(one: Path, other: Path) -> None:
    texts, vectors = content(one)
    others, theirs = content(other)
    assert texts == others and len(texts) >= DOCUMENTS
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert IndexStore.open(other).verify().problems == ()


def test_a_killed_process_costs_nothing(tmp_path: Path, corpus: Path) -> None:
    build(tmp_path / "here", corpus, None)
    pool = ProcessPool(SETTINGS, 2)
    listener = KillOnce(lambda: os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL))
    try:
        report = build(tmp_path / "pool", corpus, pool, listener)
    finally:
        pool.close()
    assert listener.killed and report.added == DOCUMENTS
    assert_same(tmp_path / "here", tmp_path / "pool")


def test_work_that_kills_every_worker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ProcessPool(SETTINGS, 1)
    works = iter([Work(("clear lungs",), ())])
    listener = Silent()

    def die(work: Work) -> object:
        return pool._pool.submit(os.kill, os.getpid(), 0) and pool._pool.submit(os._exit, 1)

    monkeypatch.setattr(pool, "_submit", die)
    try:
        with pytest.raises(RagError, match="3 encoding workers died"):
            list(pool.encode(works, listener))
    finally:
        pool.close()


def test_no_more_is_read_than_is_being_worked_on() -> None:
    drawn = 0

    def works() -> Iterator[Work]:
        nonlocal drawn
        for i in range(12):
            drawn += 1
            yield Work((f"note {i}",), ())

    pool = ProcessPool(SETTINGS, 2)
    try:
        for done, _ in enumerate(pool.encode(works(), Silent()), 1):
            assert drawn - done < 2 * 2
    finally:
        pool.close()
    assert drawn == 12


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Ray cluster of two workers in processes of its own; its ray:// address."""
    pytest.importorskip("ray")
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, gcs = free.getsockname()[1], other.getsockname()[1]
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    environment = {**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    head = [
        "start", "--head", "--num-cpus=2", f"--port={gcs}", f"--ray-client-server-port={port}",
        "--include-dashboard=false", "--disable-usage-stats", "--block",
    ]  # fmt: skip
    running = subprocess.Popen([*ray, *head], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"ray://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(30)


def connected(address: str) -> RayCluster:
    """The cluster, once it is up: its port opens before it takes connections."""
    for _ in range(15):
        try:
            return RayCluster(SETTINGS, address)
        except InputError as error:
            refusal = error
            time.sleep(3)
    raise refusal


def test_a_killed_ray_worker_costs_nothing(tmp_path: Path, corpus: Path, cluster: str) -> None:
    build(tmp_path / "here", corpus, None)
    workers = connected(cluster)
    assert len(workers.actors) == 2
    import ray

    victim = ray.get(workers.actors[1].__ray_call__.remote(lambda actor: os.getpid()))
    listener = KillOnce(lambda: os.kill(victim, signal.SIGKILL))
    try:
        report = build(tmp_path / "ray", corpus, workers, listener)
        assert listener.killed and report.added == DOCUMENTS
        assert ray.get(workers.actors[1].__ray_call__.remote(lambda actor: os.getpid())) != victim
    finally:
        workers.close()
    assert_same(tmp_path / "here", tmp_path / "ray")


def test_workers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_workers("1", SETTINGS), ThisProcess)
    for nonsense in ("0", "many", "-2", "http://host", "1000"):
        with pytest.raises(InputError, match="number of processes"):
            open_workers(nonsense, SETTINGS)
