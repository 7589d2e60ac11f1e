"""A ledger, and images to ask about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rag.audit.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def image(tmp_path: Path) -> Callable[[str], str]:
    """Makes an image file of a colour and gives its path."""

    def make(colour: str = "red") -> str:
        from PIL import Image

        path = tmp_path / "given" / f"{colour}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(path)
        return str(path)

    return make
