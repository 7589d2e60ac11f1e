"""Questions asked of an index: labelled yes/no ones beside what they are compared with, or ones of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.answering.engine import Engine
from rag.evaluation import baselines
from rag.evaluation.metrics import Estimate
from rag.evaluation.questions import LabelledQuestion, agreement, answers_to, json_lines, read_yes_no, side_of
from rag.evaluation.report import NO_BASELINES, Report, Row
from rag.evaluation.selective import measure_selection
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.kinds import KindQuestion, measure_kinds, read_kinds
from rag.progress import Progress
from rag.types import Answer

SKIPPED = "the answer is neither yes nor no"
OURS = "as asked"


@dataclass(frozen=True)
class QuestionSuite:
    """Rows of :func:`~rag.evaluation.questions.read_yes_no`, or whatever is ``labelled()``; or, where the rows have an
    ``expect``, of :func:`~rag.evaluation.suites.kinds.read_kinds`.

    The first row is the index as it answers. Beside it stand a constant answer, what the question's words alone give,
    and what the same generator says without evidence, with another group's evidence, and with the labels' own.

    >>> QuestionSuite().name
    'questions'

    Attributes:
        baselines: also measure what stands beside it; each asks every question again.
    """

    baselines: bool = True
    name: ClassVar[str] = "questions"

    def read(self, path: Path) -> Sample:
        first = next((row for _, row in json_lines(path)), {})
        if "expect" in first:
            return Sample(read_kinds(path))
        rows, skipped = read_yes_no(path)
        return Sample(rows, Counter({SKIPPED: skipped} if skipped else {}))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        if kinds := [row for row in sample.rows if isinstance(row, KindQuestion)]:
            return measure_kinds(engine, kinds, sample.left_out, progress)
        questions = [q.labelled() for q in sample.rows]
        answers = list(answers_to(questions, engine, progress))
        said = [side_of(answer) for answer in answers]
        first = agreement(questions, said, {"answered by": OURS})
        rows = [Row(first.of, first.counts, {**first.metrics, **_selection(questions, answers)})]
        if self.baselines:
            rows += [
                agreement(questions, theirs, {"answered by": of}) for of, theirs in _beside(questions, engine, progress)
            ]
        outcomes = [
            {"id": q.id, "group": q.group, "answer": q.answer, "said": side, "confidence": answer.confidence}
            for q, side, answer in zip(questions, said, answers, strict=True)
        ]
        wrong = [q.id for q, answer in zip(questions, said, strict=True) if answer != q.answer]
        details = {"wrong": wrong, "outcomes": outcomes}
        effects = engine.pipeline().image_effects if any(q.question.image for q in questions) else None
        notes = tuple(f"depends on the image? {effect}" for effect in effects.effects) if effects else ()
        notes = notes if self.baselines else (*notes, NO_BASELINES)
        return Report(self.name, measured_index(engine), tuple(rows), sample.left_out, notes, details)


def _selection(questions: Sequence[LabelledQuestion], answers: Sequence[Answer]) -> dict[str, Estimate]:
    given = [(a.confidence, a.side == q.answer) for q, a in zip(questions, answers, strict=True) if a.side]
    return measure_selection([c for c, _ in given], [right for _, right in given])


def _beside(
    questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress
) -> Iterator[tuple[str, list[str]]]:
    yield "a constant", baselines.answer_constantly(questions)
    words = baselines.answer_by_words(questions)
    if words is not None:
        yield "by the question's words", words
    pipeline = engine.pipeline()
    yield "without evidence", baselines.answer_without_evidence(questions, pipeline, progress)
    yield "from others' evidence", baselines.answer_from_shuffled(questions, pipeline, progress)
    labelled = baselines.answer_from_labelled(questions, pipeline, progress)
    if labelled is not None:
        yield "from the labels' evidence", labelled
