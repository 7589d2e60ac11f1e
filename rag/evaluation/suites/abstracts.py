"""Questions with the abstract that answers them, as in PubMedQA (Jin et al. 2019): yes, no or maybe.

One JSON object a line: ``question``; ``contexts``, the paragraphs; ``answer``. The paragraphs are given to the pipeline
as evidence, so only reading is measured, and no retrieval. What is not answered counts as *maybe*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.answering.engine import Engine
from rag.answering.opening import open_without_index
from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.metrics import bootstrap, score_classes
from rag.evaluation.questions import json_lines
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject, measured_index
from rag.progress import Progress
from rag.types import Document, Hit, Passage, Question

ANSWERS = ("yes", "no", "maybe")


class Abstract(NamedTuple):
    """A question, the paragraphs of its abstract, and the label."""

    id: str
    question: str
    contexts: tuple[str, ...]
    answer: str

    @property
    def asked(self) -> Question:
        return Question(text=self.question)

    def hits(self) -> list[Hit]:
        """The paragraphs, as if search had found them, all equally near."""
        document = Document(
            id=self.id,
            kind="literature",
            text="\n".join(self.contexts),
            case_id=self.id,
            group_id=self.id,
            source="file",
        )
        found, start = [], 0
        for n, context in enumerate(self.contexts):
            end = start + len(context)
            passage = Passage(id=f"{self.id}#{n}", document_id=self.id, start=start, end=end, text=context)
            found.append(Hit(passage=passage, document=document, score=1.0, channel="text", ranks={"text": n + 1}))
            start = end + 1
        return found


@dataclass(frozen=True)
class AbstractSuite:
    """Reading of abstracts. An engine reads with its index's lexicon; settings alone, with that of the package.

    >>> AbstractSuite().name
    'abstracts'

    Attributes:
        baselines: also measure what costs little (:mod:`rag.evaluation.baselines`).
    """

    baselines: bool = True
    name: ClassVar[str] = "abstracts"

    def read(self, path: Path) -> Sample:
        rows = []
        for number, row in json_lines(path):
            question, contexts, answer = row.get("question"), row.get("contexts"), row.get("answer")
            texts = isinstance(contexts, list) and bool(contexts) and all(isinstance(c, str) for c in contexts)
            if not isinstance(question, str) or not texts or answer not in ANSWERS:
                raise InputError(
                    f"{path}, line {number}: a row needs 'question', 'contexts' (a list of texts) and 'answer' "
                    f"(yes, no or maybe)"
                )
            rows.append(Abstract(str(row.get("id", row.get("pmid", number))), question, tuple(contexts or ()), answer))
        if not rows:
            raise InputError(f"{path} holds no questions")
        return Sample(rows)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        if isinstance(subject, Engine):
            return self._measure(subject.pipeline(), measured_index(subject), sample, progress)
        with open_without_index(subject) as pipeline:
            measured = {"generator": pipeline.fingerprints["generator"]}
            return self._measure(pipeline, measured, sample, progress)

    def _measure(self, pipeline: Pipeline, measured: dict[str, str], sample: Sample, progress: Progress) -> Report:
        trials = _Abstracts(sample.rows, pipeline, progress)
        ours = trials.from_own_evidence()
        said = {"ours": ours, **(dict(beside(trials)) if self.baselines else {})}
        rows = tuple(_row(name, answers, trials) for name, answers in said.items())
        counts = Counter(zip(trials.labels, ours, strict=True))
        table = {f"{label}/{answer}": n for (label, answer), n in sorted(counts.items())}
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured, rows, sample.left_out, notes, {"label/answer": table})


class _Abstracts(Trials):
    """Questions that are answered from paragraphs; what is not answered is *maybe*."""

    def __init__(self, abstracts: Sequence[Abstract], pipeline: Pipeline, progress: Progress) -> None:
        self._abstracts, self._pipeline, self._progress = abstracts, pipeline, progress
        ids = [a.id for a in abstracts]
        super().__init__([a.question for a in abstracts], [a.answer for a in abstracts], ids)

    def holds_evidence(self, row: int) -> bool:
        return True

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str]:
        advance, said = self._progress.stage("reading abstracts", len(rows)), list[str]()
        for abstract, row in zip(self._abstracts, rows, strict=True):
            hits = self._abstracts[row].hits() if row is not None else []
            said.append(self._pipeline.finish(self._pipeline.begin_with(abstract.asked, hits)).side or "maybe")
            advance(1)
        return said

    def from_own_evidence(self) -> list[str]:
        return self._own

    @cached_property
    def _own(self) -> list[str]:
        return self.from_evidence_of(range(len(self._abstracts)))


def _row(name: str, said: Sequence[str], trials: Trials) -> Row:
    pairs = list(zip(trials.labels, said, strict=True))
    right = [float(label == answer) for label, answer in pairs]
    given = [(r, i) for r, i, (_, answer) in zip(right, trials.groups, pairs, strict=True) if answer != "maybe"]
    metrics = bootstrap({"accuracy": right}, trials.groups)
    of_given = bootstrap({"right_of_the_answered": [r for r, _ in given]}, [i for _, i in given])
    metrics |= of_given or {"right_of_the_answered": exactly(0.0)}
    scores = score_classes(Counter(pairs), ANSWERS)
    metrics["macro_F1"] = exactly(sum(score.f1 for score in scores.values()) / len(ANSWERS))
    return Row({"answered by": name}, {"questions": len(pairs), "answered": len(given)}, metrics)
