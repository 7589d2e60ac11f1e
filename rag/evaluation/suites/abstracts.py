"""Questions with the abstract that answers them, as in PubMedQA (Jin et al. 2019): yes, no or maybe.

One JSON object a line: ``question``; ``contexts``, the paragraphs; ``answer``. The paragraphs are given to the pipeline
as evidence, so only reading is measured, and no retrieval. What is not answered counts as *maybe*.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.answering.engine import Engine
from rag.answering.opening import open_without_index
from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.metrics import bootstrap, score_classes
from rag.evaluation.questions import json_lines
from rag.evaluation.report import Report, Row, exactly
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
    """

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
        advance, pairs = progress.stage("reading abstracts", len(sample.rows)), list[tuple[str, str]]()
        for row in sample.rows:
            answer = pipeline.finish(pipeline.begin_with(Question(text=row.question), row.hits()))
            pairs.append((row.answer, answer.side or "maybe"))
            advance(1)
        counts, ids = Counter(pairs), [row.id for row in sample.rows]
        right = [float(label == said) for label, said in pairs]
        given = [(r, i) for r, i, (_, said) in zip(right, ids, pairs, strict=True) if said != "maybe"]
        metrics = bootstrap({"accuracy": right}, ids)
        metrics["accuracy_of_the_most_frequent_label"] = exactly(
            max(Counter(label for label, _ in pairs).values()) / len(ids)
        )
        metrics |= bootstrap({"right_of_the_answered": [r for r, _ in given]}, [i for _, i in given])
        scores = score_classes(counts, ANSWERS)
        metrics["macro_F1"] = exactly(sum(score.f1 for score in scores.values()) / len(ANSWERS))
        table = {f"{label}/{said}": n for (label, said), n in sorted(counts.items())}
        shown = Row({}, {"questions": len(ids), "answered": len(given)}, metrics)
        return Report(self.name, measured, (shown,), sample.left_out, details={"label/answer": table})
