"""A whole ingest's peak memory at N and 10 N documents, and PadChest's rows: ``python benchmarks/memory.py [--save]``.

Memory is measured without a model and with batches of 128, each size in a process of its own, so that what is seen is
the reader's and the store's: one reader of texts (PadChest's table) and one of images. Mapped pages of the catalogue,
which the system takes back when it needs them, do not count.
PadChest's rows then go through the default text encoder, beside that encoder alone over the same passages, in
seconds of processor time; a version is published on the way and searched.
"""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from tables import Table, measured, report, saving

from rag.building.ingest import ingest
from rag.building.source import Source
from rag.corpus.chunking import passages_of
from rag.corpus.packaged import packaged_file
from rag.corpus.source import read_source
from rag.encoders.encoders import Encoders
from rag.encoders.minilm import MiniLmEncoder
from rag.indexing import IndexStore
from rag.types import Document

SIZES = {"padchest": (1_000, 10_000), "images": (300, 3_000)}
ROWS, ALL = 2_000, 160_000
TABLE = ("torchxrayvision", "data", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz")
_INGEST = """
import re, sys, threading
from pathlib import Path
import numpy as np
from rag.building import reading as module
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.indexing import IndexStore

module.BATCH = 128  # so that the smaller corpus fills some batches, too

class Random:
    dim, fingerprint = 64, "random"
    def _some(self, n):
        vectors = np.random.default_rng(0).standard_normal((n, 64), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    def encode(self, texts, **_):
        return self._some(len(texts))
    def encode_images(self, images, **_):
        return self._some(len(images))
    encode_texts = encode

peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.02):
        told = Path("/proc/self/status").read_text()
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", told)[1]))

watcher = threading.Thread(target=watch)
watcher.start()
with IndexStore.create(Path(sys.argv[2])) as store:
    made = ingest([Source(sys.argv[1])], store, Encoders(Random(), Random()))
done.set()
watcher.join()
print(made.added, peak // 1024)
"""


def main(argv: list[str]) -> None:
    _, save = saving(argv)
    rows = []
    for reader, (small, large) in SIZES.items():
        (few, low), (many, high) = peak(reader, small), peak(reader, large)
        rows.append((reader, few, low, many, high, round((high - low) * 1024 / (many - few), 2)))
    table = Table(
        section="Speed",
        question="Does an ingest's peak memory grow with the corpus?",
        columns=("reader", "documents", "peak, MiB", "documents (10 N)", "peak, MiB (10 N)", "KiB a document more"),
        runs=(measured(rows),),
        command="python benchmarks/memory.py",
        note="Without a model, in batches of 128. What grows are ids, origins, what is reported of each document, and "
        "while a version is written SQLite's cache, up to 16 MB.",
    )
    report("speed-ingest-memory", table, save=save)
    report("speed-ingest-padchest", padchest(), save=save)


def peak(reader: str, n: int) -> tuple[int, int]:
    """Documents and MiB of one ingest of ``n`` rows or images."""
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        corpus.mkdir()
        pictures(corpus, n) if reader == "images" else table_of(corpus, n)
        done = subprocess.run(
            [sys.executable, "-c", _INGEST, str(corpus), f"{name}/index"], capture_output=True, text=True, check=True
        )
        documents, mib = map(int, done.stdout.split())
        return documents, mib


def pictures(folder: Path, n: int) -> None:
    dice = np.random.default_rng(0)
    for number in range(n):
        pixels = dice.integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")


def table_of(folder: Path, n: int) -> None:
    """PadChest's table with its first ``n`` rows."""
    with (
        gzip.open(packaged_file(*TABLE), "rt", encoding="utf-8", newline="") as whole,
        gzip.open(folder / "padchest.csv.gz", "wt", encoding="utf-8", newline="") as some,
    ):
        reader = csv.reader(whole)
        csv.writer(some).writerows(islice(reader, n + 1))


def padchest() -> Table:
    encoder = MiniLmEncoder()
    with tempfile.TemporaryDirectory() as name:
        table_of(Path(name), ROWS)
        documents = [d for d in read_source(name) if isinstance(d, Document)]
        texts = [p.text for d in documents for p in passages_of(d)]
        encoder.encode(texts[:64])
        begin = time.process_time()
        for some in batches(texts):
            encoder.encode(some)
        bare = time.process_time() - begin
        with IndexStore.create(Path(name) / "index") as store:
            begin = time.process_time()
            made = ingest([Source(name, publish_every=1024)], store, Encoders(encoder))
            ours = time.process_time() - begin
            found = []
            for version in store.versions():
                with store.snapshot(version.number) as snapshot:
                    found.append(len(snapshot.search_words("derrame pleural", 10_000)))
    if found != sorted(found) or not found[0]:
        raise SystemExit(f"a published batch was not searchable: {found}")
    cells = (
        ROWS, len(documents), len(texts), round(bare, 1), round(ours, 1), round(ours / bare, 2), made.version,
        ", ".join(map(str, found)), round(ours * ALL / ROWS / 60),
    )  # fmt: skip
    return Table(
        section="Speed",
        question="Are PadChest's rows ingested within 1.1 times the bare encoder's time, and searchable on the way?",
        columns=(
            "rows",
            "reports",
            "passages",
            "encoder alone, s of processor",
            "whole ingest, s",
            "ratio (wanted: 1.1)",
            "versions",
            "found by words in each",
            f"{ALL:,} rows, minutes by arithmetic",
        ),
        runs=(measured([cells]),),
        command="python benchmarks/memory.py",
        note="Reading the reports for statements, storing and indexing are in the whole ingest; the encoder has 1,024 "
        "passages at a time in both.",
    )


def batches(texts: list[str], size: int = 1024) -> Iterator[list[str]]:
    for at in range(0, len(texts), size):
        yield texts[at : at + size]


if __name__ == "__main__":
    main(sys.argv[1:])
