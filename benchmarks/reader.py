"""Agreement of the reader with human codes and with questions about Open-i studies, through the engine.

Needs the demo index (make demo) and the folder of test data: ``python benchmarks/reader.py [INDEX [DATA]]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import Table, measured, report, saving

import rag
from rag.evaluation.suites.labels import MEAN, MIN_POSITIVES

SIDES = ("yes", "no")


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    index = Path(argv[0]) if argv else Path("indexes/demo")
    data = Path(argv[1]) if len(argv) > 1 else Path("../shared/data/iuxray")
    if not index.exists() or not data.exists():
        print(f"not measured: needs the index {index} and the data {data}")
        return
    engine = rag.Engine.open(index)
    asked = rag.evaluate(engine, "questions", data / "dev_qa.jsonl")
    skipped, shares = sum(asked.left_out.values()), asked.rows[0]
    certified = "with a certificate in force" if any(index.glob("certificate*.json")) else "before a certificate"
    recalled = [f"{round(shares.metrics[f'{s}_recalled'].value * shares.counts[s])}/{shares.counts[s]}" for s in SIDES]
    n, balanced = shares.counts["questions"], round(shares.metrics["balanced_accuracy"].value, 3)
    row = (f"dev_qa.jsonl, {certified}", n, round(shares.metrics["answered"].value * n), *recalled, balanced)
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
    labels = rag.evaluate(engine, "labels", data / "openi_labels.csv")
    findings = [r for r in labels.rows if r.of["finding"] != MEAN]
    rows = [
        (
            name if r.counts["positives"] >= MIN_POSITIVES else f"{name} (not averaged)",
            r.counts["positives"],
            round(r.metrics["recall"].value, 3),
            round(r.metrics["F1"].value, 3),
        )
        for r in findings
        for name in [r.of["finding"]]
    ]
    mean = round(labels.value("F1", finding=MEAN), 3)
    labels_table = Table(
        section="Reading",
        question="Does the reader agree with the people who coded the chest X-ray studies?",
        columns=("finding", "positives", "recall of yes", "F1 of yes"),
        runs=(measured([*rows, ("mean (wanted: 0.85)", None, None, mean)]),),
        command="python benchmarks/reader.py",
        note="The lexicon and the cue words were developed with these labels in view: figures of the development set. "
        f"The mean is of findings with at least {MIN_POSITIVES} positives.",
    )
    report("reading-labels", labels_table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
