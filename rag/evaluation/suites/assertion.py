"""How well the assertion engine tells denied findings from present ones, on labelled sentences.

One JSON object a line: ``sentence``; ``concept``, words of the sentence (or ``start`` and ``end``, their offsets);
``status``. Optional: ``id``, and any other field to tell rows apart by (``part``, ``style``). Statuses are those of
:data:`rag.language.cues.Status`; the words of the NegEx test kit and of ConText are read as well (``affirmed``,
``negated``, ``possible``). A status that a file never uses is counted as *present*: where labels tell denied from not
denied alone, a doubted or a past finding is not denied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rag.errors import InputError
from rag.evaluation.metrics import Score, score_classes
from rag.evaluation.questions import json_lines
from rag.language.context import status_of
from rag.language.cues import Status

STATUSES: tuple[Status, ...] = get_args(Status)
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


@dataclass
class StatusAgreement:
    """Counts of (label, what was read), and the rows on which they differ."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[tuple[LabelledPhrase, Status]] = field(default_factory=list)

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @property
    def scores(self) -> dict[str, Score]:
        """Of every status that is labelled."""
        labelled = [s for s in STATUSES if any(label == s for label, _ in self.counts)]
        return score_classes(self.counts, labelled)

    def table(self) -> str:
        lines = ["| status | n | precision | recall | F1 |", "|---|---:|---:|---:|---:|"]
        lines += [f"| {s} | {r.n} | {r.precision:.3f} | {r.recall:.3f} | {r.f1:.3f} |" for s, r in self.scores.items()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        wrong = [{"id": r.id, "label": r.status, "read": found} for r, found in self.wrong]
        return {"n": self.n, "statuses": {s: r._asdict() for s, r in self.scores.items()}, "wrong": wrong}


def evaluate_assertion(rows: Sequence[LabelledPhrase]) -> StatusAgreement:
    """Read every row and compare."""
    used = {row.status for row in rows}
    agreement = StatusAgreement()
    for row in rows:
        found = status_of(row.sentence, row.phrase).status
        found = found if found in used else "present"
        agreement.counts[row.status, found] += 1
        if found != row.status:
            agreement.wrong.append((row, found))
    return agreement


def read_rows(path: Path, where: tuple[str, str] | None = None) -> list[LabelledPhrase]:
    """Rows of a file; with ``where`` only those whose field has that value, such as ``("part", "apart")``.

    Raises:
        InputError: the file cannot be read, a row lacks a field or its phrase; the line is named.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    rows = []
    for number, row in json_lines(path):
        if where is not None and str(row.get(where[0])) != where[1]:
            continue
        label = str(row.get("status", row.get("label", ""))).lower()
        status = _ALSO.get(label, label)
        start, end, concept = row.get("start"), row.get("end"), row.get("concept", row.get("phrase"))
        span = (start, end) if isinstance(start, int) and isinstance(end, int) else None
        phrase = span or (concept if isinstance(concept, str) else None)
        sentence = row.get("sentence")
        if not isinstance(sentence, str) or phrase is None or status not in STATUSES:
            known = ", ".join([*STATUSES, *_ALSO])
            raise InputError(
                f"{path}, line {number}: a row needs 'sentence', 'concept' (or 'start' and 'end') and 'status', "
                f"one of: {known}"
            )
        try:
            status_of(sentence, phrase)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        rows.append(LabelledPhrase(str(row.get("id", number)), sentence, phrase, status))
    if not rows:
        raise InputError(f"{path} holds no rows{f' with {where[0]} = {where[1]!r}' if where else ''}")
    return rows
