"""One large index on disk: ``python benchmarks/large.py [N …] [--out FILE] [--folder DIR] [--threads T] [--save]``.

Vectors 384 wide in 10,000 topics (drawn as ``search.py`` draws) become PQ lists through the store's own segment writer,
and N documents of one passage become rows of its catalogue. One version names both, and a process of its own opens and
searches it; then a tenth of the documents is removed, and it is searched again. Left out are reading, encoding and word
search: ``scale.py`` takes those through a whole ingest.

Segments are written side by side, by as many processes as ``--threads`` allows, and the memory to write is that of one
of them: an ingest writes one after another, on all threads. The file is written after each stage, so that what a time
limit cuts off is missing there and nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from search import Mixture, memory
from tables import Cell, Table, machine, measured, report

from rag.indexing import Filter, IndexStore
from rag.indexing.catalogue import FILE_NAME, Catalogue
from rag.indexing.plan import plan, rows_per_segment
from rag.indexing.segments import DIRECTORY, SegmentInfo
from rag.indexing.shelves import write_shelves
from rag.indexing.snapshot import Snapshot
from rag.indexing.spaces import write_segments, write_spaces
from rag.indexing.storage import discard_directory
from rag.indexing.vectors import write_vectors
from rag.settings import VectorSettings
from rag.types import Document, sha256_of

DIM, TOPICS, QUESTIONS, K, SPARE = 384, 10_000, 200, 10, 40
SETTINGS = VectorSettings(backend="ivf-pq")
BLOCK, SOURCES = 10_000, 50
SPAWNED = multiprocessing.get_context("spawn")
_TEXT = (
    "Of the patients with condition {0} who were given treatment {1}, {2} of 100 had an effusion after {3} days. " * 3
)


# What is stored


class Vectors:
    """N vectors, drawn block by block: the same ones whoever draws them."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._mixture = Mixture(min(TOPICS, max(1, n // 35)), DIM, np.random.default_rng(0))

    def rows(self, begin: int, end: int) -> np.ndarray:
        """(end - begin, 384) float32; ``begin`` is the first of a block."""
        out = np.empty((end - begin, DIM), np.float32)
        for at in range(begin, end, BLOCK):
            count = min(BLOCK, end - at)
            out[at - begin : at - begin + count] = self._mixture.draw(count, np.random.default_rng([1, at]))
        return out

    def questions(self) -> np.ndarray:
        """(200, 384): of the same topics, and none of the vectors."""
        return self._mixture.draw(QUESTIONS, np.random.default_rng(2)).astype(np.float32)


def write_part(folder: Path, n: int, begin: int, end: int) -> dict[str, Any]:
    """One segment, and of each question the best that it holds by comparing all."""
    source = Vectors(n)
    started = time.perf_counter()
    vectors = source.rows(begin, end)
    drawn = time.perf_counter()
    clock, busy = time.perf_counter(), time.process_time()
    info = write_vectors(folder / DIRECTORY, "text", "random", np.arange(begin, end), vectors, SETTINGS)
    took, used, peak = time.perf_counter() - clock, time.process_time() - busy, memory()["peak"]
    scores = source.questions() @ vectors.T
    best = np.argpartition(-scores, min(SPARE, scores.shape[1] - 1), axis=1)[:, :SPARE]
    return {
        "info": info, "rows": best + begin, "scores": np.take_along_axis(scores, best, axis=1),
        "drawing": drawn - started, "writing": took, "processor": used, "peak": peak,
    }  # fmt: skip


def documents(n: int) -> Iterator[tuple[Any, ...]]:
    """The catalogue's columns of each document: the JSON of one, with other words in its gaps."""
    one = Document(
        id="@0@", kind="literature", text=_TEXT.format("@1@", "@2@", "@3@", "@4@"), case_id="@0@", group_id="@0@",
        source="@5@", licence="CC0-1.0",
    )  # fmt: skip
    pieces = re.split(r"@(\d)@", json.dumps(one.model_dump(), sort_keys=True, ensure_ascii=False))
    gaps = [(place, int(pieces[place])) for place in range(1, len(pieces), 2)]
    for row in range(n):
        words = (identity(row), str(row), str(row % 977), str(row % 101), str(row % 31), f"source-{row % SOURCES}")
        for place, word in gaps:
            pieces[place] = words[word]
        body = "".join(pieces)
        shelf = (one.kind, one.domain, words[5], one.licence, words[0], words[0])
        yield row, words[0], *shelf, row, 1, sha256_of(body), body


