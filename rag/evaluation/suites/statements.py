"""What is kept of reports, against coded findings: the counts of both, and how often the reader is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.cohorts.asking import NotReadError, read_cohort
from rag.cohorts.find import present_in
from rag.cohorts.statements import rules_of
from rag.evaluation.baselines import beside
from rag.evaluation.metrics import score_classes
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.labels import AlwaysYes, CodedFinding, LabelSuite, StudyTrials
from rag.progress import Progress


@dataclass(frozen=True)
class StatementSuite:
    """A CSV file of 0/1 labels as :class:`~rag.evaluation.suites.labels.LabelSuite` takes it.

    Of each column: how many studies the labels and the kept statements say have it, which of them agree, and precision,
    recall and F1 of the statements. The report's ``errors`` are the rows of ``knowledge/reader-errors.toml``.

    >>> StatementSuite().name
    'statements'

    Attributes:
        baselines: also tell the F1 of what costs little (:mod:`rag.evaluation.baselines`).
    """

    baselines: bool = True
    name: ClassVar[str] = "statements"

    def read(self, path: Path) -> Sample:
        return LabelSuite().read(path)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine, left_out = need_engine(subject, self), Counter(sample.left_out)
        pipeline = engine.pipeline()
        rows, measured = [], list[dict[str, object]]()
        by_finding: dict[str, list[CodedFinding]] = {}
        for coded in sample.rows:
            by_finding.setdefault(coded.finding, []).append(coded)
        advance = progress.stage("comparing", len(by_finding))
        for finding, some in by_finding.items():
            try:
                (criterion,) = read_cohort(finding.replace("_", " ").lower(), pipeline.lexicon).criteria
            except (NotReadError, ValueError):
                left_out[f"no finding of the lexicon is called {finding!r}"] += len(some)
                continue
            read, present = present_in(pipeline.snapshot, pipeline.lexicon, criterion.finding)
            there = [c for c in some if c.asked.group in read]
            left_out["the study is not in the index"] += len(some) - len(there)
            if not there:
                continue
            counts = Counter((c.asked.answer == "yes", c.asked.group in present) for c in there)
            both, missed, false = counts[True, True], counts[True, False], counts[False, True]
            precision, recall = _share(both, both + false), _share(both, both + missed)
            said = ["yes" if c.asked.group in present else "no" for c in there]
            trials = StudyTrials([c.asked for c in there], said)
            others = dict(beside(trials, AlwaysYes())) if self.baselines else {}
            rows.append(
                Row(
                    {"finding": finding},
                    {"studies": len(there), "labelled": both + missed, "counted": both + false},
                    {
                        "precision": exactly(precision),
                        "recall": exactly(recall),
                        "F1": exactly(_share(2 * both, 2 * both + missed + false)),
                        "differ": exactly((missed + false) / len(there)),
                        **{f"F1 of {name}": exactly(_f1(trials.labels, some)) for name, some in others.items()},
                    },
                )
            )
            measured.append(
                {
                    "finding": criterion.finding,
                    "reports": len(there),
                    "labelled": both + missed,
                    "missed": missed,
                    "false": false,
                }
            )
            advance(1)
        details = {"rules": rules_of(pipeline.lexicon), "errors": measured}
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured_index(engine), tuple(rows), left_out, notes, details)


def _f1(labels: Sequence[str], said: Sequence[str]) -> float:
    return score_classes(Counter(zip(labels, said, strict=True)), ["yes"])["yes"].f1


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
