"""What a store takes for each passage, at two sizes: ``python benchmarks/scale.py [SMALL LARGE]``.

Synthetic passages of about 60 words and random vectors 384 wide around 200 centres go through a whole ingest, without a
model, so that what is measured is the store. Two sizes show whether a passage costs the same in a larger store. Each
backend's memory is that of a process of its own that opens the index and searches it with every vector looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tables import Cell, Table, measured, report, saving

from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.indexing import IndexStore
from rag.indexing.plan import plan
from rag.settings import VectorSettings

SIZES, DIM, WORDS = (10_000, 30_000), 384, 60
BACKENDS = ("flat", "ivf-sq8", "ivf-pq")
_READ = """
import resource, sys
from pathlib import Path
import numpy as np
from rag.indexing import IndexStore
from rag.settings import VectorSettings
with IndexStore.open(Path(sys.argv[1]), VectorSettings(backend=sys.argv[2])) as store, store.snapshot() as snapshot:
    questions = np.random.default_rng(1).standard_normal((64, 384)).astype(np.float32)
    questions /= np.linalg.norm(questions, axis=1, keepdims=True)
    snapshot.search("text", questions, 50)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


class Random:
    """Unit vectors around centres, in place of a text encoder."""

    dim, fingerprint = DIM, "random"

    def __init__(self) -> None:
        self._dice = np.random.default_rng(0)
        self._centres = self._dice.standard_normal((200, DIM)).astype(np.float32)

    def encode(
        self, texts: Sequence[str], *, kind: str = "passage", progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        noise = self._dice.standard_normal((len(texts), DIM), dtype=np.float32)
        vectors = self._centres[self._dice.integers(0, 200, len(texts))] + 0.6 * noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    sizes = tuple(int(a) for a in argv) or SIZES
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        for n in sizes:
            corpus = Path(name) / f"{n}.jsonl"
            write_corpus(corpus, n)
            rows += [measure(Path(name) / f"{backend}-{n}", corpus, n, backend) for backend in BACKENDS]
    table = Table(
        section="Vector search",
        question="What does a passage cost in the store, and is it the same at two sizes?",
        columns=(
            "backend", "passages", "catalogue B", "words B", "vectors B", "of the plan's", "store s for a million",
            "resident MB",
        ),
        runs=(measured(rows),),
        command="python benchmarks/scale.py",
        note=f"Bytes for each passage of about {WORDS} words, vectors {DIM} wide; seconds are the processor's, without "
        "encoding; opened and searched by a process of its own.",
    )  # fmt: skip
    report("search-scale", table, save=save)


def write_corpus(file: Path, n: int) -> None:
    """Synthetic literature: words drawn by Zipf's law, one passage a document."""
    dice = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as out:
        for i in range(n):
            words = " ".join(f"w{rank}" for rank in np.minimum(dice.zipf(1.3, WORDS), 50_000))
            out.write(json.dumps({"id": f"d{i}", "kind": "literature", "text": f"{words}."}) + "\n")


def measure(folder: Path, corpus: Path, n: int, backend: str) -> tuple[Cell, ...]:
    settings = VectorSettings(backend=backend)
    begin = time.process_time()
    with IndexStore.create(folder, settings) as store:
        made = ingest([Source(corpus)], store, Encoders(Random()))
    seconds = time.process_time() - begin
    if made.passages != n:
        raise SystemExit(f"{made.passages} passages were made of {n} documents")
    sizes: dict[str, int] = {"vectors": 0, "words": 0}
    for manifest in (folder / "segments").glob("*/manifest.json"):
        kind = json.loads(manifest.read_text())["kind"]
        sizes[kind] += sum(file.stat().st_size for file in manifest.parent.iterdir())
    catalogue = sum(file.stat().st_size for file in folder.glob("catalogue.sqlite*"))
    stated = plan(n, DIM, settings).disk
    command = [sys.executable, "-c", _READ, str(folder), backend]
    resident = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return (
        backend, n, round(catalogue / n), round(sizes["words"] / n), round(sizes["vectors"] / n),
        round(sizes["vectors"] / stated, 2), round(seconds / n * 1e6), round(resident / 1e6),
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
