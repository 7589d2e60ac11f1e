"""Work in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from rag.server.access.auth import Caller, require
from rag.server.routes.answers import service_of
from rag.server.web.problems import documented
from rag.server.web.schemas import JobOut
from rag.server.web.sse import EVENT_SCHEMA, EventStream, event

router = APIRouter(tags=["jobs"])
Worker = Annotated[Caller, Depends(require("ingest", "admin"))]
Id = Annotated[str, Path(max_length=100)]
_STREAM = {
    "description": "Events: `progress` (the job) whenever it has changed, `done` (the job) when it is over.",
    "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
}


@router.get("/v1/jobs", summary="Jobs, newest first", responses=documented(422))
async def jobs(
    request: Request, caller: Worker, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> dict[str, list[JobOut]]:
    """Of all indexes of this server."""
    return {"jobs": await run_in_threadpool(service_of(request).jobs.newest, limit)}


@router.get("/v1/jobs/{id}", summary="A job", responses=documented(404, 422))
async def job(request: Request, id: Id, caller: Worker) -> JobOut:
    """Its state, its progress, and its result when it is done."""
    return await run_in_threadpool(service_of(request).jobs.get, id)


@router.get(
    "/v1/jobs/{id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={200: _STREAM, **documented(404, 422)},
)
async def events(request: Request, id: Id, caller: Worker) -> Response:
    """Its progress as it happens, until it is over."""
    service = service_of(request)
    await run_in_threadpool(service.jobs.get, id)

    async def told() -> AsyncIterator[bytes]:
        last: JobOut | None = None
        async for last in service.jobs.follow(id, request.app.state.stopping):
            yield event("progress", last.model_dump(mode="json"))
        if last is not None:
            yield event("done", last.model_dump(mode="json"))

    return EventStream(told())


@router.post("/v1/jobs/{id}/cancel", summary="Stop a job", responses=documented(404, 409, 422))
async def cancel(request: Request, id: Id, caller: Worker) -> JobOut:
    """It stops at its next step; nothing is published, and what was done is kept for when it is resumed."""
    return await run_in_threadpool(service_of(request).jobs.cancel, id)


@router.post("/v1/jobs/{id}/resume", summary="Resume a job", status_code=202, responses=documented(404, 409, 422))
async def resume(request: Request, id: Id, caller: Worker) -> JobOut:
    """One that was interrupted or cancelled, or that failed; it goes on where it was."""
    return await run_in_threadpool(service_of(request).jobs.resume, id)
