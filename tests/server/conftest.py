"""Real servers on loopback, on copies of the small index."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from rag.server.run import bind
from rag.server.work.service import Service
from rag.settings import ServingSettings, Settings

NAMED_STUDY = "CXR2814"
QUESTION = f"Does study {NAMED_STUDY} show cardiomegaly?"


class Served(NamedTuple):
    """A running server, a client of it, and what it works on."""

    url: str
    client: httpx.Client
    service: Service
    folder: Path

    def metric(self, name: str, **labels: str) -> float:
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def running(
    folder: Path, tracer: Any = None, headers: dict[str, str] | None = None, **serving: Any
) -> Iterator[Served]:
    settings = Settings(indexes=folder, serving=ServingSettings.model_validate({"port": 0, **serving}))
    prepared = bind(settings, (), tracer)
    thread = threading.Thread(target=prepared.server.run, kwargs={"sockets": [prepared.listener]})
    thread.start()
    try:
        with httpx.Client(base_url=prepared.url, timeout=60, headers=headers) as client:
            yield Served(prepared.url, client, prepared.service, folder)
    finally:
        prepared.server.handle_exit(15, None)
        thread.join(60)
        prepared.listener.close()
        assert not thread.is_alive()


@pytest.fixture
def copied(copy_index: Callable[[Path], None], tmp_path: Path) -> Path:
    """A folder with a copy of the small index that a test may change."""
    copy_index(tmp_path / "served" / "small")
    return tmp_path / "served"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process, servers included, puts temporary files during a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def served(copy_index: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without keys, for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("served")
    copy_index(folder / "small")
    with running(folder) as one:
        yield one


Problem = Callable[..., str]


@pytest.fixture
def refused() -> Problem:
    """Asserts a problem: its status, its form, one line, and nothing of the server's disk; returns its sentence."""

    def check(response: httpx.Response, status: int, *words: str) -> str:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == status
        assert {"type", "title", "detail"} <= body.keys()
        detail: str = body["detail"]
        assert "\n" not in detail
        assert "Traceback" not in response.text
        for leak in ("/tmp", "/work", "/home", "site-packages", ".py", "clincite-"):
            assert leak not in response.text, response.text
        for word in words:
            assert word in detail, detail
        return detail

    return check
