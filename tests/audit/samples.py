"""A small answer, and what somebody with a database tool does to a ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from rag.audit.ledger import new_audit_id
from rag.audit.record import Failed, Working
from rag.types import (
    Answer,
    Certificate,
    Citation,
    Document,
    Domain,
    Draft,
    DraftSentence,
    Dropped,
    Evidence,
    Question,
    Quote,
    Sentence,
    sha256_of,
)

TEXT = "The heart is enlarged. No effusion."
QUOTE = "The heart is enlarged."
DOCUMENT = Document(id="d", kind="report", text=TEXT, case_id="d", group_id="d", source="s")
WORKING = Working(
    draft=Draft(
        sentences=(
            DraftSentence(text=f"Yes: “{QUOTE}”", quotes=(Quote(number=1, start=0, end=len(QUOTE)),)),
            DraftSentence(text="The aorta is wide."),
        ),
        verdict="yes",
        confidence=0.9,
    ),
    shown=("d#0",),
    dropped=(Dropped(text="The aorta is wide.", verdict="unsupported", reason="nothing says so"),),
    repaired=("[7] names no evidence",),
    earlier=(
        Failed(draft=Draft(sentences=(DraftSentence(text="It floats."),), confidence=0.5), why="no sentence passed"),
    ),
    policy={"k": 3, "gamma": 0.35, "tau": 0.5, "rho": 0.0},
    fingerprints={"generator": "reader:1", "index version": "1"},
)


def make_answer(text: str = "Is the heart enlarged?", *, document: str = "d", group: str = "d", **asked: Any) -> Answer:
    """A yes, cited from one report."""
    return Answer(
        question=Question(text=text, **asked),
        answer=f"Yes: “{QUOTE}” [1]",
        verdict="yes",
        probability=0.9,
        decision="answered",
        reason="cited",
        confidence=0.9,
        domain=Domain(name="radiology", probability=1.0, out_of_domain=False),
        sentences=(Sentence(text=f"Yes: “{QUOTE}”", citations=(1,)),),
        citations=(
            Citation(
                sentence=0,
                number=1,
                document_id=document,
                passage_id=f"{document}#0",
                source="s",
                quote=QUOTE,
                start=0,
                end=len(QUOTE),
                verdict="supported",
                score=1.0,
            ),
        ),
        evidence=(
            Evidence(
                number=1,
                document_id=document,
                passage_id=f"{document}#0",
                kind="report",
                domain="radiology",
                title="",
                source="s",
                licence="l",
                case_id=document,
                group_id=group,
                channel="study",
                score=1.0,
                text=TEXT,
                start=0,
                sha256=sha256_of(TEXT),
            ),
        ),
        certificate=Certificate(status="uncertified", why="test"),
        audit_id=new_audit_id(),
        index_version=1,
        timings_ms={"total": 1.0},
    )


def tamper(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    """Change the file as someone with a database tool would; ``values`` are bound in the last statement."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for trigger in ("no_update", "no_delete", "no_update_of_parts"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements[:-1]:
            connection.execute(statement)
        connection.execute(statements[-1], values)


def bytes_on_disk(folder: Path) -> bytes:
    """All that somebody who reads the files below a folder sees."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
