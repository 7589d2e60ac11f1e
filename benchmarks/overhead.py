"""What measuring adds to the answers' own time: ``python benchmarks/overhead.py [--save]``, with the demo index.

The same questions are answered with and without a suite around them, in turn, in seconds of processor time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np
from tables import ROOT, Table, measured, report, saving

import rag
from rag.evaluation.questions import answers_to, read_yes_no
from rag.evaluation.suite import named_suite
from rag.progress import Silent

QUESTIONS = ROOT / "../shared/data/iuxray/dev_qa.jsonl"
ROUNDS = 5


def main(argv: list[str]) -> None:
    _, save = saving(argv)
    index = ROOT / os.environ.get("RAG_INDEXES", "indexes") / "demo"
    if not (QUESTIONS.exists() and index.exists()):
        print("not measured: it takes the demo index (make demo) and ../shared/data/iuxray")
        return
    engine, (rows, _) = rag.Engine.open(index), read_yes_no(QUESTIONS)
    suite = named_suite("questions", baselines=False)
    ways: dict[str, Callable[[], object]] = {
        "the answers alone": lambda: list(answers_to(rows, engine, Silent())),
        "the suite": lambda: rag.evaluate(engine, suite, rows),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(ROUNDS + 1):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            if n:  # the first round warms up
                taken[name].append(time.process_time() - begin)
    alone, measuring = (float(np.median(some)) for some in taken.values())
    cells = (len(rows), round(alone, 2), round(measuring, 2), round(measuring / alone - 1, 3))
    table = Table(
        section="Speed",
        question="What does measuring add to the answers' own time?",
        columns=("questions", "the answers alone, s of processor", "the suite, s", "added (wanted: below 0.05)"),
        runs=(measured([cells]),),
        command="python benchmarks/overhead.py",
        note=f"Median of {ROUNDS} rounds; metrics, intervals of 1,000 resamples and the report are in the suite's, "
        "baselines are not: each asks every question again.",
    )
    report("speed-evaluating", table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
