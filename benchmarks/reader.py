"""Agreement of the reader with human codes and with questions about Open-i studies, through the engine.

Needs the demo index (make demo) and the folder of test data: ``python benchmarks/reader.py [INDEX [DATA]]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import rag
from rag.evaluation.questions import read_questions, score_verdicts
from rag.evaluation.suites.labels import evaluate_labels
from rag.progress import Silent


def main(argv: list[str]) -> None:
    index = Path(argv[0]) if argv else Path("indexes/demo")
    data = Path(argv[1]) if len(argv) > 1 else Path("../shared/data/iuxray")
    if not index.exists() or not data.exists():
        print(f"not measured: needs the index {index} and the data {data}")
        return
    engine = rag.Engine.open(index)
    questions, skipped = read_questions(data / "dev_qa.jsonl")
    outcome = score_verdicts(questions, engine, Silent())
    outcome.skipped = skipped
    print(outcome.table(), flush=True)
    print(evaluate_labels(data / "openi_labels.csv", engine, Silent()).table())


if __name__ == "__main__":
    main(sys.argv[1:])
