"""Phrases in sentences, with what the sentence makes of them: denied, doubted or neither. For collections of negation.

Beside the reader stand the commonest status for all, and what a list of words gives: every phrase of a sentence that
has one of them is denied.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from rag.errors import InputError
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.metrics import bootstrap, score_classes
from rag.evaluation.published.folder import Folder, sample_of
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.language.context import status_of
from rag.language.cues import Status
from rag.progress import Progress

UNLOCATED = "its phrase is not in its sentence"
NEGATION = r"\b(?:no|not|without|denie[sd]|deny|denying|negative|absent|never|none)\b"
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class PhraseItem:
    """A phrase, by its words or its span, in a sentence; ``group`` is the document."""

    id: str
    group: str
    sentence: str
    phrase: str | tuple[int, int]
    status: Status


@dataclass(frozen=True)
class PhraseSuite(ABC):
    """A collection of phrases; a subclass says how it lies in a folder.

    Attributes:
        limit: about so many phrases, drawn by ``seed`` in whole documents; 0 for all.
        seed: of the sample.
        baselines: also measure the commonest status and the list of words.
    """

    limit: int = 0
    seed: int = 0
    baselines: bool = True
    name: ClassVar[str]
    collection: ClassVar[str]
    words: ClassVar[str] = NEGATION  # of the collection's language

    @abstractmethod
    def items(self, folder: Folder) -> Iterator[PhraseItem | str]:
        """The phrases, or why a row is none. Raises InputError where the folder does not look like the collection."""

    def read(self, path: Path) -> Sample:
        left_out, items = Counter[str](), []
        for item in self.items(Folder(path, self.collection)):
            if isinstance(item, str):
                left_out[item] += 1
                continue
            try:
                status_of(item.sentence, item.phrase)
            except InputError:  # one phrase that cannot be located is no reason to stop
                left_out[UNLOCATED] += 1
                continue
            items.append(item)
        if not items:
            raise InputError(f"{path} holds no phrase of {self.collection} that stands in its sentence")
        sample = sample_of(items, self.limit, self.seed)
        left_out["not in the sample"] += len(items) - len(sample)
        return Sample(sample, +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        items: list[PhraseItem] = list(sample.rows)
        trials = Trials([i.sentence for i in items], [i.status for i in items], [i.group for i in items])
        ours, advance = list[str](), progress.stage("reading sentences", len(items))
        for item in items:
            ours.append(status_of(item.sentence, item.phrase).status)
            advance(1)
        said = {"ours": ours, **(dict(beside(trials, NegationWord(self.words))) if self.baselines else {})}
        rows = tuple(status_row(name, some, trials) for name, some in said.items())
        outcomes = [
            {"id": i.id, "group": i.group, "answer": i.status, "said": word, "confidence": None}
            for i, word in zip(items, within_labels(ours, trials), strict=True)
        ]
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, {"collection": self.collection}, rows, sample.left_out, notes, {"outcomes": outcomes})


@dataclass(frozen=True)
class NegationWord:
    """Every phrase of a sentence with a word of negation is denied, and no other.

    >>> NegationWord().answers(Trials(["No fever.", "Fever."], ["absent", "present"], ["a", "b"]))
    ['absent', 'present']
    """

    words: str = NEGATION
    name: ClassVar[str] = "a word of negation anywhere"

    def answers(self, trials: Trials) -> list[str]:
        denies = re.compile(self.words, re.I)
        return ["absent" if denies.search(text) else "present" for text in trials.texts]


def within_labels(said: Sequence[str], trials: Trials) -> list[str]:
    """What is said, with a status that the labels never use as *present*."""
    used = set(trials.labels)
    return [status if status in used else "present" for status in said]


def status_row(name: str, said: Sequence[str], trials: Trials) -> Row:
    """How well the statuses of phrases are told: accuracy, F1 of each status that the labels use."""
    said, used = within_labels(said, trials), set(trials.labels)
    right = [float(label == word) for label, word in zip(trials.labels, said, strict=True)]
    figures = bootstrap({"accuracy": right}, trials.groups)
    counts = Counter[tuple[str, str]](zip(trials.labels, said, strict=True))
    n = {"phrases": len(said)}
    for status, score in score_classes(counts, [s for s in STATUSES if s in used]).items():
        n[status] = score.n
        if status == "absent":
            figures |= {"absent_precision": exactly(score.precision), "absent_recall": exactly(score.recall)}
        figures[f"{status}_F1"] = exactly(score.f1)
    return Row({"read by": name}, n, figures)
