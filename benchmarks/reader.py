"""Agreement of the reader with human codes and with questions about Open-i studies, through the engine.

Needs the demo index (make demo) and the folder of test data: ``python benchmarks/reader.py [INDEX [DATA]]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import Table, measured, report, saving

import rag
from rag.evaluation.questions import read_questions, score_verdicts
from rag.evaluation.suites.labels import MIN_POSITIVES, evaluate_labels
from rag.progress import Silent


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    index = Path(argv[0]) if argv else Path("indexes/demo")
    data = Path(argv[1]) if len(argv) > 1 else Path("../shared/data/iuxray")
    if not index.exists() or not data.exists():
        print(f"not measured: needs the index {index} and the data {data}")
        return
    engine = rag.Engine.open(index)
    questions, skipped = read_questions(data / "dev_qa.jsonl")
    outcome = score_verdicts(questions, engine, Silent())
    outcome.skipped = skipped
    certified = "with a certificate in force" if any(index.glob("certificate*.json")) else "before a certificate"
    recalled = f"{outcome.yes_right}/{outcome.yes_total}", f"{outcome.no_right}/{outcome.no_total}"
    row = (f"dev_qa.jsonl, {certified}", outcome.n, outcome.answered, *recalled, round(outcome.balanced_accuracy, 3))
    questions_table = Table(
        section="Reading",
        question="Are questions about a study answered rightly?",
        columns=(
            "questions", "asked", "answered", "yes recalled", "no recalled", "balanced accuracy (wanted: 0.9)"
        ),
        runs=(measured([row]),),
        command="python benchmarks/reader.py",
        note=f"Withheld answers count as wrong; {skipped} questions without a right answer of yes or no were skipped.",
    )  # fmt: skip
    report("reading-questions", questions_table, save=save, key=1)
    agreement = evaluate_labels(data / "openi_labels.csv", engine, Silent())
    rows = [
        (
            name if o.yes_total >= MIN_POSITIVES else f"{name} (not averaged)",
            o.yes_total,
            round(o.yes_right / max(1, o.yes_total), 3),
            round(o.f1, 3),
        )
        for name, o in agreement.by_finding.items()
    ]
    labels_table = Table(
        section="Reading",
        question="Does the reader agree with the people who coded the chest X-ray studies?",
        columns=("finding", "positives", "recall of yes", "F1 of yes"),
        runs=(measured([*rows, ("mean (wanted: 0.85)", None, None, round(agreement.macro_f1, 3))]),),
        command="python benchmarks/reader.py",
        note="The lexicon and the cue words were developed with these labels in view: figures of the development set. "
        f"The mean is of findings with at least {MIN_POSITIVES} positives.",
    )
    report("reading-labels", labels_table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
