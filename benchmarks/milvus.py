"""What the Milvus backend takes for each passage, at two sizes: ``python benchmarks/milvus.py [URI [DATA]]``.

Synthetic passages and random vectors, those of ``scale.py``, go through a whole ingest, without a model. URI is a
Milvus server's address, DATA the folder where it keeps its data, if that is on this machine; without them Milvus Lite
runs in this process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from scale import DIM, SIZES, Random, write_corpus
from tables import Cell, Table, measured, report

from rag.building.ingest import Source, ingest
from rag.encoders.encoders import Encoders
from rag.indexing import IndexStore
from rag.settings import VectorSettings

QUESTIONS, K = 50, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri", nargs="?")
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--called", default="Milvus Lite", help="What the table calls it.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--save", action="store_true", help="Write benchmarks/results and the document as well.")
    args = parser.parse_args()
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        for n in args.sizes:
            corpus = Path(name) / f"{n}.jsonl"
            write_corpus(corpus, n)
            data = args.data or Path(name) / f"{n}.db"
            rows.append((args.called, *measure(Path(name) / str(n), corpus, n, args.uri or str(data), data)))
    table = Table(
        section="Vector search",
        question="What does a passage cost with Milvus, and is it the same at two sizes?",
        columns=(
            "where", "passages", "in the index's folder B", "in Milvus B", "storing s", "of them this process's",
            "one question p50 ms", "slowest ms", f"{QUESTIONS} questions at once ms", f"recall@{K}",
        ),
        runs=(measured(rows, ("pymilvus", "milvus-lite")),),
        command="python benchmarks/milvus.py",
        note=f"Vectors {DIM} wide; bytes for each passage, catalogue and words included in the folder's.",
    )  # fmt: skip
    report("search-milvus", table, save=args.save, key=2)


def measure(folder: Path, corpus: Path, n: int, uri: str, data: Path) -> tuple[Cell, ...]:
    settings = VectorSettings(backend="milvus", milvus_uri=uri)
    before, begin, computed = _bytes(data), time.perf_counter(), time.process_time()
    with IndexStore.create(folder, settings) as store:
        ingest([Source(corpus)], store, Encoders(Random()))
        took, computed = time.perf_counter() - begin, time.process_time() - computed
        questions = Random().encode([""] * QUESTIONS)
        with store.snapshot() as snapshot:
            snapshot.search("text", questions[:1], K)
            times, found = [], []
            for question in questions:
                asked = time.perf_counter()
                found.append({h.row for h in snapshot.search("text", question, K)[0]})
                times.append((time.perf_counter() - asked) * 1000)
            asked = time.perf_counter()
            snapshot.search("text", questions, K)
            together = (time.perf_counter() - asked) * 1000
            nearest = [{h.row for h in hits} for hits in snapshot.search("text", questions, K, exact=True)]
    recall = np.mean([len(a & b) / K for a, b in zip(found, nearest, strict=True)])
    here = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    there = _bytes(data) - before
    return (
        n, round(here / n), round(there / n) if data.exists() else None, round(took, 1), round(computed, 1),
        round(statistics.median(times), 1), round(max(times), 1), round(together), round(float(recall), 3),
    )  # fmt: skip


def _bytes(data: Path) -> int:
    files = [data] if data.is_file() else data.rglob("*") if data.exists() else []
    return sum(f.stat().st_size for f in files if f.is_file())


if __name__ == "__main__":
    main()
