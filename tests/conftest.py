"""What the tests share: real data where it is present, and indexes built once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_configure(config: pytest.Config) -> None:
    # two workers on two cores: one thread of linear algebra each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def lexicon():  # type: ignore[no-untyped-def]
    from rag.findings.lexicon import Lexicon

    return Lexicon.load()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data for tests, beside the repository; skips where it is absent."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data for tests (../shared/data) is not here")
    return folder
