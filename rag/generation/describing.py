"""What a model can say of an image besides yes and no, as far as it was measured how often that is right.

A model's folder may hold ``describes.json``: fixed questions with the answers that count and what they mean. An answer
that is not listed says nothing. How often the listed ones were right, on images that the model had not seen, comes with
them and is told with each answer: without it nothing is said.

    {"format": 1, "of": [{"domain": "radiology", "question": "What organ system is imaged?", "text": "It looks like an
      image of {}", "means": {"brain": "the head"}, "right": 0.93, "images": 110, "measured_on": "VQA-RAD"}]}
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import InputError
from rag.generation.compact_lvlm.parts import ModelParts

FILE = "describes.json"


class ImageDescription(BaseModel):
    """One thing that a model can tell of an image of a domain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str
    question: str = Field(description="As the model is asked.")
    text: str = Field(description="The sentence, with {} where what is told belongs.", pattern=r"\{\}")
    means: dict[str, str] = Field(description="From a word of the model's answer, in lower case, to what is told.")
    right: float = Field(ge=0, le=1, description="Share of what was told that was right.")
    images: int = Field(ge=1, description="Images, each of another patient, for which something was told.")
    measured_on: str

    def told(self, answer: str) -> str | None:
        """The sentence for a model's answer; None where that means nothing, or several things."""
        said = answer.lower()
        found = {meaning for word, meaning in self.means.items() if word in said}
        if len(found) != 1:
            return None
        return f"{self.text.format(found.pop())} (which was right for {self.right:.0%} of {self.images} images)."


class Descriptions(BaseModel):
    """The parsed file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    of: tuple[ImageDescription, ...]


@lru_cache(maxsize=8)
def descriptions_of(model: str | None) -> tuple[ImageDescription, ...]:
    """What a model can tell; nothing where nobody measured it.

    Raises:
        InputError: the file is damaged.
    """
    parts = ModelParts.find(model) if model else None
    folder = parts.folder if parts is not None else Path(model or "")
    path = folder / FILE
    if not model or not path.is_file():
        return ()
    try:
        return Descriptions.model_validate_json(path.read_bytes()).of
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} is damaged, so nobody can tell what the model can describe; copy it again") from error