def identity(row: int) -> str:
    return f"literature:{row:09d}"


def fill_catalogue(folder: Path, n: int) -> dict[str, float]:
    """N documents and their passages, as the writer's last step puts them into the catalogue."""
    catalogue = Catalogue(folder / FILE_NAME, writable=True)
    begin = time.perf_counter()
    rows = documents(n)
    while some := list(islice(rows, 100_000)):
        with catalogue.transaction() as connection:
            connection.executemany(f"INSERT INTO documents VALUES ({', '.join('?' * 12)})", some)
            connection.executemany("INSERT INTO lifetimes VALUES (?, 1, NULL)", ((one[0],) for one in some))
            connection.executemany(
                "INSERT INTO passages VALUES (?, ?, ?, 0, ?, ?)",
                ((one[0], one[0], f"{one[1]}#0", len(_TEXT), one[10]) for one in some),
            )
    catalogue.checkpoint()
    catalogue.close()
    return {"seconds": time.perf_counter() - begin, "peak": memory()["peak"]}


def publish(folder: Path, n: int, written: list[SegmentInfo]) -> float:
    """The version that names them; returns seconds."""
    begin = time.perf_counter()
    catalogue = Catalogue(folder / FILE_NAME, writable=True)
    with catalogue.transaction() as connection:
        line = (1, "2026-01-01T00:00:00Z", "large", "large", n, 0, 0, n, n - 1)
        connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", line)
        write_segments(connection, written)
        write_spaces(connection, folder, 1)
        write_shelves(connection, 1)
    catalogue.checkpoint()
    catalogue.close()
    return time.perf_counter() - begin


# How it is searched


def search(folder: Path, n: int) -> dict[str, Any]:
    """Open it and search; run in a process of its own."""
    import faiss

    questions, truth = np.load(folder / "questions.npy"), np.load(folder / "truth.npy")
    before = memory()["now"]
    begin = time.perf_counter()
    with IndexStore.open(folder, SETTINGS) as store, store.snapshot() as snapshot:
        said: dict[str, Any] = {"threads": faiss.omp_get_max_threads(), "open s": time.perf_counter() - begin}
        said["first question s"] = timed(lambda: snapshot.search("text", questions[:1], K))
        said |= asked(snapshot, questions, truth)
        return said | {"before": before, "peak": memory()["peak"], "after": memory()["now"]}


def look_up(folder: Path, n: int) -> dict[str, Any]:
    """What the catalogue is asked beside: passages, a document, a filter, counts."""
    rows = np.random.default_rng(3).integers(0, n, (100, K)).tolist()
    questions = np.load(folder / "questions.npy")
    where = Filter(sources=("source-7",))
    with IndexStore.open(folder, SETTINGS) as store, store.snapshot(1) as snapshot:
        return {
            "passages of 10 hits": quantiles(partial(snapshot.passages, some) for some in rows),
            "document by id": quantiles(partial(snapshot.document, identity(one)) for one, *_ in rows),
            "case by id": quantiles(partial(snapshot.has_case, identity(one)) for *_, one in rows),
            "one of 50 sources, first": 1e3 * timed(lambda: snapshot.search("text", questions[:1], K, where)),
            "one of 50 sources": quantiles(
                partial(snapshot.search, "text", question[None], K, where) for question in questions[:30]
            ),
            "counts of all": 1e3 * timed(snapshot.counts),
            "peak MiB": memory()["peak"],
        }  # fmt: skip


