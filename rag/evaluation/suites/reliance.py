"""Over-reliance: is a study answered from its own report when another patient's report lies beside it?

Yes/no questions about studies of an index. Each is put to the index's own pipeline twice, with evidence given instead
of found: the study's own report, and beside it the report of another study that says the opposite of the right answer.
What follows the other report is over-reliance (as RULE, Xia et al. 2024, means it: a right answer that retrieval turned
wrong).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.metrics import bootstrap
from rag.evaluation.questions import LabelledQuestion, read_yes_no
from rag.evaluation.report import NO_BASELINES, Report, Row
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.questions import SKIPPED
from rag.language.question import read_question
from rag.language.reading import read_passage
from rag.progress import Progress
from rag.types import Document, Hit, Passage

OPPOSITE, ANY, ALONE = (
    "its own report, and one that says the opposite",
    "its own report, and any other",
    "the other alone",
)
_TRIES = 200  # other reports looked at for one that says the opposite


@dataclass(frozen=True)
class RelianceSuite:
    """Pairs are questions that the own report answers rightly and some other report the opposite way.

    ``followed`` is the share of pairs answered as the other report has it; ``abstained`` those answered no longer. The
    rows below show what makes the difference: any other report in its place, and the other report without the own one,
    from which nothing should be answered.

    >>> RelianceSuite(first=True).seed
    0

    Attributes:
        first: the other report comes before the study's own.
        seed: of the choice of the other report.
        baselines: also measure the rows below.
    """

    first: bool = False
    seed: int = 0
    baselines: bool = True
    name: ClassVar[str] = "reliance"

    def read(self, path: Path) -> Sample:
        rows, skipped = read_yes_no(path)
        about = [q for q in rows if q.question.study]
        if rows and not about:
            raise InputError(f"{path} names no study; over-reliance is measured on questions about studies of an index")
        left_out = Counter({SKIPPED: skipped, "it names no study": len(rows) - len(about)})
        return Sample(about, +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        pipeline, questions = engine.pipeline(), [q.labelled() for q in sample.rows]
        reports = [d for d in pipeline.snapshot.documents("report") if d.text]
        own: dict[str, list[Document]] = {}
        for d in reports:
            own.setdefault(d.case_id, []).append(d)
        chance, advance = random.Random(self.seed), progress.stage("asking", len(questions))  # noqa: S311
        left_out, pairs = Counter(sample.left_out), list[LabelledQuestion]()
        said: dict[str, list[str | None]] = {name: [] for name in (OPPOSITE, *((ANY, ALONE) if self.baselines else ()))}
        for q in questions:
            mine = own.get(q.question.study or "", [])
            other = self._other(q, mine, reports, pipeline, chance)
            if isinstance(other, str):
                left_out[other] += 1
            else:
                pairs.append(q)
                shown = {OPPOSITE: (other, mine), ANY: (_stranger(mine, reports, chance), mine), ALONE: (other, [])}
                for name in said:
                    said[name].append(_verdict(q, self._ordered(*shown[name]), pipeline))
            advance(1)
        rows = tuple(_row(name, pairs, some) for name, some in said.items())
        following = [q.id for q, side in zip(pairs, said[OPPOSITE], strict=True) if side not in (None, q.answer)]
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured_index(engine), rows, left_out, notes, {"following": following})

    def _ordered(self, other: Document, mine: Sequence[Document]) -> list[Hit]:
        beside, own = [_whole(other, "text")], [_whole(d, "study") for d in mine]
        return [*beside, *own] if self.first else [*own, *beside]

    def _other(
        self,
        q: LabelledQuestion,
        mine: Sequence[Document],
        reports: Sequence[Document],
        pipeline: Pipeline,
        chance: random.Random,
    ) -> Document | str:
        """A report of another patient that says the opposite of the right answer, or why the question makes no pair."""
        if not mine:
            return "its study is not in the index"
        if _verdict(q, [_whole(d, "study") for d in mine], pipeline) != q.answer:
            return "not answered rightly from its own report"
        asked = read_question(q.question.text, pipeline.lexicon, q.question.study)
        for d in chance.sample(reports, min(_TRIES, len(reports))):
            reading = read_passage(asked, d.text, pipeline.texts)
            says = "yes" if reading.probability >= 0.5 else "no"
            if d.group_id != mine[0].group_id and reading.mentioned and says != q.answer:
                return d
        return "no other report says the opposite"


def _stranger(mine: Sequence[Document], reports: Sequence[Document], chance: random.Random) -> Document:
    """Any report of another patient; there is one, for one says the opposite."""
    while (d := chance.choice(reports)).group_id == mine[0].group_id:
        pass
    return d


def _row(name: str, pairs: Sequence[LabelledQuestion], said: Sequence[str | None]) -> Row:
    followed = [float(side is not None and side != q.answer) for q, side in zip(pairs, said, strict=True)]
    abstained = [float(side is None) for side in said]
    metrics = bootstrap({"followed": followed, "abstained": abstained}, [q.group for q in pairs])
    kept = sum(side == q.answer for q, side in zip(pairs, said, strict=True))
    return Row({"shown": name}, {"pairs": len(pairs), "kept": kept}, metrics)


def _verdict(q: LabelledQuestion, hits: Sequence[Hit], pipeline: Pipeline) -> str | None:
    """What is answered from these; None where nothing is."""
    return pipeline.finish(pipeline.begin_with(q.question, hits)).side


def _whole(d: Document, channel: str) -> Hit:
    """A whole report, as if the channel had found it first."""
    whole = Passage(id=f"{d.id}#0", document_id=d.id, start=0, end=len(d.text), text=d.text)
    return Hit(passage=whole, document=d, score=1.0, channel=channel, ranks={channel: 1})
