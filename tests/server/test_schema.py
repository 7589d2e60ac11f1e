"""The whole API against its own description: schemathesis finds no 5xx and no status that is not documented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import running

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def test_no_request_breaks_the_server_or_its_description(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    with running(copied) as one:  # but for the events of a job, which end when the job does
        one.service.jobs._start = lambda identity: None  # type: ignore[method-assign] # queued; their work is tested elsewhere
        program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
        options = ["--max-examples", "5", "--seed", "1", "--generation-database", "none", "--checks", ",".join(CHECKS)]
        options += ["--phases", "examples,coverage,fuzzing", "--exclude-path", "/v1/jobs/{id}/events"]
        run = [*program, "run", f"{one.url}/openapi.json", *options]
        done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        answers = one.metric("clincite_answers_total", index="small", decision="answered")
        assert answers > 5  # it asked in earnest, not only nonsense


def test_every_operation_has_a_summary_an_example_and_its_problems(copied: Path) -> None:
    with running(copied) as one:
        document = httpx.get(f"{one.url}/openapi.json").json()
    assert json.dumps(document).count("not a medical device")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            if path.startswith("/v1/"):
                assert {"401", "403", "429", "503"} <= operation["responses"].keys(), (path, method)
                problem = operation["responses"]["401"]["content"]["application/problem+json"]
                assert problem["example"]["status"] == 401
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                assert content["application/json"]["example"], path
