"""Collections in their published layouts, with synthetic content, and settings without models."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings

PUBLISHED = Path(__file__).parents[1] / "data" / "published"


@pytest.fixture(scope="session")
def published() -> Path:
    """One folder a collection, each laid out as it was published."""
    return PUBLISHED


@pytest.fixture(scope="session")
def quick() -> Settings:
    """Fake encoders; the reader answers."""
    return Settings.model_validate({"encoders": {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}})
