"""How long counting takes: on an index of yours, and on a synthetic one of a million statements.

    python benchmarks/cohorts.py --index indexes/demo --statements 1000000

Prints one JSON object: best and median of several runs, in milliseconds, for each question; and the median of the
processor's time, which says more than the clock on a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from rag.cohorts.asking import read_cohort
from rag.cohorts.criteria import Page
from rag.cohorts.find import find
from rag.cohorts.statements import rules_of
from rag.indexing import IndexStore, SpaceInfo
from rag.indexing.statements import ReadDocument, Statement
from rag.language.lexicon import Lexicon
from rag.language.vocabulary import lexicon_of
from rag.types import Document, Passage

QUESTIONS = (
    "How many reports mention cardiomegaly?",
    "left but not right pleural effusion",
    "nodules larger than 1 cm",
    "cardiomegaly and pleural effusion but no pneumothorax",
    "crosstab of cardiomegaly by pleural effusion",
)
A_REPORT = 20  # statements of one report, as in the Open-i reports


def timed(store: IndexStore, runs: int) -> dict[str, object]:
    """Milliseconds of each question, and the count."""
    with store.snapshot() as snapshot:
        lexicon = lexicon_of(snapshot)
        times: dict[str, object] = {}
        for text in QUESTIONS:
            asked, took, busy = read_cohort(text, lexicon), [], []
            for _ in range(runs):
                begin, cpu = time.perf_counter(), time.process_time()
                found = find(snapshot, lexicon, asked, Page(limit=20), store.name)
                took.append(1000 * (time.perf_counter() - begin))
                busy.append(1000 * (time.process_time() - cpu))
            times[text] = {
                "count": found.count,
                "of": found.scope,
                "best_ms": round(min(took), 1),
                "median_ms": round(statistics.median(took), 1),
                "cpu_ms": round(statistics.median(busy), 1),
            }
    return times


def synthetic(folder: Path, statements: int, seed: int = 1) -> IndexStore:
    """An index of that many random statements, of the findings and structures of the chest."""
    store, lexicon, draw = IndexStore.create(folder / "synthetic"), Lexicon.load(), random.Random(seed)
    concepts = [c.id for c in lexicon.concepts.values() if c.domain == "radiology"]
    frequent = ["cardiomegaly", "pleural_effusion", "pneumothorax", "nodule", "heart", "lungs", "whole_chest"]
    rules = rules_of(lexicon)

    def statement() -> Statement:
        concept = draw.choice(frequent) if draw.random() < 0.3 else draw.choice(concepts)
        status = draw.choices(["absent", "present", "uncertain", "historical"], [87, 10, 2, 1])[0]
        if lexicon.concepts[concept].kind == "structure":
            status = "absent"
        value = draw.uniform(2, 40) if concept == "nodule" and status == "present" else None
        size = "length" if value else ""
        return Statement(concept, status, draw.randrange(4), "", "", "", size, value, 1.0, False, 0, 4)

    def read(row: int, document: Document) -> ReadDocument:
        return ReadDocument(row, "", [statement() for _ in range(A_REPORT)])

    reports, batch = statements // A_REPORT, 10_000
    for begin in range(0, reports, batch):
        ids = [f"r{n}" for n in range(begin, min(begin + batch, reports))]
        documents = [
            Document(id=i, kind="report", domain="radiology", text="Text.", case_id=i, group_id=i, source="synthetic")
            for i in ids
        ]
        passages = [Passage(id=f"{i}#0", document_id=i, start=0, end=5, text="Text.") for i in ids]
        vectors = np.tile(np.array([[1, 0, 0, 0]], np.float32), (len(ids), 1))
        with store.writer() as writer:
            writer.stage(documents, passages, {"text": ([p.id for p in passages], vectors)})
            writer.publish("synthetic", {"text": SpaceInfo(4, "synthetic")})
    for _ in store.read_anew(read, rules, again=False):
        pass
    return store


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--index", type=Path, help="An index to count in.")
    options.add_argument("--statements", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=5)
    given = options.parse_args()
    measured: dict[str, object] = {}
    if given.index:
        measured[given.index.name] = timed(IndexStore.open(given.index), given.runs)
    with tempfile.TemporaryDirectory() as folder:
        measured[f"{given.statements:,} synthetic statements"] = timed(
            synthetic(Path(folder), given.statements), given.runs
        )
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
