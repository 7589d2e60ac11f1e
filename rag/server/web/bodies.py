"""Reading requests: JSON or multipart, checked against one model; the caller is known before a byte is read.

FastAPI's own body models are not used: it reads the body before the dependency that knows the caller and the scope, and
it has no way to say that one address takes JSON or a form with a file, as three of the seven with a body do here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rag.server.web.pictures import decode_base64, hold
from rag.server.web.problems import Problem, problem_of_fields
from rag.server.web.schemas import Body
from rag.settings import ServingSettings

_B = TypeVar("_B", bound=Body)
_LISTS = ("exclude_groups", "phrases")
JSON, MULTIPART = "application/json", "multipart/form-data"


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, model: type[_B]) -> _B:
    """The body as ``model``.

    Raises:
        Problem: 415 for another type of content, 400 for what is not JSON, 422 for a field that is wrong.
    """
    if content_type(request) != JSON:
        raise Problem(415, f"send the body as {JSON}")
    body = await request.body()
    try:
        value = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not valid JSON") from error
    return validated(model, value)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def validated(model: type[_B], value: Any) -> _B:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise problem_of_fields(error.errors(include_url=False, include_input=False)) from error


async def read_form(request: Request, *, max_files: int, max_field: int) -> FormData:
    """A multipart body; its files are on disk if they are large, and go when the form is closed.

    Raises:
        Problem: 400 where it is broken or ends too early, 413 with too many parts.
    """
    ending = _ending(request)
    try:
        form = await request.form(max_files=max_files, max_fields=100, max_part_size=max_field)
    except ClientDisconnect:
        raise
    except HTTPException as error:
        if error.status_code in (408, 413):
            raise
        status = 413 if "Too many" in str(error.detail) or "exceeded" in str(error.detail) else 400
        raise Problem(status, f"the multipart body cannot be read: {str(error.detail)[:200]}") from error
    if not ending():
        await form.close()
        raise Problem(400, "the multipart body ends before its closing boundary; send it again, whole")
    return form


def _ending(request: Request) -> Callable[[], bool]:
    """Watches a body go by: whether its last bytes were the closing boundary, without which parts may be missing."""
    boundary = request.headers.get("content-type", "").partition("boundary=")[2].split(";")[0].strip().strip('"')
    closing, tail = f"--{boundary}--".encode("latin-1", "replace"), bytearray()
    receive = request._receive

    async def watched() -> Any:
        message = await receive()
        tail.extend(message.get("body", b"")[-4096:])
        del tail[:-4096]
        return message

    request._receive = watched
    return lambda: closing in tail


def fields_of(form: FormData, files: tuple[str, ...]) -> dict[str, Any]:
    """The text fields of a form; ``exclude_groups`` may be given several times. Files elsewhere are refused."""
    values: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in files:
                raise Problem(422, f"{name[:100]!r} cannot be a file here; send the file as {' or '.join(files)!r}")
        elif name in _LISTS:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Problem(422, f"{name[:100]!r} is given twice")
        else:
            values[name] = value
    return values


async def receive_question(request: Request, model: type[_B], held: ExitStack) -> tuple[_B, str | None]:
    """A question in JSON or multipart, and the temporary file of its image, which lives as long as ``held``."""
    settings: ServingSettings = request.app.state.service.settings.serving
    if content_type(request) == JSON:
        body = await read_json(request, model)
        return body, await held_image(getattr(body, "image", None), settings, held)
    if content_type(request) != MULTIPART:
        raise Problem(415, f"send {JSON} or {MULTIPART}")
    form = await read_form(request, max_files=1, max_field=(settings.max_image_mib << 20) * 4 // 3 + 4096)
    try:
        body = validated(model, fields_of(form, ("image",)))
        sent = form.get("image")
        if isinstance(sent, UploadFile) and (sent.filename or sent.size):  # a form's empty field is no image
            if sent.size is not None and sent.size > settings.max_image_mib << 20:
                raise Problem(413, f"image: it is larger than {settings.max_image_mib} MiB; shrink it first")
            return body, await run_in_threadpool(hold, await sent.read(), settings, held)
    finally:
        await form.close()
    return body, await held_image(getattr(body, "image", None), settings, held)


async def held_image(encoded: str | None, settings: ServingSettings, held: ExitStack) -> str | None:
    """The temporary file of an image in base64; decoded in a thread, so that nobody else waits for it."""
    if encoded is None:
        return None
    return await run_in_threadpool(lambda: hold(decode_base64(encoded, settings), settings, held))


def takes(model: type[Body], multipart: dict[str, Any] | None = None) -> dict[str, Any]:
    """The request body for OpenAPI; the schema itself is added by ``openapi.describe``."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    examples = (model.model_config.get("json_schema_extra") or {}).get("examples")  # type: ignore[union-attr]
    if examples:
        content[JSON]["example"] = examples[0]  # type: ignore[index]
    if multipart is not None:
        content[MULTIPART] = {"schema": multipart}
    return {"requestBody": {"required": True, "content": content}}


async def gone(request: Request) -> None:
    """Returns when the client has closed the connection; for after the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
