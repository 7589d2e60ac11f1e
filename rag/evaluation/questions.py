"""Asking labelled yes/no questions of an engine and counting what is right."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.metrics import bootstrap_shares, score_classes
from rag.evaluation.report import Row, exactly
from rag.progress import Progress
from rag.types import Answer, Question

WITHHELD, OPEN = "withheld", "neither yes nor no"
BATCH = 64
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


def ask_labelled(questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress) -> list[str]:
    """What is said to each: yes, no, WITHHELD or OPEN; of what a report does not mention, the likelier side."""
    return [side_of(answer) for answer in answers_to(questions, engine, progress)]


def answers_to(questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress) -> Iterator[Answer]:
    """The answer to each. Nothing is written to the ledger: the answers go to nobody."""
    advance = progress.stage("asking", len(questions))
    for i in range(0, len(questions), BATCH):
        batch = questions[i : i + BATCH]
        yield from engine.ask_many([q.question for q in batch], record=False)
        advance(len(batch))


def side_of(answer: Answer) -> str:
    """yes, no, WITHHELD or OPEN; of what a report does not mention, the likelier side."""
    return answer.side or (WITHHELD if answer.decision == "abstained" else OPEN)


def agreement(questions: Sequence[LabelledQuestion], said: Sequence[str], of: Mapping[str, str]) -> Row:
    """How what was said agrees with the labels. A withheld answer is neither right nor left out: its side misses it.

    Metrics: balanced accuracy, the mean of yes and of no recalled; the shares answered, right among those answered, of
    yes and of no recalled; F1 of yes, for which a withheld answer is no.
    """
    counts = Counter((q.answer, answer) for q, answer in zip(questions, said, strict=True))
    scores = score_classes(counts, ("yes", "no"))
    sides = [score.recall for score in scores.values() if score.n]
    right = [float(q.answer == answer) for q, answer in zip(questions, said, strict=True)]
    answered = [float(answer != WITHHELD) for answer in said]
    shares = {
        "answered": (answered, [True] * len(said)),
        "right": (right, [bool(a) for a in answered]),
        "yes_recalled": (right, [q.answer == "yes" for q in questions]),
        "no_recalled": (right, [q.answer == "no" for q in questions]),
    }
    metrics = {"balanced_accuracy": exactly(sum(sides) / len(sides) if sides else 0.0)}
    metrics |= bootstrap_shares(shares, [q.group for q in questions])
    metrics["F1_of_yes"] = exactly(scores["yes"].f1)
    totals = {"questions": len(said), "yes": scores["yes"].n, "no": scores["no"].n}
    return Row(of, totals, metrics)


def read_yes_no(path: Path) -> tuple[list[LabelledQuestion], int]:
    """Questions of a JSONL file, and how many rows were skipped because their answer does not begin with yes or no.

    Rows have ``id``, ``question``, ``answer`` (or ``chosen``, a sentence that begins with yes or no), and may have
    ``study``, ``image`` and ``group``. A ``group`` is excluded from the search unless the row names a ``study``.

    Raises:
        InputError: the file cannot be read, a row lacks a field, or an id occurs twice; the line is named.
    """
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
        InputError: as :func:`read_yes_no`, or an answer is neither yes nor no, or there is no question.
    """
    if not isinstance(questions, str | Path):
        return [q.labelled() for q in questions]
    rows, skipped = read_yes_no(Path(questions))
    if skipped:
        raise InputError(
            f"{questions}: {skipped} answers are neither yes nor no; the wrong-answer risk needs yes or no"
        )
    if not rows:
        raise InputError(f"{questions} holds no questions; each line needs id, question and answer")
    return rows


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, with the numbers of their lines.

    Raises:
        InputError: there is no such file, or a line is not a JSON object; the line is named.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:  # not UTF-8, or not JSON
                raise InputError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: not a JSON object")
            yield number, row
