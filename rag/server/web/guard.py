"""The outermost layer: what every request passes and every response carries.

It refuses foreign Host headers (DNS rebinding), writing requests that another site's page has sent, and bodies beyond
their bound; adds the security headers; counts, times and logs. Logs name routes, never addresses: a query string or a
path may hold what was asked.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.server.web.metrics import Metrics
from rag.server.web.patience import timely
from rag.server.web.problems import Problem, problem_of, response_to
from rag.server.web.tracing import Tracer
from rag.settings import ServingSettings

log = logging.getLogger("rag.server")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE = ("GET", "HEAD", "OPTIONS")
_CSP = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    return host in LOOPBACK or host.startswith("127.")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: ServingSettings, metrics: Metrics, tracer: Tracer) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._tracer = tracer
        self._hosts: Sequence[str] = settings.allowed_hosts or (LOOPBACK if is_loopback(settings.host) else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, begin, status = Headers(scope=scope), time.perf_counter(), 0
        request_id = secrets.token_hex(8)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message), scope, request_id)
            await send(message)

        with self._tracer.request(scope) as span:
            try:
                self._check(scope, headers)
                await self._app(scope, self._bounded(scope, headers, receive), sending)
            except Exception as error:
                if status == 0:  # nothing has been sent yet
                    await response_to(problem_of(error))(scope, receive, sending)
            finally:
                self._count(scope, status, time.perf_counter() - begin, request_id)
                span(route_of(scope), status)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            raise Problem(421, "this server does not answer under that name; see serving.allowed_hosts")
        origin = headers.get("origin")
        if scope["method"] in _SAFE or origin is None:
            return
        own = origin.partition("://")[2] == headers.get("host")
        if not own and origin not in self._settings.cors_origins:
            raise Problem(403, "pages of other sites may not call this server; see serving.cors_origins")

    def _bounded(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body as soon as it is known to be too large, by its own word or by counting, and when it stops."""
        mib = self._settings.max_body_mib
        if scope["path"].startswith("/v1/indexes/") and scope["path"].endswith("/ingest"):
            mib = self._settings.max_upload_mib
        receive = timely(receive, self._settings.silence_s)
        left, problem = mib << 20, HTTPException(413, f"the body is larger than {mib} MiB")
        if headers.get("content-length", "0").isdecimal() and int(headers.get("content-length", "0")) > left:
            raise Problem(413, f"the body is larger than {mib} MiB")

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise problem
            return message

        return counted

    def _complete(self, headers: MutableHeaders, scope: Scope, request_id: str) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if scope["path"].startswith("/v1/"):
            headers.setdefault("Cache-Control", "no-store")
        headers["X-Request-Id"] = request_id

    def _count(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route, method = route_of(scope), scope["method"]
        method = method if method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS") else "other"
        self._metrics.requests.labels(method, route, str(status or 499)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        log.info("%s %s %s %d %.0f ms", request_id, method, route, status or 499, seconds * 1000)


def _host_name(header: str) -> str | None:
    """The name in a Host header, without its port; None where there is none to be had."""
    try:
        return None if "@" in header else urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def route_of(scope: Scope) -> str:
    """The pattern of the route, of which there are few; 'unmatched' or 'page' elsewhere."""
    if scope["path"] == "/openapi.json":
        return "/openapi.json"
    route = scope.get("route")
    path = getattr(route, "path", None)
    if isinstance(path, str) and path.startswith(("/v1/", "/healthz", "/readyz", "/metrics")):
        return path
    return "page" if route is not None or scope["path"] == "/" or scope["path"].startswith("/static/") else "unmatched"
