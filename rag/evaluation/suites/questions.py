"""Labelled yes/no questions, asked of an index: how many are answered, and how many of those rightly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.evaluation.questions import agreement, ask_labelled, read_yes_no
from rag.evaluation.report import Report
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.progress import Progress

SKIPPED = "the answer is neither yes nor no"


@dataclass(frozen=True)
class QuestionSuite:
    """Rows of :func:`~rag.evaluation.questions.read_yes_no`, or whatever is ``labelled()``.

    >>> QuestionSuite().name
    'questions'
    """

    name: ClassVar[str] = "questions"

    def read(self, path: Path) -> Sample:
        rows, skipped = read_yes_no(path)
        return Sample(rows, Counter({SKIPPED: skipped} if skipped else {}))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        questions = [q.labelled() for q in sample.rows]
        said = ask_labelled(questions, engine, progress)
        wrong = [q.id for q, answer in zip(questions, said, strict=True) if answer != q.answer]
        row = agreement(questions, said, {})
        return Report(self.name, measured_index(engine), (row,), sample.left_out, details={"wrong": wrong})
