"""Phrases in sentences, with what the sentence makes of them: denied, doubted or neither. For collections of negation.

Beside the reader stand the commonest status for all, and what a list of words gives: every phrase of a sentence that
has one of them is denied.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.metrics import bootstrap, score_classes
from rag.evaluation.published.folder import Folder, sample_of
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.evaluation.suites.assertion import STATUSES
from rag.language.context import status_of
from rag.language.cues import Status
from rag.progress import Progress

UNLOCATED = "its phrase is not in its sentence"


@dataclass(frozen=True)
class PhraseItem:
    """A phrase, by its words or its span, in a sentence; ``group`` is the document."""

    id: str
    group: str
    sentence: str
    phrase: str | tuple[int, int]
    status: Status


@dataclass(frozen=True)
class PhraseSuite:
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
    words: ClassVar[str] = r"\b(?:no|not|without|denie[sd]|deny|denying|negative|absent|never|none)\b"

    def items(self, folder: Folder) -> Iterator[PhraseItem | str]:
        """The phrases, or why a row is none. Raises InputError where the folder does not look like the collection."""
        raise NotImplementedError

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
        used = {item.status for item in items}
        commonest = Counter(item.status for item in items).most_common(1)[0][0]
        denies = re.compile(self.words, re.I)
        readers: dict[str, Callable[[PhraseItem], str]] = {
            "ours": lambda item: status_of(item.sentence, item.phrase).status
        }
        if self.baselines:
            readers[f"always {commonest}"] = lambda item: commonest
            readers["a word of negation anywhere"] = lambda i: "absent" if denies.search(i.sentence) else "present"
        rows, outcomes, groups = [], [], [item.group for item in items]
        for name, reader in readers.items():
            advance = progress.stage(f"reading sentences: {name}", len(items))
            said = list[str]()
            for item in items:
                status = reader(item)
                said.append(status if status in used else "present")
                advance(1)
            counts = Counter[tuple[str, str]](zip((item.status for item in items), said, strict=True))
            right = [float(item.status == word) for item, word in zip(items, said, strict=True)]
            figures = bootstrap({"accuracy": right}, groups)
            for status, score in score_classes(counts, [s for s in STATUSES if s in used]).items():
                of = {"precision": score.precision, "recall": score.recall, "F1": score.f1}
                figures |= {f"{status}_{metric}": exactly(value) for metric, value in of.items()}
            rows.append(Row({"read by": name}, {"phrases": len(items)}, figures))
            if name == "ours":
                outcomes = [
                    {"id": i.id, "group": i.group, "answer": i.status, "said": word, "confidence": None}
                    for i, word in zip(items, said, strict=True)
                ]
        notes = () if self.baselines else (NO_BASELINES,)
        measured = {"collection": self.collection}
        return Report(self.name, measured, tuple(rows), sample.left_out, notes, {"outcomes": outcomes})
