"""What is sent to a language model: two texts and some pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag.corpus.images import load_image
from rag.types import sha256_of

if TYPE_CHECKING:
    from PIL import Image

QUESTION_IMAGE = "The image that the question is about:"  # the label of its picture


@dataclass(frozen=True)
class Picture:
    """An image as a model is shown it: decoded, upright, RGB, scaled down, and nothing of the file but its pixels."""

    image: Image.Image
    label: str

    @classmethod
    def read(cls, path: str | Path, side: int, label: str) -> Picture:
        """The image file, neither side longer than ``side`` pixels.

        Raises:
            InputError: it is missing, damaged or too large.
        """
        from PIL.Image import Resampling

        image = load_image(path)
        image.thumbnail((side, side), Resampling.LANCZOS)
        return cls(image, label)

    @cached_property
    def png(self) -> bytes:
        stream = io.BytesIO()
        self.image.save(stream, format="PNG")
        return stream.getvalue()

    @property
    def data_url(self) -> str:
        """The picture inside a URL, as chat completions take it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"

    @cached_property
    def sha256(self) -> str:
        """Of size and pixels, so that another PNG encoder changes nothing."""
        return sha256_of(f"{self.image.size}{self.image.tobytes().hex()}")


@dataclass(frozen=True)
class Messages:
    """The instructions, and the user's turn: pictures, each after its label, then the text.

    ``weighed``: whether the probabilities of the answer's first word are wanted, where the model tells them.
    """

    system: str
    user: str
    pictures: Sequence[Picture] = ()
    weighed: bool = True

    @property
    def sha256(self) -> str:
        """Of all that is sent."""
        seen = "".join(f"{p.label}\n{p.sha256}\n" for p in self.pictures)
        return sha256_of(f"{self.system}\n\n{seen}\n{self.user}")
