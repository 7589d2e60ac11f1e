"""What an encoder is. Two vectors may be compared only when their encoders' fingerprints are equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Vectors = npt.NDArray[np.float32]


class TextEncoder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """Model id, hash of its weights, preprocessing."""
        ...

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """(n, dim) float32, L2-normalised. ``progress`` is told how many more texts are done."""
        ...


class ImageEncoder(Protocol):
    """Turns images into unit vectors."""

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode_images(self, images: Sequence[str | Path], *, progress: Callable[[int], None] | None = None) -> Vectors:
        """(n, dim) float32, L2-normalised, from image files.

        Raises:
            InputError: a file cannot be decoded; the message names it.
        """
        ...


@runtime_checkable
class ImageTextEncoder(ImageEncoder, Protocol):
    """An image encoder whose space holds texts as well (CLIP and its kin)."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, L2-normalised."""
        ...


@runtime_checkable
class PlaceEncoder(ImageTextEncoder, Protocol):
    """One that also tells the places of an image apart."""

    def encode_places(self, images: Sequence[Image.Image]) -> tuple[npt.NDArray[np.float32], Vectors]:
        """Places (n, rows, columns, dim) and whole images (n, dim) of square RGB images, float32, not normalised."""
        ...

    def trace_places(self, images: Sequence[Image.Image], texts: Vectors) -> npt.NDArray[np.float32]:
        """(n, texts, rows, columns) float32, 0 or more: what each image's similarity to each text depends on."""
        ...
