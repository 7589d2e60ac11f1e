"""What all nouns have in common."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict


class Noun(BaseModel):
    """Base of the travelling models: frozen, and unknown fields are an error."""

    # Of what is parsed only keys come again: values would push one another out of pydantic's cache of strings.
    # Each is made ready when it is first used: a question needs few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys", defer_build=True)


def sha256_of(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
