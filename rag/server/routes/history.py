"""What has been asked: the answers on record, found again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from rag.audit.history import Wanted
from rag.audit.ledger import Ledger
from rag.server.access.auth import Auditor
from rag.server.routes.answers import service_of
from rag.server.web.problems import documented
from rag.types import Decision

router = APIRouter(tags=["answers"])
Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\d$", description="A day, ISO (UTC), itself included.")]


class RecordedOut(BaseModel):
    """One answer of the ledger, in brief."""

    number: int
    audit_id: str
    created: str
    decision: str
    verdict: str | None
    question: str
    study: str | None
    caller: str
    mark: str | None = Field(description="How it was judged last: right, wrong, corrected; null where nobody did.")


def _wanted(
    q: Annotated[str, Query(max_length=200, description="Words of question, study or answer; all must be there.")] = "",
    decision: Annotated[Decision | None, Query()] = None,
    judged: Annotated[bool | None, Query(description="Whether somebody said that it was right or wrong.")] = None,
    since: Day = None,
    until: Day = None,
) -> Wanted:
    return Wanted(q, decision, since or "", until or "", judged)


@router.get("/v1/answers", summary="Recorded answers, newest first", responses=documented(404, 422))
async def history(
    request: Request,
    caller: Auditor,
    wanted: Annotated[Wanted, Depends(_wanted)],
    index: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    before: Annotated[int | None, Query(ge=1, le=2**53, description="Entries older than this number.")] = None,
) -> dict[str, list[RecordedOut]]:
    """A page of an index's ledger; ``before`` the last number gives the next."""
    ledger = service_of(request).index(index).engine.ledger
    return {"entries": await run_in_threadpool(_page, ledger, wanted, limit, before)}


def _page(ledger: Ledger, wanted: Wanted, limit: int, before: int | None) -> list[RecordedOut]:
    entries = ledger.sought(wanted, limit, before)
    marks = ledger.marks([e.audit_id for e in entries])
    return [
        RecordedOut(
            number=e.number,
            audit_id=e.audit_id,
            created=e.created,
            decision=answer.decision,
            verdict=answer.verdict,
            question=answer.question.text,
            study=answer.question.study,
            caller=e.caller,
            mark=marks.get(e.audit_id),
        )
        for e in entries
        for answer in [e.answer]
    ]
