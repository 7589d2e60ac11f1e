"""Where encoding runs, and what that costs: ``python benchmarks/workers.py [SMALL LARGE]``.

The first reports of Open-i are ingested with the encoder in this process, in two processes, and on one and two actors
of a local Ray cluster that is started for it. Seconds leave out what starting takes, which is told apart.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from serve import cpu_seconds
from tables import Cell, Table, measured, report, saving

from rag.building.ingest import Source, ingest
from rag.corpus.source import read_source
from rag.encoders.encoders import Encoders
from rag.encoders.pool import Encoded, EncoderPool, Work
from rag.errors import InputError
from rag.indexing import IndexStore
from rag.progress import Progress, Silent
from rag.settings import EncoderSettings
from rag.types import Document

SIZES, PLACES = (300, 1200), (("this process", 0), ("processes", 2), ("Ray", 1), ("Ray", 2))
SETTINGS = EncoderSettings(image="imagenet")


class Weighed:
    """A pool whose work and results are weighed as they pass: what a cluster's network carries."""

    def __init__(self, pool: EncoderPool) -> None:
        self._pool, self.sent, self.received = pool, 0, 0

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]:
        for encoded in self._pool.encode(self._sending(works), progress):
            self.received += len(pickle.dumps(encoded))
            yield encoded

    def close(self) -> None:
        self._pool.close()

    def _sending(self, works: Iterable[Work]) -> Iterator[Work]:
        for work in works:
            self.sent += len(pickle.dumps(work))
            yield work


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    reports = [d for d in read_source("openi") if isinstance(d, Document)]
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        for n in tuple(int(a) for a in argv) or SIZES:
            corpus = Path(name) / f"{n}.jsonl"
            lines = [{"id": d.id, "text": d.text, "kind": "report", "group_id": d.group_id} for d in reports[:n]]
            corpus.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
            for place, count in PLACES:
                rows.append(measure(Path(name) / f"{n}-{len(rows)}", corpus, place, count))
    table = Table(
        section="Speed",
        question="What do more processes, or a Ray cluster, cost and bring?",
        columns=(
            "encoding in", "workers", "passages", "starting s", "ingest s", "ms a passage", "processor ms a passage",
            "bytes sent a passage", "bytes received a passage",
        ),
        runs=(measured(rows, ("ray", "torch")),),
        command="OMP_NUM_THREADS=1 python benchmarks/workers.py",
        note="Reports of Open-i, MiniLM, one thread a worker; one run each, the machine shared: read processor time.",
    )  # fmt: skip
    report("speed-workers", table, save=save)


def measure(folder: Path, corpus: Path, place: str, count: int) -> tuple[Cell, ...]:
    begin = time.perf_counter()
    with ExitStack() as stack:
        where, running = None if count == 0 else str(count), os.getpid()
        if place == "Ray":
            where, running = stack.enter_context(cluster(count))
            begin = time.perf_counter()
        encoders = stack.enter_context(opened(where))
        pool = None if encoders.workers is None else Weighed(encoders.workers)
        list((pool or encoders).encode([Work(("Warm.",), ())] * 2 * max(1, count), Silent()))
        started, mine, theirs = time.perf_counter(), time.process_time(), cpu_seconds(running)
        if pool is not None:
            pool.sent = pool.received = 0
        with IndexStore.create(folder) as store:
            made = ingest([Source(corpus)], store, replace(encoders, workers=pool))
        took, mine, theirs = time.perf_counter() - started, time.process_time() - mine, cpu_seconds(running) - theirs
    carried = [None, None] if pool is None else [round(pool.sent / made.passages), round(pool.received / made.passages)]
    n, computed = made.passages, theirs + (mine if running != os.getpid() else 0)
    return (
        place, max(1, count), n, round(started - begin, 1), round(took, 1), round(took / n * 1000, 1),
        round(computed / n * 1000, 1), *carried,
    )  # fmt: skip


@contextmanager
def opened(where: str | None) -> Iterator[Encoders]:
    """The encoders; a cluster that has only just begun is given time to answer."""
    for left in reversed(range(15)):
        with ExitStack() as stack:
            try:
                encoders = stack.enter_context(Encoders.opened(SETTINGS, where))
            except InputError:
                if left == 0:
                    raise
                time.sleep(3)
                continue
            yield encoders
            return


@contextmanager
def cluster(count: int) -> Iterator[tuple[str, int]]:
    """A Ray cluster of so many workers on this machine: its ray:// address, and the process that started it."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, gcs = one.getsockname()[1], other.getsockname()[1]
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--num-cpus={count}", f"--port={gcs}",
        f"--ray-client-server-port={port}", "--include-dashboard=false", "--disable-usage-stats", "--block",
    ]  # fmt: skip
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"ray://127.0.0.1:{port}", head.pid
    finally:
        head.terminate()
        head.wait(30)


if __name__ == "__main__":
    main(sys.argv[1:])
