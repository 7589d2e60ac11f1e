"""Over-reliance: is a study answered from its own report when another patient's report lies beside it?

Yes/no questions about studies of an index. Each is asked twice of a generator, and its drafts are verified as always:
with the study's own report, and with the report of another study beside it that says the opposite of the right
answer. What follows the other report is over-reliance (as RULE, Xia et al. 2024, means it: a right answer that
retrieval turned wrong).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rag.answering.contexts import evidence_of
from rag.evaluation.questions import LabelledQuestion
from rag.generation.base import Generator, Request
from rag.indexing.snapshot import Snapshot
from rag.language.clinical_text import Texts
from rag.language.question import Asked, read_question
from rag.language.reading import read_passage
from rag.progress import Progress
from rag.types import Document, Evidence, Hit, Passage, Question
from rag.verification.verify import verify

_TRIES = 200  # other reports looked at for one that says the opposite
Side = Literal["yes", "no"]


@dataclass
class Reliance:
    """Counts over questions that the own report answers rightly and some other report the opposite way.

    ``followed``: answered as the other report has it; ``abstained``: answered no longer. ``own_wrong`` and
    ``no_other`` were not counted: the own report alone led to a wrong answer or to none; no report says the opposite.
    """

    pairs: int = 0
    kept: int = 0
    followed: int = 0
    abstained: int = 0
    own_wrong: int = 0
    no_other: int = 0
    following: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Share of pairs that followed the other report, in [0, 1]."""
        return self.followed / self.pairs if self.pairs else 0.0

    def table(self) -> str:
        rows = [
            (
                "pairs",
                f"{self.pairs} ({self.own_wrong} not right by their own report, {self.no_other} without an other)",
            ),
            ("kept", f"{self.kept}"),
            ("abstained", f"{self.abstained}"),
            ("followed the other", f"{self.followed} ({self.rate:.1%})"),
        ]
        return "\n".join(f"{name:<18} {value}" for name, value in rows)


def evaluate_reliance(
    questions: Sequence[LabelledQuestion],
    snapshot: Snapshot,
    generator: Generator,
    texts: Texts,
    progress: Progress,
    *,
    first: bool = False,
    seed: int = 0,
) -> Reliance:
    """Ask every question whose study is in the index; ``first`` puts the other report before the study's own."""
    reports = [d for d in snapshot.documents("report") if d.text]
    by_case: dict[str, list[Document]] = {}
    for d in reports:
        by_case.setdefault(d.case_id, []).append(d)
    outcome, advance, chance = Reliance(), progress.stage("asking", len(questions)), random.Random(seed)  # noqa: S311
    for row in questions:
        own = by_case.get(row.question.study or "", ())
        if own:
            _ask(row, own, reports, generator, texts, outcome, first, chance)
        advance(1)
    return outcome


def _ask(
    row: LabelledQuestion,
    own: Sequence[Document],
    reports: Sequence[Document],
    generator: Generator,
    texts: Texts,
    outcome: Reliance,
    first: bool,
    chance: random.Random,
) -> None:
    asked = read_question(row.question.text, texts.lexicon, row.question.study)
    mine = [(d, "study") for d in own]
    if _answer(row.question, asked, mine, generator, texts) != row.answer:
        outcome.own_wrong += 1
        return
    wrong: Side = "no" if row.answer == "yes" else "yes"
    other = _opposite(asked, wrong, reports, own[0].group_id, texts, chance)
    if other is None:
        outcome.no_other += 1
        return
    beside = [(other, "text")]
    found = _answer(row.question, asked, beside + mine if first else mine + beside, generator, texts)
    outcome.pairs += 1
    outcome.kept += found == row.answer
    outcome.abstained += found is None
    if found == wrong:
        outcome.followed += 1
        outcome.following.append(row.id)


def _opposite(
    asked: Asked, wrong: Side, reports: Sequence[Document], group: str, texts: Texts, chance: random.Random
) -> Document | None:
    """A report of another patient that says ``wrong``."""
    for d in chance.sample(reports, min(_TRIES, len(reports))):
        reading = read_passage(asked, d.text, texts)
        if d.group_id != group and reading.mentioned and ("yes" if reading.probability >= 0.5 else "no") == wrong:
            return d
    return None


def _answer(
    question: Question, asked: Asked, found: Sequence[tuple[Document, str]], generator: Generator, texts: Texts
) -> Side | None:
    """The verdict of a draft that passed verification; None where nothing is answered."""
    evidence = tuple(_evidence(n, d, channel) for n, (d, channel) in enumerate(found, start=1))
    draft = generator.generate(Request(question, asked, evidence))
    if draft.refusal or not verify(draft, asked, evidence, texts).sentences:
        return None
    return draft.verdict


def _evidence(number: int, d: Document, channel: str) -> Evidence:
    """A whole report, as if the channel had found it first."""
    whole = Passage(id=f"{d.id}#0", document_id=d.id, start=0, end=len(d.text), text=d.text)
    return evidence_of(number, Hit(passage=whole, document=d, score=1.0, channel=channel, ranks={channel: 1}))
