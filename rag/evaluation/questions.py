"""Asking labelled yes/no questions of an engine and counting what is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.metrics import score_classes
from rag.progress import Progress
from rag.types import Question

_BATCH = 64
_YES_NO = re.compile(r"\s*(yes|no)\b", re.I)


class LabelledQuestion(NamedTuple):
    """A question with its right answer, ``yes`` or ``no``.

    ``group`` is the unit of statistics; ``evidence`` are ids of documents that support the answer, where known.
    """

    id: str
    question: Question
    answer: str
    group: str
    evidence: tuple[str, ...] = ()

    def labelled(self) -> LabelledQuestion:
        return self


class Labelled(Protocol):
    """What can be asked and compared with its right answer: a labelled question, or one that was made from labels."""

    def labelled(self) -> LabelledQuestion: ...


Questions = str | Path | Iterable[Labelled]


@dataclass
class Outcome:
    """Counts of a yes/no evaluation. An abstention is neither right nor left out: it counts against its side."""

    n: int = 0
    answered: int = 0
    yes_right: int = 0
    yes_total: int = 0
    no_right: int = 0
    no_total: int = 0
    no_abstained: int = 0
    skipped: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        """Share of questions answered."""
        return self.answered / self.n if self.n else 0.0

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of yes and of no, in [0, 1]."""
        sides = [(self.yes_right, self.yes_total), (self.no_right, self.no_total)]
        rates = [right / total for right, total in sides if total]
        return sum(rates) / len(rates) if rates else 0.0

    @property
    def f1(self) -> float:
        """F1 of yes, in [0, 1]; abstentions count as no."""
        false_yes = self.no_total - self.no_right - self.no_abstained
        counts = {("yes", "yes"): self.yes_right, ("yes", "no"): self.yes_total - self.yes_right}
        counts |= {("no", "yes"): false_yes, ("no", "no"): self.no_total - false_yes}
        return score_classes(counts, ["yes"])["yes"].f1

    def table(self) -> str:
        rows = [
            ("questions", f"{self.n} ({self.skipped} rows skipped: their answer is neither yes nor no)"),
            ("answered", f"{self.answered} ({self.coverage:.1%})"),
            ("yes recalled", f"{self.yes_right}/{self.yes_total}"),
            ("no recalled", f"{self.no_right}/{self.no_total}"),
            ("balanced accuracy", f"{self.balanced_accuracy:.4f}"),
        ]
        return "\n".join(f"{name:<18} {value}" for name, value in rows)


def score_verdicts(questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress) -> Outcome:
    """Ask every question and count. Nothing is written to the ledger: these answers are given to nobody."""
    outcome, advance = Outcome(), progress.stage("asking", len(questions))
    for i in range(0, len(questions), _BATCH):
        batch = questions[i : i + _BATCH]
        for row, answer in zip(batch, engine.ask_many([q.question for q in batch], record=False), strict=True):
            right = answer.verdict == row.answer
            abstained = answer.decision == "abstained"
            outcome.n += 1
            outcome.answered += not abstained
            if row.answer == "yes":
                outcome.yes_total += 1
                outcome.yes_right += right
            else:
                outcome.no_total += 1
                outcome.no_right += right
                outcome.no_abstained += abstained
            if not right:
                outcome.wrong.append(row.id)
        advance(len(batch))
    return outcome


def read_questions(path: Path) -> tuple[list[LabelledQuestion], int]:
    """Questions of a JSONL file, and how many rows were skipped because their answer does not begin with yes or no.

    Rows have ``id``, ``question``, ``answer`` (or ``chosen``, a sentence that begins with yes or no), and may have
    ``study``, ``image`` and ``group``. A ``group`` is excluded from the search unless the row names a ``study``.

    Raises:
        InputError: the file cannot be read, a row lacks a field, or an id occurs twice; the line is named.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    rows: dict[str, LabelledQuestion] = {}
    skipped = 0
    for number, row in json_lines(path):
        missing = [name for name in ("id", "question") if not isinstance(row.get(name), str)]
        answer = row.get("answer", row.get("chosen"))
        if missing or not isinstance(answer, str):
            raise InputError(f"{path}, line {number}: a question needs the texts 'id', 'question' and 'answer'")
        if row["id"] in rows:
            raise InputError(f"{path}, line {number}: the id {row['id']!r} occurs twice")
        side = _YES_NO.match(answer)
        if side is None:
            skipped += 1
            continue
        question = Question(
            text=row["question"],
            study=row.get("study"),
            image=str(path.parent / row["image"]) if row.get("image") else None,
            exclude_groups=(str(row["group"]),) if row.get("group") and not row.get("study") else (),
        )
        group = str(row.get("group") or row.get("study") or row["id"])
        evidence = tuple(str(e) for e in row.get("evidence") or ())
        rows[row["id"]] = LabelledQuestion(row["id"], question, side[1].lower(), group, evidence)
    return list(rows.values()), skipped


def labelled_rows(questions: Questions) -> list[LabelledQuestion]:
    """Questions that all have a right answer, of a file or from Python.

    Raises:
        InputError: as :func:`read_questions`, or an answer is neither yes nor no, or there is no question.
    """
    if not isinstance(questions, str | Path):
        return [q.labelled() for q in questions]
    rows, skipped = read_questions(Path(questions))
    if skipped:
        raise InputError(
            f"{questions}: {skipped} answers are neither yes nor no; the wrong-answer risk needs yes or no"
        )
    if not rows:
        raise InputError(f"{questions} holds no questions; each line needs id, question and answer")
    return rows


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: not a JSON object")
            yield number, row