def remove_a_tenth(folder: Path, n: int) -> dict[str, Any]:
    """Remove every tenth document through the writer, and search what is left."""
    questions, truth = np.load(folder / "questions.npy"), np.load(folder / "truth.npy")
    with IndexStore.open(folder, SETTINGS) as store:
        begin = time.perf_counter()
        with store.writer() as writer:
            removed = writer.remove(document_ids=[identity(row) for row in range(0, n, 10)])
            writer.publish("a tenth removed")
        said: dict[str, Any] = {"removed": removed, "s": time.perf_counter() - begin, "writer peak": memory()["peak"]}
        begin = time.perf_counter()
        with store.snapshot() as snapshot:
            said["open s"] = time.perf_counter() - begin
            said |= asked(snapshot, questions, [row[row % 10 != 0] for row in truth])
            found = snapshot.search("text", questions, K)
            said["removed ones found"] = sum(hit.row % 10 == 0 for hits in found for hit in hits)
    return said


def search_again(folder: Path, n: int) -> dict[str, Any]:
    """A part of the questions, before anything was removed."""
    questions, truth = np.load(folder / "questions.npy"), np.load(folder / "truth.npy")
    with IndexStore.open(folder, SETTINGS) as store, store.snapshot(1) as snapshot:
        return asked(snapshot, questions[:30], truth[:30])


def asked(snapshot: Snapshot, questions: np.ndarray, truth: Any) -> dict[str, Any]:
    """Recall@10 against comparing all; milliseconds of one question; questions a second of a batch."""
    took, found = [], []
    for question in questions:
        begin = time.perf_counter()
        found.append([hit.row for hit in snapshot.search("text", question[None], K)[0]])
        took.append(1e3 * (time.perf_counter() - begin))
    hits = [len(set(rows) & set(best[:K].tolist())) for rows, best in zip(found, truth, strict=True)]
    batch = timed(lambda: snapshot.search("text", questions, K))
    p50, p99 = np.percentile(took, (50, 99))
    return {
        "recall@10": round(float(np.mean(hits)) / K, 4), "p50 ms": round(float(p50), 2),
        "p99 ms": round(float(p99), 2), "batch questions/s": round(len(questions) / batch, 1),
    }  # fmt: skip


def timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def quantiles(calls: Iterator[Callable[[], object]]) -> dict[str, float]:
    took = [1e3 * timed(call) for call in calls]
    return {f"p{q}": round(float(np.percentile(took, q)), 3) for q in (50, 99)}


# Running and telling


class Told:
    """What was measured so far, in a file that is never behind."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.said: dict[str, Any] = {"machine": machine(("numpy", "faiss-cpu")), "sizes": {}}

    def add(self, n: int, stage: str, what: Any) -> None:
        self.said["sizes"].setdefault(f"{n}", {})[stage] = what
        print(f"{time.strftime('%H:%M:%S')} {n:,} {stage}: {json.dumps(what)}", file=sys.stderr, flush=True)
        if self._file:
            self._file.write_text(json.dumps(self.said, indent=1) + "\n", encoding="utf-8")


def run(n: int, folder: Path, filling: Future[dict[str, float]], options: argparse.Namespace, told: Told) -> None:
    """All stages of one size; its catalogue is being filled already."""
    step = rows_per_segment(DIM)
    spans = [(begin, min(begin + step, n)) for begin in range(0, n, step)]
    stated = plan(n, DIM, SETTINGS)
    told.add(n, "stated", {"memory MiB": stated.resident / 2**20, "disk MiB": stated.disk / 2**20})
    workers = min(len(spans), options.threads)
    limit_threads(options.threads // workers)
    begin = time.perf_counter()
    with ProcessPoolExecutor(workers, SPAWNED, max_tasks_per_child=1) as pool:
        parts = list(pool.map(partial(write_part, folder, n), *zip(*spans, strict=True)))
    told.add(n, "vectors", vectors_told(parts, time.perf_counter() - begin, folder) | {"processes": workers})
    order = np.argsort(-np.concatenate([part["scores"] for part in parts], axis=1), axis=1)[:, :SPARE]
    rows = np.take_along_axis(np.concatenate([part["rows"] for part in parts], axis=1), order, axis=1)
    np.save(folder / "truth.npy", rows)
    np.save(folder / "questions.npy", Vectors(n).questions())
    told.add(n, "catalogue", filling.result() | {"MiB": catalogue_bytes(folder) / 2**20})
    told.add(n, "publishing s", publish(folder, n, [part["info"] for part in parts]))
    told.add(n, "search", apart(search, folder, n, options.threads))
    told.add(n, "a tenth removed", apart(remove_a_tenth, folder, n, options.threads))
    told.add(n, "search on one thread", apart(search_again, folder, n, 1))
    told.add(n, "look-ups, ms", apart(look_up, folder, n, options.threads))


def vectors_told(parts: list[dict[str, Any]], wall: float, folder: Path) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in (folder / DIRECTORY).glob("*/*"))
    efforts = [json.loads(file.read_text()) for file in (folder / DIRECTORY).glob("*/backend.json")]
    return {
        "segments": len(parts), "wall s": wall, "processor s": sum(part["processor"] for part in parts),
        "writing s of a segment": float(np.median([part["writing"] for part in parts])),
        "drawing s of a segment": float(np.median([part["drawing"] for part in parts])),
        "peak MiB of a process": max(part["peak"] for part in parts), "MiB": size / 2**20, "efforts": efforts[:3],
    }  # fmt: skip


def apart(work: Callable[[Path, int], dict[str, Any]], folder: Path, n: int, threads: int) -> dict[str, Any]:
    """Done in a process of its own, with so many threads."""
    limit_threads(threads)
    with ProcessPoolExecutor(1, SPAWNED) as pool:
        return pool.submit(work, folder, n).result()


def limit_threads(threads: int) -> None:
    """Of the processes started from here on."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def catalogue_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob(f"{FILE_NAME}*"))


