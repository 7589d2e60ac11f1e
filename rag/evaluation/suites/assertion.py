"""How well the assertion engine tells denied findings from present ones, on labelled sentences.

One JSON object a line: ``sentence``; ``concept``, words of the sentence (or ``start`` and ``end``, their offsets);
``status``. Optional: ``id``, and any other field to tell rows apart by (``part``, ``style``). Statuses are those of
:data:`rag.language.cues.Status`; the words of the NegEx test kit and of ConText are read as well (``affirmed``,
``negated``, ``possible``). A status that a file never uses is counted as *present*: where labels tell denied from not
denied alone, a doubted or a past finding is not denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.errors import InputError
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.published.phrases import STATUSES, NegationWord, status_row, within_labels
from rag.evaluation.questions import json_lines
from rag.evaluation.report import NO_BASELINES, Report
from rag.evaluation.suite import Sample, Subject
from rag.language.context import status_of
from rag.language.cues import Status
from rag.progress import Progress

_ALSO: dict[str, Status] = {
    "affirmed": "present",
    "positive": "present",
    "negated": "absent",
    "negative": "absent",
    "possible": "uncertain",
    "conditional": "hypothetical",
}


class LabelledPhrase(NamedTuple):
    """A labelled phrase; ``phrase`` is its words or its span."""

    id: str
    sentence: str
    phrase: str | tuple[int, int]
    status: Status


@dataclass(frozen=True)
class AssertionSuite:
    """Reads every row and compares; needs no index, for the rules are the same everywhere.

    >>> AssertionSuite(where="part=apart").name
    'assertion'

    Attributes:
        where: only rows whose field has this value, as FIELD=VALUE.
        baselines: also measure what costs little (:mod:`rag.evaluation.baselines`).
    """

    where: str | None = None
    baselines: bool = True
    name: ClassVar[str] = "assertion"

    def __post_init__(self) -> None:
        if self.where is not None and "=" not in self.where:
            raise InputError(f"--where {self.where!r} is not of the form FIELD=VALUE, for example part=apart")

    def read(self, path: Path) -> Sample:
        field, _, value = (self.where or "").partition("=")
        lines = [(n, row) for n, row in json_lines(path) if self.where is None or str(row.get(field)) == value]
        if not lines:
            raise InputError(f"{path} holds no rows{f' with {field} = {value!r}' if self.where else ''}")
        return Sample([_phrase(row, f"{path}, line {number}", number) for number, row in lines])

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        phrases: list[LabelledPhrase] = list(sample.rows)
        trials = Trials([p.sentence for p in phrases], [p.status for p in phrases], [p.id for p in phrases])
        ours, advance = list[str](), progress.stage("reading sentences", len(phrases))
        for phrase in phrases:
            ours.append(status_of(phrase.sentence, phrase.phrase).status)
            advance(1)
        said = {"ours": ours, **(dict(beside(trials, NegationWord())) if self.baselines else {})}
        rows = tuple(status_row(name, some, trials) for name, some in said.items())
        read = zip(phrases, within_labels(ours, trials), strict=True)
        wrong = [{**phrase._asdict(), "read": word} for phrase, word in read if word != phrase.status]
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, {}, rows, sample.left_out, notes, {"wrong": wrong})


def _phrase(row: dict[str, object], place: str, number: int) -> LabelledPhrase:
    label = str(row.get("status", row.get("label", ""))).lower()
    status = _ALSO.get(label, label)
    start, end, concept = row.get("start"), row.get("end"), row.get("concept", row.get("phrase"))
    span = (start, end) if isinstance(start, int) and isinstance(end, int) else None
    phrase = span or (concept if isinstance(concept, str) else None)
    sentence = row.get("sentence")
    if not isinstance(sentence, str) or phrase is None or status not in STATUSES:
        known = ", ".join([*STATUSES, *_ALSO])
        raise InputError(
            f"{place}: a row needs 'sentence', 'concept' (or 'start' and 'end') and 'status', one of: {known}"
        )
    try:
        status_of(sentence, phrase)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return LabelledPhrase(str(row.get("id", number)), sentence, phrase, status)
