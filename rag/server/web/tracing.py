"""OpenTelemetry traces: one span per request, with method, route, status and times. Never content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from starlette.types import Scope

from rag.errors import MissingDependencyError

Finish = Callable[[str, int], None]  # route and status


class Tracer(Protocol):
    """Somebody who notes that a request came and how it went."""

    def request(self, scope: Scope) -> Any: ...

    def close(self) -> None: ...


class Untraced:
    """Nobody looks."""

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Finish]:
        yield lambda route, status: None

    def close(self) -> None:
        return


class OpenTelemetry:
    """Spans sent to a collector by OTLP over HTTP, in batches and in the background."""

    def __init__(self, endpoint: str, exporter: Any = None) -> None:
        """``exporter`` takes the place of the one for ``endpoint``.

        Raises:
            MissingDependencyError: the extra is not installed.
        """
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            if exporter is None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

                exporter = OTLPSpanExporter(endpoint)
        except ImportError as error:
            raise MissingDependencyError('traces need OpenTelemetry: pip install "clincite[otel]"') from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": "clincite"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("rag.server")

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Finish]:
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            scope["method"][:10], kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:

            def finish(route: str, status: int) -> None:
                span.update_name(f"{scope['method'][:10]} {route}")
                span.set_attribute("http.request.method", scope["method"][:10])
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)

            yield finish

    def close(self) -> None:
        self._provider.shutdown()