def line(n: int, said: dict[str, Any]) -> tuple[Cell, ...]:
    """A row of the table."""
    vectors, found, less = said["vectors"], said["search"], said["a tenth removed"]
    return (
        n, round(vectors["MiB"] + said["catalogue"]["MiB"]), round(said["stated"]["memory MiB"]), round(found["peak"]),
        round(vectors["peak MiB of a process"]), round(vectors["processor s"]), round(found["open s"], 2),
        found["recall@10"], found["p50 ms"], found["p99 ms"], found["batch questions/s"],
        said["search on one thread"]["p50 ms"], less["recall@10"], less["p50 ms"],
    )  # fmt: skip


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("sizes", type=int, nargs="*", default=[1_000_000, 10_000_000])
    reading.add_argument("--out", type=Path, help="a JSON file, written after each stage")
    reading.add_argument("--folder", type=Path, help="where the indexes are made, and removed again")
    reading.add_argument("--threads", type=int, default=os.cpu_count())
    reading.add_argument("--save", action="store_true")
    options = reading.parse_args()
    told = Told(options.out)
    limit_threads(1)
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as name,
        ProcessPoolExecutor(len(options.sizes), SPAWNED) as clerks,
    ):
        folders = {n: Path(name) / f"large-{n}" for n in options.sizes}
        filling = {}
        for n, folder in folders.items():
            IndexStore.create(folder, SETTINGS).close()
            filling[n] = clerks.submit(fill_catalogue, folder, n)
        for n, folder in folders.items():
            run(n, folder, filling[n], options, told)
            discard_directory(folder)
    report("search-large", table_of(told), save=options.save)


def table_of(told: Told) -> Table:
    rows = [line(int(n), said) for n, said in told.said["sizes"].items()]
    return Table(
        section="Vector search",
        question="What does one large index on disk take, and how is it searched?",
        columns=(
            "passages", "disk MiB", "memory stated MiB", "peak of a searcher", "peak of a writer",
            "vectors, processor s", "open s", "recall@10", "p50 ms", "p99 ms", "batch questions/s",
            "one thread p50 ms", "less a tenth: recall@10", "p50 ms",
        ),
        runs=(measured(rows),),
        command="python benchmarks/large.py",
        note="PQ lists, 384 wide, 10,000 topics, 200 questions; vectors and catalogue, without words; warm file cache.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
