"""What was asked and who it is about stays in the ledger: not in logs, metrics or traces, whatever goes wrong."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rag.server.web.tracing import OpenTelemetry

from .conftest import running

PLANTED = ("Wilhelmina", "Quackenbush", "1931-07-04")
ASKED = f"Does {PLANTED[0]} {PLANTED[1]}, born {PLANTED[2]}, have drusen?"


def test_planted_names_are_in_no_log_metric_or_trace(
    copied: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = trace.InMemorySpanExporter()
    caplog.set_level(logging.DEBUG)
    name = "-".join(PLANTED)
    with running(copied, tracer=OpenTelemetry("", exporter)) as one:
        client = one.client
        assert client.post("/v1/answers", json={"question": ASKED}).status_code == 200
        client.post("/v1/answers", json={"question": ASKED, "stream": True})
        client.post("/v1/answers", json={"question": ASKED, "study": name})
        client.post("/v1/answers", json={"question": ASKED, name: 1})
        client.post("/v1/answers", data={"question": ASKED}, files={"image": (f"{name}.png", b"x")})
        client.post("/v1/search", json={"question": ASKED})
        client.post("/v1/batch", json={"questions": [{"question": ASKED}]})
        client.post("/v1/chat/completions", json={"model": "small", "messages": [{"role": "user", "content": ASKED}]})
        client.get(f"/v1/indexes/{name}")
        client.get(f"/v1/answers/{name}", params={"q": name})
        client.get(f"/{name}")
        client.request(name[:8].upper(), "/v1/answers")
        case = json.dumps({"id": name, "text": f"{ASKED} None.", "group": name}).encode()
        job = client.post("/v1/indexes/small/ingest", files={"file": (f"{name}.jsonl", case)}).json()
        client.get(f"/v1/jobs/{job['id']}/events")
        engine = one.service.index("small").engine

        def broken(*_: Any, **__: Any) -> Any:
            raise ValueError(ASKED)

        engine.ask_many, engine.stream, engine.search = broken, broken, broken  # type: ignore[method-assign]
        assert client.post("/v1/answers", json={"question": ASKED}).status_code == 500
        client.post("/v1/answers", json={"question": ASKED, "stream": True})
        assert client.post("/v1/search", json={"question": ASKED}).status_code == 500
        with contextlib.suppress(Exception):
            client.get("/metrics", headers={"host": name})
        metrics = client.get("/metrics").text
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    own = "".join(r.getMessage() + (r.exc_text or "") for r in caplog.records if not r.name.startswith("httpcore"))
    own = "".join(line for line in own.splitlines() if "HTTP Request" not in line)  # the test's own client
    assert "/v1/answers" in metrics
    assert "/v1/answers" in spans
    out, err = capfd.readouterr()
    for planted in PLANTED:
        for where, text in {"metrics": metrics, "traces": spans, "logs": own, "output": out + err}.items():
            assert planted not in text, where
    assert '"http.route": "/v1/answers"' in spans
