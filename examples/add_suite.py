"""A suite of one's own: do two wordings of a question get the same answer?

    PYTHONPATH=examples rag evaluate suite add_suite:Wordings pairs.jsonl --index demo --option about="study CXR2814"

    {"one": "Is there cardiomegaly?", "other": "Is the heart enlarged?"}

A suite reads rows in a form of its own and measures with them; the report comes out as a table, as JSON and as HTML.
Its fields are its options. Nothing that it asks is written to the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.evaluation.report import Report, Row, exactly
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.progress import Progress
from rag.types import Question


@dataclass(frozen=True)
class Wordings:
    """Pairs of yes/no questions that mean the same, all asked about what ``about`` names, if anything."""

    name: ClassVar[str] = "wordings"
    about: str = ""

    def read(self, path: Path) -> Sample:
        rows, left_out = [], Counter[str]()
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                pair = json.loads(line)
                rows.append((str(pair["one"]), str(pair["other"])))
            except (ValueError, KeyError, TypeError):
                left_out["not a JSON object with one and other"] += 1
        return Sample(rows, left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        texts = [f"{text.rstrip('?')} in {self.about}?" if self.about else text for row in sample.rows for text in row]
        answers = engine.ask_many([Question(text=text) for text in texts], record=False)
        pairs = list(zip(answers[::2], answers[1::2], strict=True))
        both = [(a.verdict, b.verdict) for a, b in pairs if a.verdict and b.verdict]
        agreed = sum(a == b for a, b in both)
        metrics = {"same_verdict": exactly(agreed / len(both))} if both else {}
        row = Row({}, {"pairs": len(pairs), "both_answered": len(both)}, metrics)
        return Report(self.name, measured_index(engine), (row,), sample.left_out)
