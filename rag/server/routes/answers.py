"""Questions and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from rag.server.access.auth import Asker, Caller
from rag.server.web.bodies import gone, held_image, read_json, receive_question, takes
from rag.server.web.problems import Problem, body_of, documented, problem_of
from rag.server.web.schemas import (
    AnswerOut,
    AskBody,
    BatchBody,
    BatchOut,
    SearchBody,
    SearchOut,
    answer_out,
    evidence_out,
    hit_out,
    json_bytes,
    sentence_out,
)
from rag.server.web.sse import EVENT_SCHEMA, EventStream, event
from rag.server.work.service import Served, Service
from rag.types import THREAD, Event, Question

router = APIRouter(tags=["answers"])
ASKED = (400, 404, 408, 413, 415, 422, 504)
_FIELDS: dict[str, Any] = {
    "question": {"type": "string", "minLength": 1},
    "index": {"type": "string"},
    "study": {"type": "string"},
    "domain": {"type": "string"},
    "exclude_groups": {"type": "array", "items": {"type": "string", "minLength": 1}},
    "image": {"type": "string", "format": "binary"},
}
_MULTIPART = {"type": "object", "required": ["question"], "additionalProperties": False, "properties": _FIELDS}
_THREAD = {"type": "string", "pattern": THREAD}
_ASK = _MULTIPART | {"properties": _FIELDS | {"stream": {"type": "boolean"}, "thread": _THREAD}}
_SEARCH = _MULTIPART | {"properties": _FIELDS | {"k": {"type": "integer", "minimum": 1, "maximum": 100}}}
_EVENTS = {
    "description": "The answer; with `stream`, events: `stage`, `evidence`, `sentence` (each with its citations, as "
    "soon as it is verified), `certificate`, `answer` (the whole of it), or `error` (a problem).",
    "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
}


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def question_of(body: AskBody | SearchBody, image: str | None) -> Question:
    return Question(
        text=body.question,
        image=image,
        study=body.study,
        exclude_groups=body.exclude_groups,
        domain=body.domain,
        thread=getattr(body, "thread", None),
    )


@router.post(
    "/v1/answers",
    summary="Ask a question",
    response_model=AnswerOut,
    responses={200: _EVENTS, **documented(*ASKED)},
    openapi_extra=takes(AskBody, _ASK),
)
async def ask(request: Request, caller: Asker) -> Response:
    """An answer in which every sentence cites the passage that supports it, or why there is none."""
    service, held = service_of(request), ExitStack()
    try:
        body, image = await receive_question(request, AskBody, held)
        served = service.index(body.index)
        question = question_of(body, image)
        if body.stream:
            seat = service.admit(held)
            return EventStream(_told(service.stream(served, question, caller, seat)), seat.abandon)
    except BaseException:
        held.close()
        raise
    answer = await service.ask(served, question, caller, held, gone(request))
    return Response(json_bytes(answer_out(answer)), media_type="application/json")


async def _told(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The engine's events on the wire."""
    try:
        async for happened in events:
            for name, data in _wire(happened):
                yield event(name, data)
    except TimeoutError:
        yield event("error", body_of(Problem(504, "the question took too long and was given up")))
    except Exception as error:
        yield event("error", body_of(problem_of(error)))


def _wire(happened: Event) -> list[tuple[str, Any]]:
    if happened.kind == "evidence":
        return [("evidence", {"evidence": evidence_out(happened.evidence)})]
    if happened.kind == "sentence":
        return [("sentence", sentence_out(happened.sentence, happened.citations))]
    if happened.answer is not None:
        answer = happened.answer
        return [("certificate", answer.certificate.model_dump(mode="json")), ("answer", answer_out(answer))]
    return [("stage", {"stage": happened.stage})]


@router.post(
    "/v1/batch",
    summary="Ask several questions",
    response_model=BatchOut,
    responses=documented(*ASKED),
    openapi_extra=takes(BatchBody),
)
async def batch(request: Request, caller: Asker) -> Response:
    """Their answers in order; a question that cannot be answered brings its problem in its place."""
    service = service_of(request)
    body = await read_json(request, BatchBody)
    most = service.settings.serving.max_batch_questions
    if len(body.questions) > most:
        raise Problem(422, f"questions: at most {most} in one request")
    served = [service.index(q.index) for q in body.questions]
    for one in set(served):
        one.batcher.admit(served.count(one))
    leaving = asyncio.create_task(gone(request))
    asked = [_one(service, s, q, caller, leaving) for s, q in zip(served, body.questions, strict=True)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    leaving.cancel()
    listed = [
        {"answer": None, "problem": body_of(problem_of(r)) if isinstance(r, Exception) else None}
        if isinstance(r, BaseException)
        else {"answer": r, "problem": None}
        for r in results
    ]
    return Response(json_bytes({"results": listed}), media_type="application/json")


async def _one(
    service: Service, served: Served, body: AskBody, caller: Caller, leaving: asyncio.Task[None]
) -> dict[str, Any]:
    held, settings = ExitStack(), service.settings.serving
    try:
        image = await held_image(body.image, settings, held)
    except BaseException:
        held.close()
        raise
    return answer_out(await service.ask(served, question_of(body, image), caller, held, _when(leaving)))


async def _when(leaving: asyncio.Task[None]) -> None:
    await asyncio.wait({leaving})


@router.post(
    "/v1/search",
    summary="Find passages",
    response_model=SearchOut,
    responses=documented(*ASKED),
    openapi_extra=takes(SearchBody, _SEARCH),
)
async def search(request: Request, caller: Asker) -> Response:
    """The passages closest to a question, without answering it."""
    service = service_of(request)
    with ExitStack() as held:
        body, image = await receive_question(request, SearchBody, held)
        served = service.index(body.index)
        hits, version = await service.search(served, question_of(body, image), body.k)
    found = {"hits": [hit_out(h) for h in hits], "index": served.name, "index_version": version}
    return Response(json_bytes(found), media_type="application/json")


@router.get(
    "/v1/answers/{audit_id}", summary="A recorded answer", response_model=AnswerOut, responses=documented(404, 422)
)
async def recorded(request: Request, audit_id: str, caller: Asker) -> Response:
    """As it was given: to who asked, and to auditors."""
    _, entry = await run_in_threadpool(service_of(request).entry, audit_id, caller)
    return Response(json_bytes(answer_out(entry.answer)), media_type="application/json")
