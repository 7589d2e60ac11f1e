"""Counting reports, and the conversations that questions belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from rag.answering.engine import Engine
from rag.cohorts.criteria import CohortHit, Page
from rag.cohorts.telling import as_csv, as_jsonl, count_in_words, warnings
from rag.server.access.auth import Asker
from rag.server.routes.answers import service_of
from rag.server.web.bodies import read_json, takes
from rag.server.web.problems import Problem, documented
from rag.server.web.schemas import FindBody, FoundOut, answer_out, json_bytes
from rag.types import THREAD

router = APIRouter(tags=["reports"])
ThreadId = Annotated[str, Path(pattern=THREAD)]
_FORMS: dict[str, tuple[Callable[[Iterable[CohortHit]], Iterator[str]], str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "jsonl": (as_jsonl, "application/jsonl"),
}
_FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "application/jsonl": {}}}}


@router.post(
    "/v1/find",
    summary="Count the reports that say something",
    response_model=FoundOut,
    responses={**_FILES, **documented(400, 404, 409, 413, 415, 422, 429, 503)},
    openapi_extra=takes(FindBody),
)
async def find(request: Request, caller: Asker) -> Response:
    """Exact, with quotes: how many, which, and how they divide. Nothing is generated and nothing is recorded."""
    service = service_of(request)
    body = await read_json(request, FindBody)
    if (body.question is None) == (body.criteria is None):
        raise Problem(422, "give either 'question' or 'criteria'")
    served = service.index(body.index)
    asked = body.criteria if body.criteria is not None else body.question or ""
    if body.format != "json":
        write, kind = _FORMS[body.format]
        await service.aside.run(lambda: served.engine.find(asked, Page(limit=0)))  # what is wrong shows before a byte
        named = {"Content-Disposition": f'attachment; filename="reports.{body.format}"'}
        return StreamingResponse(write(served.engine.find_all(asked)), media_type=kind, headers=named)
    found = await service.aside.run(lambda: served.engine.find(asked, Page(offset=body.offset, limit=body.limit)))
    told = {"words": count_in_words(found), "notes": warnings(found), "next_offset": found.following}
    return Response(json_bytes(found.model_dump(mode="json") | told), media_type="application/json")


@router.get("/v1/threads/{thread}", summary="A conversation's last turns", responses=documented(404, 422))
async def turns(
    request: Request, thread: ThreadId, caller: Asker, index: Annotated[str | None, Query(max_length=100)] = None
) -> dict[str, list[dict[str, Any]]]:
    """The caller's own, newest first."""
    engine = service_of(request).index(index).engine
    return {"answers": [answer_out(a) for a in await run_in_threadpool(engine.thread, thread, caller.id)]}


@router.delete("/v1/threads/{thread}", summary="Forget a conversation", responses=documented(404, 422))
async def forget(
    request: Request, thread: ThreadId, caller: Asker, index: Annotated[str | None, Query(max_length=100)] = None
) -> dict[str, int]:
    """Take its texts and images out of the ledger, for good; that this was done stays on record."""
    engine: Engine = service_of(request).index(index).engine
    return {"turns": await run_in_threadpool(engine.forget_thread, thread, caller=caller.id)}
