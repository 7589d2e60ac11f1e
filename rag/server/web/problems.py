"""Errors as RFC 9457 problem JSON: one sentence, a status, and nothing of the machine behind it."""

from __future__ import annotations

import logging
import math
import re
import traceback
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rag.errors import IndexStateError, InputError, MissingDependencyError, RagError, StorageError

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("rag.server")
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:/[^\s/'\",;:()]+){2,}/?")


class Problem(Exception):  # noqa: N818 - the noun of RFC 9457
    """A refusal with its status; raised anywhere below a route, answered as problem JSON."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def busy(retry_after_s: float, detail: str) -> Problem:
    """429 with Retry-After, whole seconds and at least one."""
    return Problem(429, detail, headers={"Retry-After": str(max(1, math.ceil(retry_after_s)))})


def without_paths(message: str) -> str:
    """A message for strangers: of every path only the last name is left, and all on one line."""
    return _PATH.sub(lambda m: m[0].rstrip("/").rsplit("/", 1)[-1], " ".join(message.split()))


def problem_of(error: Exception) -> Problem:
    """What a caller may know of an error. What they may not is logged, without values: they may be patients' words."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, MissingDependencyError):
        return Problem(503, without_paths(str(error)))
    if isinstance(error, InputError):
        return Problem(422, without_paths(str(error)))
    log_failure(error)
    if isinstance(error, IndexStateError | StorageError):
        return Problem(503, "the index or its ledger cannot be used at the moment; the server's log says where")
    if isinstance(error, RagError):
        return Problem(503, "a part that answers are made with has failed; the server's log says which")
    return Problem(500, "something went wrong on the server; its log says where")


def log_failure(error: BaseException) -> None:
    """Log an error by its type and place, and what failed where that is a file, an index or a server.

    What else an error's message says may be what was asked.
    """
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    where = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames))
    what = ""
    if isinstance(error, RagError) and not isinstance(error, InputError):
        what = f": {' '.join(str(error).split())}"
    elif isinstance(error, OSError) and error.strerror:
        what = f": {error.strerror}"
    log.error("%s%s at %s", type(error).__name__, what, where)


def log_to_stderr() -> None:
    """Send the server's log, and the warnings of what it runs on, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("rag.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if not logger.handlers:
            logger.addHandler(handler)
        logger.propagate = False


def body_of(problem: Problem) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }


def response_to(problem: Problem, chat: bool = False) -> JSONResponse:
    """The problem as a response; chat clients also find it where OpenAI puts errors (an extension member)."""
    body = body_of(problem)
    if chat:
        body["error"] = {"message": problem.detail, "type": body["title"], "param": None, "code": problem.status}
    return JSONResponse(body, problem.status, problem.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every exception that reaches ``app`` with a problem."""

    def answered(request: Request, problem: Problem) -> JSONResponse:
        return response_to(problem, request.url.path.startswith("/v1/chat/"))

    async def ours(request: Request, error: Exception) -> JSONResponse:
        return answered(request, problem_of(error))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answered(request, Problem(error.status_code, _words(error), headers=dict(error.headers or {})))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answered(request, problem_of_fields(error.errors()))

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # there is nobody left to read it

    app.add_exception_handler(ClientDisconnect, gone)
    for kind in (Problem, RagError, Exception):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def problem_of_fields(errors: Any) -> Problem:
    """The first wrong field, by name; its value is not repeated."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if first["type"] == "json_invalid":
        return Problem(400, "the body is not valid JSON")
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, f"{where or 'the body'}: {first['msg'][:200]}{more}")


def _words(error: HTTPException) -> str:
    known = {
        404: "there is nothing at this address; the API is described in /openapi.json",
        405: "this address does not take that method; the Allow header lists those it takes",
    }
    return known.get(error.status_code) or str(error.detail)[:300]


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for problems that a route can answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    listed: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 403, 429, 500, 503, *statuses}):
        example = body_of(Problem(status, _EXAMPLES.get(status, HTTPStatus(status).phrase)))
        listed[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
        }
        if status == 429:
            listed[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return listed


PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence: what is wrong, and what to do."},
    },
}

_EXAMPLES = {
    400: "the body is not valid JSON",
    401: "this server asks for a key; send it as: Authorization: Bearer <key>",
    403: "the key lacks the scope 'admin'",
    404: "there is no index 'mine' here; GET /v1/indexes lists those there are",
    408: "nothing more of the body came for 30 seconds; send it again, whole",
    409: "the job is running; only interrupted, failed and cancelled jobs can be resumed",
    410: "the image is no longer what was recorded",
    413: "the body is larger than 32 MiB",
    415: "send application/json or multipart/form-data",
    422: "question: Field required",
    429: "128 questions are waiting already; try again later",
    500: "something went wrong on the server; its log says where",
    503: "the index or its ledger cannot be used at the moment; the server's log says where",
    504: "the question took longer than 60 s and was given up",
}
