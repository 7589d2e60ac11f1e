"""Real corpora, read once; tests that use them skip, with the reason, where their package is absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.errors import MissingDependencyError
from rag.types import Document

Split = tuple[list[Document], list[Quarantined]]


def split(records: object) -> Split:
    """Documents and quarantined records, apart."""
    everything = list(records)  # type: ignore[call-overload]
    return [r for r in everything if isinstance(r, Document)], [r for r in everything if isinstance(r, Quarantined)]


def _real(name: str) -> Split:
    try:
        return split(read_source(name))
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def openi() -> Split:
    return _real("openi")


@pytest.fixture(scope="session")
def hpo() -> Split:
    return _real("hpo")


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small image under tmp_path and gives its path."""

    def write(name: str = "scan.png", size: tuple[int, int] = (12, 8), mode: str = "RGB") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, 90 if mode in ("L", "I;16") else (200, 30, 30)).save(path)
        return path

    return write
