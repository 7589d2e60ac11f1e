"""Taking patients' and askers' texts and images out of the ledger, for good and on record.

Every function records one entry that says what was taken out of which entries, when, by whom and why; the chain goes on
verifying, because it commits to salted hashes of what is gone (see :mod:`rag.audit.record`). What stays are ids, spans,
numbers and fingerprints. Copies of the ledger made earlier, exports and backups are beyond its reach.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from rag.audit.ledger import Ledger
from rag.audit.record import EVIDENCE, IMAGE, WHOLE, Entry
from rag.errors import InputError
from rag.progress import Progress, Silent

What = Literal["images", "texts"]
SILENT = Silent()
_AGE = re.compile(r"(\d+)\s*(d|days?|w|weeks?|y|years?)")
_DAYS = {"d": 1, "w": 7, "y": 365}


@dataclass(frozen=True)
class Redaction:
    """What was taken out.

    Attributes:
        audit_id: of the entry that records it; None where there was nothing to take out.
        entries: audit ids of the entries that lost something.
        parts: how many texts and images they lost together.
        images: image files removed; an image that another entry still holds stays until that one is redacted.
    """

    audit_id: str | None
    entries: tuple[str, ...]
    parts: int
    images: int


def redact(
    ledger: Ledger,
    audit_id: str,
    why: str,
    caller: str = "python",
    what: What = "images",
    progress: Progress = SILENT,
) -> Redaction:
    """Redact one answer: its image, or (``texts``) everything that is text as well, with the judgements of it.

    Raises:
        InputError: there is no such entry, or no reason is given.
    """
    number = ledger.get(audit_id).number

    def choose(entry: Entry) -> Collection[str]:
        mine = entry.number == number or entry.fields.get("about") == audit_id
        return _those(entry, what) if mine else ()

    return _run(ledger, choose, why, caller, progress)


def redact_thread(ledger: Ledger, thread: str, why: str, caller: str = "python", of: str | None = None) -> Redaction:
    """Redact all texts and images of a thread, for good: afterwards no turn of it is remembered.

    Args:
        of: whose thread it is; None: everybody's thread of that name.
    """

    def choose(entry: Entry) -> Collection[str]:
        told = entry.kind == "answer" and bool(entry.record) and entry.fields.get("thread") == thread
        return tuple(entry.parts) if told and of in (None, entry.caller) else ()

    return _run(ledger, choose, why, caller, SILENT)


def redact_before(
    ledger: Ledger,
    moment: datetime,
    why: str,
    caller: str = "python",
    what: What = "images",
    progress: Progress = SILENT,
) -> Redaction:
    """Redact every entry made before ``moment`` (with a time zone)."""
    limit = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return _run(ledger, lambda entry: _those(entry, what) if entry.created < limit else (), why, caller, progress)


def redact_documents(
    ledger: Ledger,
    why: str,
    caller: str = "python",
    documents: Collection[str] = (),
    groups: Collection[str] = (),
    progress: Progress = SILENT,
) -> Redaction:
    """Redact what documents, or all documents of groups (patients, articles), have left in the ledger.

    Of each entry go the pieces of evidence from them, every other text that names them (the answer that quotes them,
    the list of candidates), and the draft if they were among its evidence. Where the question was about one of the
    groups (it excludes the group from the search, or names a study of it), the question and its image go as well. The
    ledger knows a group's documents from evidence alone: name those that were never more than candidates yourself.
    """
    gone = _Gone(set(documents), set(groups))
    advance = progress.stage("reading the ledger", ledger.count())
    for entry in ledger.walk():  # which documents a group has shows in the evidence of any entry
        gone.learn(entry)
        advance(1)
    return _run(ledger, gone.choose, why, caller, progress)


def age(text: str) -> timedelta:
    """``30d``, ``8 weeks``, ``2y`` as a time span.

    Raises:
        InputError: it is not written like that.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if not found:
        raise InputError(f"{text!r} is not an age; write a number of days, weeks or years, such as 30d, 8w or 2y")
    try:
        return timedelta(days=int(found[1]) * _DAYS[found[2][0]])
    except OverflowError as error:
        raise InputError(f"{text!r} is longer than any ledger is old; write it shorter, such as 2y") from error


def reason(why: str) -> str:
    """The reason of a redaction, without white space around it.

    Raises:
        InputError: it is empty.
    """
    if not why.strip():
        raise InputError("a redaction is recorded with its reason; say why, without naming a patient")
    return why.strip()


class _Gone:
    """Documents, groups and cases that have to leave the ledger."""

    def __init__(self, documents: set[str], groups: set[str]) -> None:
        self.documents, self.groups, self.cases = documents, groups, set[str]()
        self.questions: set[str] = set()  # audit ids of answers whose question was about one of the groups

    def learn(self, entry: Entry) -> None:
        for one in self._evidence(entry):
            if one["group_id"] in self.groups:
                self.documents.add(one["document_id"])
                self.cases.add(one["case_id"])

    def choose(self, entry: Entry) -> Collection[str]:
        self.learn(entry)
        if entry.kind == "feedback":
            return tuple(entry.parts) if entry.fields["about"] in self.questions else ()
        if entry.kind != "answer":
            return ()
        evidence = [one for one in self._evidence(entry) if one["document_id"] in self.documents]
        names = {name for name, part in entry.parts.items() if name != IMAGE and self._names(json.loads(part.text))}
        names |= {f"{EVIDENCE}{one['number']}" for one in evidence}
        if evidence:
            names |= {"draft", "table", "parts", WHOLE}
        question = entry.parts.get("question")
        if question is not None and self._asks(json.loads(question.text)):
            self.questions.add(entry.audit_id)
            names |= {"question", IMAGE, "answer", "draft", "table", "parts"}
        return names

    def _evidence(self, entry: Entry) -> list[dict[str, Any]]:
        if entry.kind != "answer":
            return []
        if not entry.record:
            whole = entry.parts.get(WHOLE)
            return list(json.loads(whole.text)["evidence"]) if whole else []
        return list(entry.fields["evidence"])

    def _names(self, value: Any) -> bool:
        """Whether a text mentions one of the documents, at any depth."""
        if isinstance(value, dict):
            return value.get("document_id") in self.documents or any(map(self._names, value.values()))
        return isinstance(value, list) and any(map(self._names, value))

    def _asks(self, question: dict[str, Any]) -> bool:
        return question.get("study") in self.cases or bool(self.groups & set(question.get("exclude_groups") or ()))


def _those(entry: Entry, what: What) -> Collection[str]:
    return (IMAGE,) if what == "images" else tuple(entry.parts)


def _run(
    ledger: Ledger, choose: Callable[[Entry], Collection[str]], why: str, caller: str, progress: Progress
) -> Redaction:
    given = reason(why)
    advance = progress.stage("redacting", ledger.count())
    entry, images = ledger.redact(choose, given, caller, advance)
    redacted = entry.fields["redacted"] if entry else []
    parts = sum(len(one["parts"]) for one in redacted)
    return Redaction(entry.audit_id if entry else None, tuple(one["audit_id"] for one in redacted), parts, images)
