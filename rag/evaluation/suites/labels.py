"""Agreement of the reader with coded findings: one yes/no question for every study and finding."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion, Outcome, score_verdicts
from rag.progress import Progress
from rag.types import Question

_NOT_FINDINGS = {"filename", "study", "normal", "split"}
MIN_POSITIVES = 20


@dataclass
class LabelAgreement:
    """F1 by finding; ``macro_f1`` averages those with at least ``MIN_POSITIVES`` positives."""

    by_finding: dict[str, Outcome]

    @property
    def macro_f1(self) -> float:
        counted = [o.f1 for o in self.by_finding.values() if o.yes_total >= MIN_POSITIVES]
        return sum(counted) / len(counted) if counted else 0.0

    def table(self) -> str:
        lines = ["| finding | positives | recall | F1 |", "|---|---:|---:|---:|"]
        for name, o in self.by_finding.items():
            mark = "" if o.yes_total >= MIN_POSITIVES else " (not averaged)"
            recall = o.yes_right / o.yes_total if o.yes_total else float("nan")
            lines.append(f"| {name}{mark} | {o.yes_total} | {recall:.3f} | {o.f1:.3f} |")
        return "\n".join([*lines, f"| **mean** | | | **{self.macro_f1:.3f}** |"])


def evaluate_labels(path: Path, engine: Engine, progress: Progress) -> LabelAgreement:
    """Ask "Does the study show FINDING?" for every row and column of a CSV file of 0/1 labels.

    The first column holds the study id; columns named ``normal`` or ``split`` are left out, and so are studies that the
    index does not hold.

    Raises:
        InputError: the file cannot be read, or a label is neither 0 nor 1.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise InputError(f"{path} has no rows")
    key = next(iter(rows[0]))
    found: dict[str, Outcome] = {}
    for finding in (c for c in rows[0] if c != key and c.lower() not in _NOT_FINDINGS):
        name = finding.replace("_", " ").lower()
        if any(row[finding] not in ("0", "1") for row in rows):
            raise InputError(f"{path}, column {finding!r}: a label is neither 0 nor 1")
        questions = [
            LabelledQuestion(
                row[key],
                Question(text=f"Does the study show {name}?", study=row[key]),
                "yes" if row[finding] == "1" else "no",
                row[key],
            )
            for row in rows
            if engine.has_study(row[key])
        ]
        if any(q.answer == "yes" for q in questions):
            found[finding] = score_verdicts(questions, engine, progress)
    return LabelAgreement(found)
