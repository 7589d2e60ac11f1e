"""The API that chat clients speak: OpenAI's chat completions. A model is an index.

The last message of the user is the question; earlier ones are not read, because an answer must stand on its evidence
alone. Chat clients cannot take text back, so a stream begins when the answer has been decided.
"""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from rag.server.access.auth import Asker
from rag.server.routes.answers import ASKED, service_of
from rag.server.web.bodies import gone, held_image, read_json, takes
from rag.server.web.problems import Problem, documented, problem_of, response_to
from rag.server.web.schemas import Body, json_bytes
from rag.server.web.sse import EVENT_SCHEMA, EventStream, event
from rag.server.work.service import Served, Service
from rag.types import Answer, Question

router = APIRouter(tags=["chat"])


class ImageUrl(Body):
    url: str = Field(description="A data URL; addresses are not fetched.")
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(Body):
    type: Literal["text"]
    text: str = Field(max_length=100_000)


class ImagePart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl


class Message(BaseModel):
    """A message; only the user's last one is read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]] | None = None


class ChatBody(Body):
    """Settings of sampling are taken and have no effect: nothing here is drawn at random."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [{"model": "demo", "messages": [{"role": "user", "content": "What is drusen?"}]}],
        },
    )

    model: str = Field(min_length=1, max_length=100, description="Name of an index.")
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    n: Literal[1] | None = 1


class ChatOut(BaseModel):
    """OpenAI's form; ``clincite`` adds what it has no place for."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]
    clincite: dict[str, Any]


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
        text, image = _question(body)
        path = await held_image(image, service.settings.serving, held)
    except BaseException:
        held.close()
        raise
    base = str(request.base_url).rstrip("/")
    question = Question(text=text, image=path)
    if body.stream:
        asked = served.batcher.submit(question, caller.id, held)
        return EventStream(_chunks(service, served, asked, body.model, base), asked.cancel)
    answer = await service.ask(served, question, caller, held, gone(request))
    return Response(json_bytes(_completion(answer, body.model, base)), media_type="application/json")


def _question(body: ChatBody) -> tuple[str, str | None]:
    """Text and image of the user's last message."""
    message = next((m for m in reversed(body.messages) if m.role == "user"), None)
    if message is None or not message.content:
        raise Problem(422, "messages: there is no question; the last message of the user is read")
    if isinstance(message.content, str):
        return message.content, None
    texts = [p.text for p in message.content if isinstance(p, TextPart)]
    images = [p.image_url.url for p in message.content if isinstance(p, ImagePart)]
    if len(images) > 1:
        raise Problem(422, "messages: one image can be asked about at a time")
    if images and not images[0].startswith("data:"):
        raise Problem(422, "messages: images come as data URLs; addresses are not fetched")
    if not any(t.strip() for t in texts):
        raise Problem(422, "messages: the last message of the user has no text")
    return "\n".join(texts), images[0] if images else None


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
        "confidence": answer.confidence,
        "certificate": answer.certificate.model_dump(mode="json"),
        "index_version": answer.index_version,
    }


def _completion(answer: Answer, model: str, base: str) -> dict[str, Any]:
    text, annotations = _message(answer, base)
    message = {"role": "assistant", "content": text, "annotations": annotations}
    return {
        "id": f"chatcmpl-{answer.audit_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "clincite": _about(answer),
    }


async def _chunks(
    service: Service, served: Served, asked: Future[Answer], model: str, base: str
) -> AsyncIterator[bytes]:
    """The decided answer in chunks, by lines; or an error where OpenAI's clients look for one."""
    try:
        answer = await service.answer(served, asked)
    except Exception as error:
        problem = problem_of(error)
        yield event(None, bytes(response_to(problem, chat=True).body).decode())
        return
    text, annotations = _message(answer, base)
    created = int(time.time())

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        whole = {
            "id": f"chatcmpl-{answer.audit_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [choice],
        }
        return event(None, whole | more)

    yield chunk({"role": "assistant", "content": ""})
    for line in text.splitlines(keepends=True):
        yield chunk({"content": line})
    yield chunk({"annotations": annotations}, "stop", clincite=_about(answer))
    yield event(None, "[DONE]")
