"""Latency of a question on the demo index, warm. Build it first: make demo."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import rag

QUESTIONS = {
    "literature": ["What is retinal drusen?", "What is pleural effusion?", "How is cardiomegaly defined?",
                   "What is a coloboma of the iris?", "Which signs suggest pulmonary oedema?"],
    "a study": [f"Does study CXR{n} show a pleural effusion?" for n in (1, 10, 100, 1000, 2814)],
    "refused": ["What is the capital of France?", "Which dose of warfarin should this patient take?"],
}  # fmt: skip
REPEATS = 12


def main(argv: list[str]) -> None:
    path = Path(argv[0]) if argv else Path("indexes/demo")
    if not path.exists():
        print(f"not measured: there is no index {path}; build it with: make demo")
        return
    engine = rag.Engine.open(path)
    engine.ask(QUESTIONS["literature"][0])
    print("| questions | n | p50 ms | p99 ms |\n|---|---:|---:|---:|")
    for name, questions in QUESTIONS.items():
        times = []
        for question in questions * REPEATS:
            begin = time.perf_counter()
            engine.ask(question)
            times.append((time.perf_counter() - begin) * 1000)
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"| {name} | {len(times)} | {statistics.median(times):.1f} | {p99:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
