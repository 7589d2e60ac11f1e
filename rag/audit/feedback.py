"""Judgements of answers: right, wrong or corrected. They are entries of the chain that refer to the answer.

Judged yes/no answers can serve as labelled questions for ``rag calibrate``. Mind what they are: answers that somebody
chose to judge are not a random sample of the questions asked, and a certificate computed from them speaks of questions
like those that people judge.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rag.audit.ledger import Ledger
from rag.audit.record import IMAGE, Entry, LedgerPart, canonical_json, new_audit_id
from rag.errors import InputError
from rag.types import Answer, Question, sha256_of

Mark = Literal["right", "wrong", "corrected"]
MARKS: tuple[Mark, ...] = ("right", "wrong", "corrected")
_MOST = 10_000
_YES_NO = re.compile(r"\s*(yes|no)\b", re.I)
_OPPOSITE = {"yes": "no", "no": "yes"}


@dataclass(frozen=True)
class Feedback:
    """One judgement. ``correction`` is the right answer, ``reason`` free text; None where redacted or not given."""

    audit_id: str
    about: str
    created: str
    caller: str
    mark: Mark
    correction: str | None = None
    reason: str | None = None


def give_feedback(
    ledger: Ledger,
    audit_id: str,
    mark: Mark,
    *,
    correction: str | None = None,
    reason: str | None = None,
    caller: str = "python",
) -> Feedback:
    """Record a judgement of an answer. Later judgements of the same answer count more; none is ever overwritten.

    Raises:
        InputError: no such answer, an unknown mark, a correction without text or where none belongs, or texts that are
            too long.
    """
    ledger.answered(audit_id)
    if mark not in MARKS:
        raise InputError(f"{mark!r} is not a judgement; use one of: {', '.join(MARKS)}")
    texts = {"correction": correction, "reason": reason}
    given = {name: text.strip() for name, text in texts.items() if text and text.strip()}
    if (mark == "corrected") != ("correction" in given):
        raise InputError("a correction goes with the mark 'corrected' and with no other: give the right answer with it")
    for name, text in given.items():
        if len(text) > _MOST:
            raise InputError(f"the {name} has {len(text):,} characters; at most {_MOST:,} are kept. Shorten it.")
    made = new_audit_id("f")
    with ledger.transaction() as connection:
        parts = {"feedback": LedgerPart.of(canonical_json(given))} if given else {}
        ledger.add(connection, "feedback", made, caller, {"about": audit_id, "mark": mark}, parts)
    return feedback_of(ledger.get(made))


def feedback_of(entry: Entry) -> Feedback:
    """The judgement that an entry of the kind 'feedback' holds."""
    part = entry.parts.get("feedback")
    texts = json.loads(part.text) if part else {}
    fields = entry.fields
    return Feedback(entry.audit_id, fields["about"], entry.created, entry.caller, fields["mark"], **texts)


def feedback_on(ledger: Ledger, audit_id: str) -> list[Feedback]:
    """All judgements of an answer, oldest first."""
    return [f for entry in ledger.walk("feedback") if (f := feedback_of(entry)).about == audit_id]


@dataclass(frozen=True)
class Labels:
    """Judged answers as labelled questions, and how many could not serve, by reason."""

    rows: tuple[dict[str, Any], ...]
    skipped: dict[str, int]


def labelled_questions(ledger: Ledger) -> Labels:
    """Judged yes/no answers in the form that ``rag calibrate`` reads (id, question, answer, group, image, study).

    The last judgement of an answer counts. *Right* confirms its verdict, *wrong* means the other one, a correction must
    begin with yes or no. Questions about the same study, image or (without either) in the same words share a group, so
    that they count as one in the statistics.
    """
    rows: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    judged = {f.about: f for entry in ledger.walk("feedback") for f in [feedback_of(entry)]}
    for entry, feedback in _judged(ledger, judged):
        answer = entry.answer
        label, problem = _label(answer, feedback), ""
        if {"question", IMAGE, "entry"} & set(entry.redacted):
            problem = "its question was redacted"
        elif answer.question.domain is not None:
            problem = "its domain was given, and no certificate covers such questions"
        elif answer.question.image is not None and entry.image_sha256 is None:
            problem = "its image was not kept"
        elif label is None:
            problem = "no yes or no follows from the judgement"
        if problem:
            skipped[problem] += 1
            continue
        row = {"id": answer.audit_id, "question": answer.question.text, "answer": label}
        row["group"] = _group(answer.question, entry)
        if answer.question.study is not None:
            row["study"] = answer.question.study
        if entry.image_sha256 is not None:
            row["image"] = str(ledger.images.path(entry.image_sha256).absolute())
        rows.append(row)
    return Labels(tuple(rows), dict(skipped))


def _judged(ledger: Ledger, judged: dict[str, Feedback]) -> Iterator[tuple[Entry, Feedback]]:
    for entry in ledger.walk("answer"):
        if entry.audit_id in judged:
            yield entry, judged[entry.audit_id]


def _label(answer: Answer, feedback: Feedback) -> str | None:
    if feedback.mark == "corrected":
        found = _YES_NO.match(feedback.correction or "")
        return found[1].lower() if found else None
    if answer.verdict is None or answer.verdict == "not_mentioned":
        return None  # that a report is silent says neither
    return answer.verdict if feedback.mark == "right" else _OPPOSITE[answer.verdict]


def _group(question: Question, entry: Entry) -> str:
    """The unit of statistics: the study, else the group that the asker excluded as the image's own, else the image."""
    if question.study is not None:
        return question.study
    if len(question.exclude_groups) == 1:
        return question.exclude_groups[0]
    return entry.image_sha256 or f"question {sha256_of(' '.join(question.text.lower().split()))[:16]}"
