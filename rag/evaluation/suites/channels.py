"""The channels of an index, alone and fused, on questions or cases whose relevant documents are known.

Like cases are relevant to a case, and the ``evidence`` to a question.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.cases import Case, read_labelled_cases
from rag.evaluation.fusion_weights import learn_weights, measure_fusion, search_channels
from rag.evaluation.queries import asks_questions, queries_of_cases, read_queries
from rag.evaluation.report import Report
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.progress import Progress
from rag.retrieval.domains import load_domains
from rag.settings import profile_text


@dataclass(frozen=True)
class ChannelSuite:
    """Cases of any corpus that ``rag ingest`` reads, or JSONL of questions with their evidence.

    >>> ChannelSuite(split="dev", learn_weights="mine.toml").name
    'channels'

    Attributes:
        split: only the rows of this split.
        domains: only cases of these; of all known domains unless given.
        label: field of the labels that like cases share; see :func:`~rag.evaluation.cases.case_labels`.
        learn_weights: learn the fusion's weights and write a profile with them. Report on other cases.
    """

    split: str | None = None
    domains: tuple[str, ...] = ()
    label: str | None = None
    learn_weights: str | Path | None = None
    name: ClassVar[str] = "channels"

    def read(self, path: Path) -> Sample:
        if asks_questions(path):
            return Sample(read_queries(path))
        domains = self.domains or tuple(d.id for d in load_domains())
        return Sample(*read_labelled_cases(path, split=self.split, domains=domains, label=self.label))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        pipeline, settings = engine.pipeline(), engine.settings
        cases = [row for row in sample.rows if isinstance(row, Case)]
        queries = queries_of_cases(cases, pipeline.snapshot, self.label) if cases else sample.rows
        searched = search_channels(queries, pipeline.searcher, pipeline.snapshot, settings.retrieval, progress)
        learned = learn_weights(searched, progress) if self.learn_weights is not None else None
        rows = tuple(measure_fusion(searched, settings.retrieval, learned))
        measured = measured_index(engine)
        if learned is None or self.learn_weights is None:
            return Report(self.name, measured, rows, sample.left_out)
        note = (
            f"Weights of the fusion, learned from {len(queries)} queries"
            f"{f' of split {self.split}' if self.split else ''} on index {engine.store.name!r}.\n"
            f"Gain of nDCG@10 over equal weights, cross-validated by group: {learned.gain}."
        )
        try:
            Path(self.learn_weights).write_text(profile_text(learned.applied(settings), note), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.learn_weights} cannot be written: {error.strerror}; name another file") from error
        notes = (*learned.notes(), f"written: {self.learn_weights}")
        return Report(self.name, measured, rows, sample.left_out, notes, {"learned": learned.json()})
