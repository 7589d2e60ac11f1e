"""Latency of a question on the demo index, warm. Build it first: make demo."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from tables import Table, measured, report, saving

import rag

QUESTIONS = {
    "literature": ["What is retinal drusen?", "What is pleural effusion?", "How is cardiomegaly defined?",
                   "What is a coloboma of the iris?", "Which signs suggest pulmonary oedema?"],
    "a study": [f"Does study CXR{n} show a pleural effusion?" for n in (1, 10, 100, 1000, 2814)],
    "refused": ["What is the capital of France?", "Which dose of warfarin should this patient take?"],
}  # fmt: skip
REPEATS = 12


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    path = Path(argv[0]) if argv else Path("indexes/demo")
    if not path.exists():
        print(f"not measured: there is no index {path}; build it with: make demo")
        return
    engine = rag.Engine.open(path)
    engine.ask(QUESTIONS["literature"][0])
    rows = []
    for name, questions in QUESTIONS.items():
        times = []
        for question in questions * REPEATS:
            begin = time.perf_counter()
            engine.ask(question)
            times.append((time.perf_counter() - begin) * 1000)
        p99 = statistics.quantiles(times, n=100)[98]
        rows.append((name, len(times), round(statistics.median(times), 1), round(p99, 1)))
    table = Table(
        section="Speed",
        question="How long does a question take on the demo index, warm?",
        columns=("questions", "n", "p50 ms (wanted: 150)", "p99 ms"),
        runs=(measured(rows),),
        command="python benchmarks/run.py ask",
    )
    report("speed-ask", table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
