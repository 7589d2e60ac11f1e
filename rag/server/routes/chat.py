"""The API that chat clients speak: OpenAI's chat completions. A model is an index.

What is read of a conversation: ``rag.server.web.conversation``. Chat clients cannot take text back, so a stream begins
when the answer has been decided.
"""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from rag.server.access.auth import Asker
from rag.server.routes.answers import ASKED, service_of
from rag.server.web.bodies import gone, held_image, read_json, takes
from rag.server.web.chores import Chore, chore_in
from rag.server.web.conversation import ChatBody, ChatOut, asked_before, asked_in
from rag.server.web.problems import documented, problem_of, response_to
from rag.server.web.schemas import json_bytes
from rag.server.web.sse import EVENT_SCHEMA, EventStream, event
from rag.server.work.service import Served, Service
from rag.types import Answer, Question

router = APIRouter(tags=["chat"])


_STREAM = {
    "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    "description": "The completion, or chunks.",
}


@router.get("/v1/models", summary="The indexes, as models", responses=documented())
async def models(request: Request, caller: Asker) -> dict[str, Any]:
    """In OpenAI's form."""
    listed = [{"id": n, "object": "model", "created": 0, "owned_by": "clincite"} for n in service_of(request).names]
    return {"object": "list", "data": listed}


@router.post(
    "/v1/chat/completions",
    summary="Ask as chat clients do",
    response_model=ChatOut,
    responses={200: _STREAM, **documented(*ASKED)},
    openapi_extra=takes(ChatBody),
)
async def chat(request: Request, caller: Asker) -> Response:
    """The answer with its citations, in the message and as annotations."""
    service, held = service_of(request), ExitStack()
    try:
        body = await read_json(request, ChatBody)
        served = service.index(body.model)
        if (chore := chore_in(body.messages)) is not None:
            return _done(chore, body)
        text, image = asked_in(body.messages)
        path = await held_image(image, service.settings.serving, held)
        question = Question(text=text, image=path)
        if before := [Question(text=words) for words in asked_before(body.messages)]:
            question = await run_in_threadpool(served.engine.after, question, before)
    except BaseException:
        held.close()
        raise
    base = str(request.base_url).rstrip("/")
    if body.stream:
        asked = served.batcher.submit(question, caller.id, held)
        return EventStream(_chunks(service, served, asked, body.model, base), asked.cancel)
    answer = await service.ask(served, question, caller, held, gone(request))
    return Response(json_bytes(_of_answer(answer, body.model, base).whole()), media_type="application/json")


@dataclass(frozen=True)
class Completion:
    """What a client is told, in OpenAI's two forms."""

    id: str
    model: str
    text: str
    about: dict[str, Any]
    annotations: list[dict[str, Any]] = field(default_factory=list)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text, "annotations": self.annotations}
        return {
            **self._head("chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            "clincite": self.about,
        }

    def chunks(self) -> Iterator[bytes]:
        """By lines."""
        yield self._chunk({"role": "assistant", "content": ""})
        for line in self.text.splitlines(keepends=True):
            yield self._chunk({"content": line})
        yield self._chunk({"annotations": self.annotations}, "stop", clincite=self.about)
        yield event(None, "[DONE]")

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return event(None, {**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _done(chore: Chore, body: ChatBody) -> Response:
    """What a client wanted for itself; nothing of it is recorded."""
    made = Completion(f"chatcmpl-{chore.kind}", body.model, chore.reply, {"task": chore.kind})
    if body.stream:
        return Response(b"".join(made.chunks()), media_type="text/event-stream")
    return Response(json_bytes(made.whole()), media_type="application/json")


def _message(answer: Answer, base: str) -> tuple[str, list[dict[str, Any]]]:
    """The answer with its sources below, and OpenAI's annotations for its sentences."""
    text, annotations = "", []
    sources = {e.number: e for e in answer.evidence}
    if answer.decision == "answered":
        for n, sentence in enumerate(answer.sentences):
            text += " " if text else ""
            start = len(text)
            marks = "[image]" if sentence.seen_by else "".join(f"[{c}]" for c in sentence.citations)
            text += f"{sentence.text} {marks}".rstrip()
            for number in dict.fromkeys(c.number for c in answer.citations if c.sentence == n):
                e = sources[number]
                cited = {
                    "start_index": start,
                    "end_index": len(text),
                    "title": f"[{number}] {e.title or e.document_id} ({e.source})",
                    "url": f"{base}/v1/answers/{answer.audit_id}#evidence-{number}",
                }
                annotations.append({"type": "url_citation", "url_citation": cited})
    else:
        text = answer.answer
    quotes = [f"[{c.number}] {c.document_id} ({c.source}): “{c.quote}”" for c in answer.citations]
    quotes += [f"[image]: {c.label} ({c.seen_by})" for c in answer.image_citations]
    if quotes and answer.decision == "answered":
        text += "\n\n" + "\n".join(dict.fromkeys(quotes))
    return text, annotations


def _about(answer: Answer) -> dict[str, Any]:
    return {
        "audit_id": answer.audit_id,
        "decision": answer.decision,
        "reason": answer.reason,
        "taken": answer.question.taken.model_dump(mode="json") if answer.question.taken else None,
        "confidence": answer.confidence,
        "certificate": answer.certificate.model_dump(mode="json"),
        "index_version": answer.index_version,
    }


def _of_answer(answer: Answer, model: str, base: str) -> Completion:
    text, annotations = _message(answer, base)
    return Completion(f"chatcmpl-{answer.audit_id}", model, text, _about(answer), annotations)


async def _chunks(
    service: Service, served: Served, asked: Future[Answer], model: str, base: str
) -> AsyncIterator[bytes]:
    """The decided answer in chunks; or an error where OpenAI's clients look for one."""
    try:
        answer = await service.answer(served, asked)
    except Exception as error:
        problem = problem_of(error)
        yield event(None, bytes(response_to(problem, chat=True).body).decode())
        return
    for chunk in _of_answer(answer, model, base).chunks():
        yield chunk
