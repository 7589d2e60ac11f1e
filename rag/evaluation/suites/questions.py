"""Questions asked of an index: labelled yes/no ones beside what they are compared with, or ones of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from rag.answering.pipeline import Pipeline
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.metrics import Estimate
from rag.evaluation.questions import BATCH, LabelledQuestion, agreement, answers_to, json_lines, read_yes_no, side_of
from rag.evaluation.report import NO_BASELINES, Report, Row
from rag.evaluation.selective import measure_selection
from rag.evaluation.sight import write_noised
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.kinds import KindQuestion, measure_kinds, read_kinds
from rag.progress import Progress
from rag.types import Answer, Document, Hit, Passage, Question

SKIPPED = "the answer is neither yes nor no"
OURS = "as asked"


@dataclass(frozen=True)
class QuestionSuite:
    """Rows of :func:`~rag.evaluation.questions.read_yes_no`, or whatever is ``labelled()``; or, where the rows have an
    ``expect``, of :func:`~rag.evaluation.suites.kinds.read_kinds`.

    The first row is the index as it answers, beside it the baselines (:mod:`rag.evaluation.baselines`).

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
            trials = QuestionTrials(questions, engine.pipeline(), progress)
            rows += [agreement(questions, theirs, {"answered by": of}) for of, theirs in beside(trials)]
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


class QuestionTrials(Trials):
    """Questions that the same pipeline is asked with other evidence or another image."""

    def __init__(self, questions: Sequence[LabelledQuestion], pipeline: Pipeline, progress: Progress) -> None:
        self.questions, self.pipeline, self._progress = questions, pipeline, progress
        super().__init__(
            [q.question.text.replace(q.question.study or "\0", "") for q in questions],
            [q.answer for q in questions],
            [q.group for q in questions],
        )

    def holds_evidence(self, row: int) -> bool:
        return bool(self._contexts[row])

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str]:
        given = [self._contexts[row] if row is not None else () for row in rows]
        # another's report does not stand as the study's own
        others = [[hit.model_copy(update={"channel": "text"}) for hit in hits] for hits in given]
        return self._answers([q.question for q in self.questions], others, "asking with other evidence")

    def from_own_evidence(self) -> list[str] | None:
        if not any(q.evidence for q in self.questions):
            return None
        given = [
            [_whole(d, q) for e in q.evidence if (d := self.pipeline.snapshot.document(e))] for q in self.questions
        ]
        return self._answers([q.question for q in self.questions], given, "asking with the evidence of the labels")

    def holds_image(self, row: int) -> bool:
        return self.questions[row].question.image is not None

    def from_image_of(self, rows: Sequence[int | None]) -> list[str]:
        shown = [
            (q.question.image, q.question.exclude_groups) if (q := self._row(row)) is not None else (None, ())
            for row in rows
        ]  # whose image it is, is not found
        return self._found(shown, "asking with another image, or none")

    def from_image_in_noise(self) -> list[str]:
        with TemporaryDirectory(prefix="clincite-suite-") as folder:
            images = [q.question.image for q in self.questions]
            noise = [
                str(write_noised(Path(image), Path(folder) / f"{n}.png", seed=n)) if image else None
                for n, image in enumerate(images)
            ]
            return self._found([(image, ()) for image in noise], "asking with noise")

    def _row(self, row: int | None) -> LabelledQuestion | None:
        return self.questions[row] if row is not None else None

    def _found(self, shown: Sequence[tuple[str | None, tuple[str, ...]]], stage: str) -> list[str]:
        """What is said to each with this image, these groups hidden; a question that was about none stays as it is."""
        said, advance = list[str](), self._progress.stage(stage, len(shown))
        asked = [
            q.question.model_copy(
                update={"image": image, "exclude_groups": tuple(dict.fromkeys((*q.question.exclude_groups, *hidden)))}
            )
            if q.question.image
            else q.question
            for q, (image, hidden) in zip(self.questions, shown, strict=True)
        ]
        for i in range(0, len(asked), BATCH):
            for answer in self.pipeline.finish_all(self.pipeline.begin(asked[i : i + BATCH])):
                said.append(side_of(answer))
                advance(1)
        return said

    @cached_property
    def _contexts(self) -> list[Sequence[Hit]]:
        """What the selector keeps for each question."""
        found, advance = list[Sequence[Hit]](), self._progress.stage("searching", len(self.questions))
        for i in range(0, len(self.questions), BATCH):
            for turn in self.pipeline.begin([q.question for q in self.questions[i : i + BATCH]]):
                found.append(turn.found.hits[: self.pipeline.select(turn).kept])
                advance(1)
        return found

    def _answers(self, questions: Sequence[Question], evidence: Sequence[Sequence[Hit]], stage: str) -> list[str]:
        said, advance = list[str](), self._progress.stage(stage, len(questions))
        for question, hits in zip(questions, evidence, strict=True):
            said.append(side_of(self.pipeline.finish(self.pipeline.begin_with(question, hits))))
            advance(1)
        return said


def _whole(d: Document, q: LabelledQuestion) -> Hit:
    channel = "study" if q.question.study == d.case_id else "text"
    whole = Passage(id=f"{d.id}#0", document_id=d.id, start=0, end=len(d.text), text=d.text)
    return Hit(passage=whole, document=d, score=1.0, channel=channel, ranks={channel: 1})
