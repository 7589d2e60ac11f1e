"""Agreement with coded findings: one yes/no question for every study and finding."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.errors import InputError
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.questions import LabelledQuestion, agreement, ask_labelled
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.progress import Progress
from rag.types import Question

_NOT_FINDINGS = {"filename", "study", "normal", "split"}
MIN_POSITIVES = 20
MEAN = "mean"


class CodedFinding(NamedTuple):
    """Whether a study has a finding, as a question."""

    finding: str
    asked: LabelledQuestion


@dataclass(frozen=True)
class LabelSuite:
    """A CSV file of 0/1 labels: "Does the study show FINDING?" is asked for every row and column.

    The first column holds the study id; columns named ``normal`` or ``split`` are left out, and so are studies that the
    index does not hold. The mean is of findings with at least ``MIN_POSITIVES`` positives.

    >>> LabelSuite().name
    'labels'

    Attributes:
        baselines: also tell the F1 of what costs little (:mod:`rag.evaluation.baselines`).
    """

    baselines: bool = True
    name: ClassVar[str] = "labels"

    def read(self, path: Path) -> Sample:
        """Raises InputError where the file cannot be read, or a label is neither 0 nor 1."""
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read as CSV: {error}") from error
        if not rows:
            raise InputError(f"{path} has no rows")
        key, *columns = rows[0]
        found = []
        for finding in (c for c in columns if c.lower() not in _NOT_FINDINGS):
            if any(row[finding] not in ("0", "1") for row in rows):
                raise InputError(f"{path}, column {finding!r}: a label is neither 0 nor 1")
            text = f"Does the study show {finding.replace('_', ' ').lower()}?"
            found += [CodedFinding(finding, _ask(text, row[key], row[finding] == "1")) for row in rows]
        return Sample(found)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine, left_out, of = need_engine(subject, self), Counter(sample.left_out), dict[str, list[LabelledQuestion]]()
        for coded in sample.rows:
            if engine.has_study(coded.asked.group):
                of.setdefault(coded.finding, []).append(coded.asked)
            else:
                left_out["the study is not in the index"] += 1
        rows = []
        for finding, questions in of.items():
            if any(q.answer == "yes" for q in questions):
                said = ask_labelled(questions, engine, progress)
                row = agreement(questions, said, {"finding": finding})
                metrics = {"recall": row.metrics["yes_recalled"], "F1": row.metrics["F1_of_yes"]}
                if self.baselines:
                    for name, other in beside(StudyTrials(questions, said), AlwaysYes()):
                        metrics[f"F1 of {name}"] = agreement(questions, other, {}).metrics["F1_of_yes"]
                rows.append(Row(row.of, {"positives": row.counts["yes"]}, metrics))
        counted = [row.metrics["F1"].value for row in rows if row.counts["positives"] >= MIN_POSITIVES]
        mean = exactly(sum(counted) / len(counted) if counted else 0.0)
        rows.append(Row({"finding": MEAN}, {"findings": len(counted)}, {"F1": mean}))
        notes: tuple[str, ...] = (f"The mean is of findings with at least {MIN_POSITIVES} positives.",)
        notes = notes if self.baselines else (*notes, NO_BASELINES)
        return Report(self.name, measured_index(engine), tuple(rows), left_out, notes)


class StudyTrials(Trials):
    """One question about many studies: what is said from another study's report is what is said of that study."""

    def __init__(self, questions: Sequence[LabelledQuestion], said: Sequence[str]) -> None:
        self._said = said
        super().__init__([""] * len(said), [q.answer for q in questions], [q.group for q in questions])

    def holds_evidence(self, row: int) -> bool:
        return True

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str] | None:
        others = [self._said[row] for row in rows if row is not None]
        return others if len(others) == len(rows) else None


@dataclass(frozen=True)
class AlwaysYes:
    """Yes to everything: the constant of highest F1."""

    name: ClassVar[str] = "always yes"

    def answers(self, trials: Trials) -> list[str]:
        return ["yes"] * len(trials.labels)


def _ask(text: str, study: str, present: bool) -> LabelledQuestion:
    return LabelledQuestion(study, Question(text=text, study=study), "yes" if present else "no", study)
