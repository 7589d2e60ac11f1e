"""An empty store for each test, and a way to run scripts that are meant to die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.indexing import IndexStore

TESTS = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path) -> IndexStore:
    return IndexStore.create(tmp_path / "demo")


@pytest.fixture
def in_subprocess() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python script with this repository on the path; keyword arguments become environment variables."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
