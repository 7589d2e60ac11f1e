"""The application: routes, the layers around them, and the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from rag.server.access.auth import Authenticator
from rag.server.routes import answers, audit, chat, cohorts, history, images, indexes, jobs, regions, studies, system
from rag.server.web import problems
from rag.server.web.guard import Guard
from rag.server.web.openapi import describe_api
from rag.server.web.tracing import OpenTelemetry, Tracer, Untraced
from rag.server.work.service import Service

PAGE = Path(__file__).parent / "page"


def create_app(service: Service, tracer: Tracer | None = None, stopping: asyncio.Event | None = None) -> ASGIApp:
    """The server as an ASGI application; see ``rag.server.run`` for serving it.

    Args:
        service: what is served; opened here unless it has been.
        tracer: who traces requests, in place of what ``serving.otlp_endpoint`` names.
        stopping: set when the server is to stop, so that nobody goes on following a job.

    Raises:
        InputError: the file of keys cannot be used.
        MissingDependencyError: traces are asked for and OpenTelemetry is not installed.
    """
    serving, auth = service.settings.serving, Authenticator(service.settings.serving)
    traced = tracer or (OpenTelemetry(serving.otlp_endpoint) if serving.otlp_endpoint else Untraced())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(_unheard)
        if not service.ready:
            await run_in_threadpool(service.open)
        try:
            yield
        finally:
            app.state.stopping.set()
            await run_in_threadpool(service.close)
            await run_in_threadpool(traced.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service, app.state.auth, app.state.stopping = service, auth, stopping or asyncio.Event()
    shown = "demo" if auth.required else service.names[0]  # the description is for strangers, too
    app.openapi = lambda: describe_api(app, shown)  # type: ignore[method-assign]
    problems.install(app)
    for module in (answers, regions, history, images, cohorts, audit, studies, indexes, jobs, chat, system):
        app.include_router(module.router)
    _add_page(app)
    inner: ASGIApp = app
    if serving.cors_origins:
        inner = CORSMiddleware(
            app,
            allow_origins=serving.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    return Guard(inner, serving, service.metrics, traced)


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error that nobody waited for: logged as all others are, without its message."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        problems.log_failure(error)


def _add_page(app: FastAPI) -> None:
    """The page at '/', where it is installed."""
    if not (PAGE / "index.html").is_file():
        return
    if (PAGE / "static").is_dir():
        app.mount("/static", _Revalidated(directory=PAGE / "static"), name="page")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


class _Revalidated(StaticFiles):
    """Files that browsers ask about each time, so that an upgrade never mixes old and new modules."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
