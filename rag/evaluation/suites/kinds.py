"""Questions of every kind, each with what a sensible answer to it is: how many are answered sensibly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.questions import json_lines
from rag.evaluation.report import Report, Row, exactly
from rag.evaluation.suite import measured_index
from rag.progress import Progress
from rag.types import Answer, Question

ALL = "all"
_NOTHING: Mapping[str, Any] = {"citations": (), "sentences": (), "table": None, "parts": (), "reason": ""}
_CONSTANT: Mapping[str, Mapping[str, Any]] = {  # what costs nothing: the same answer to everything
    "says nothing": {**_NOTHING, "decision": "abstained", "answer": "", "verdict": None},
    "always yes": {**_NOTHING, "decision": "answered", "answer": "Yes.", "verdict": "yes"},
}


class Expected(BaseModel):
    """What a sensible answer is; whatever is given must hold.

    ``count`` is the first number of a counting answer; ``says`` and ``reason`` are patterns that must be found in the
    answer's and the reason's words; ``cites`` are the documents that must be cited, and no others; ``parts`` the
    verdicts of the parts; ``silent``: it must not be affirmed; ``error``: it must be refused in such words, as a
    mistake.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: str | None = None
    verdict: str | None = None
    count: int | None = None
    says: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    cites: tuple[str, ...] | None = None
    table: bool = False
    parts: tuple[str | None, ...] | None = None
    silent: bool = False
    error: str | None = None

    def faults(self, answer: Answer) -> list[str]:
        """What is not sensible about an answer; empty where all is."""
        found = []
        if self.error is not None:
            return ["it was not refused"]
        if self.decision is not None and answer.decision != self.decision:
            found.append(f"{answer.decision}: {answer.reason}")
        if self.verdict is not None and answer.side != self.verdict:
            found.append(f"the verdict is {answer.verdict}")
        if self.count is not None and _first_number(answer) != self.count:
            found.append(f"the count is {_first_number(answer)}")
        found += [f"the answer does not say {p!r}" for p in self.says if not re.search(p, answer.answer)]
        found += [f"the reason does not say {p!r}" for p in self.reason if not re.search(p, answer.reason)]
        if self.cites is not None and (cited := {c.document_id for c in answer.citations}) != set(self.cites):
            found.append(f"it cites {', '.join(sorted(cited))}")
        if self.table and answer.table is None:
            found.append("there is no table")
        if self.parts is not None and (sides := tuple(p.verdict for p in answer.parts)) != self.parts:
            found.append(f"the parts say {sides}")
        if self.silent and answer.decision == "answered" and answer.side != "no":
            found.append(f"it is answered: {answer.answer}")
        return found


class KindQuestion(NamedTuple):
    """A question of some kind, the questions before it, and what is expected."""

    id: str
    kind: str
    question: Question
    earlier: tuple[Question, ...]
    expected: Expected


def read_kinds(path: Path) -> list[KindQuestion]:
    """The rows of a JSONL file: ``id``, ``kind``, ``question``, ``expect``; some have ``study`` and ``earlier``.

    Raises:
        InputError: a row is not of that form; its line is named.
    """
    rows = []
    for number, row in json_lines(path):
        try:
            expected = Expected.model_validate(row["expect"])
            asked = Question(text=row["question"], study=row.get("study"))
            earlier = tuple(Question(text=text) for text in row.get("earlier", ()))
            rows.append(KindQuestion(str(row["id"]), str(row["kind"]), asked, earlier, expected))
        except (KeyError, TypeError, ValidationError) as error:
            raise InputError(f"{path}, line {number}: not a question with what is expected of it ({error})") from error
    return rows


def measure_kinds(
    engine: Engine, rows: Sequence[KindQuestion], left_out: Mapping[str, int], progress: Progress
) -> Report:
    """Ask all: of each kind, the share that is answered sensibly, and how many silly answers a certificate covers.

    Beside it: for how many it would be sensible to say nothing, or yes, whatever is asked.
    """
    advance = progress.stage("asking", len(rows))
    wrong: list[dict[str, Any]] = []
    asked, sensible, silly = Counter[str](), Counter[str](), Counter[str]()
    constant = {name: Counter[str]() for name in _CONSTANT}
    for row in rows:
        answer, faults, certified = _ask(engine, row)
        for kind in (row.kind, ALL):
            asked[kind] += 1
            sensible[kind] += not faults
            silly[kind] += bool(faults) and certified
            for name, said in _CONSTANT.items():
                constant[name][kind] += answer is not None and not row.expected.faults(answer.model_copy(update=said))
        if faults:
            wrong.append({"id": row.id, "question": row.question.text, "faults": faults, "certified": certified})
        advance(1)
    table = tuple(
        Row(
            {"kind": kind},
            {"questions": n, "silly_under_certificate": silly[kind]},
            {"sensible": exactly(sensible[kind] / n)}
            | {f"sensible: {name}": exactly(some[kind] / n) for name, some in constant.items()},
        )
        for kind, n in asked.items()
    )
    return Report("questions", measured_index(engine), table, left_out, details={"wrong": wrong})


def _ask(engine: Engine, row: KindQuestion) -> tuple[Answer | None, list[str], bool]:
    """The answer, where it was not refused; what is not sensible; whether a valid certificate covers any of it."""
    try:
        question = engine.after(row.question, row.earlier) if row.earlier else row.question
        (answer,) = engine.ask_many([question], record=False)
    except InputError as error:
        meant = row.expected.error is not None and row.expected.error in str(error)
        return None, ([] if meant else [f"refused: {error}"]), False
    certificates = [answer.certificate, *(part.certificate for part in answer.parts)]
    covered = answer.decision == "answered" and any(c.status == "valid" for c in certificates)
    return answer, row.expected.faults(answer), covered


def _first_number(answer: Answer) -> int | None:
    found = re.search(r"\d[\d,]*", answer.answer) if answer.decision == "answered" else None
    return int(found[0].replace(",", "")) if found else None
