"""Other looks at the same image, to learn from: a random part of it, and one that is drowned in noise."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from PIL import Image, ImageEnhance


class Variation(Protocol):
    """How far views differ; fields of a recipe."""

    @property
    def crop(self) -> float:
        """Smallest share of the image's square that a view shows, in (0, 1]."""
        ...

    @property
    def rotation(self) -> float:
        """Most degrees that a view is turned."""
        ...

    @property
    def contrast(self) -> float:
        """Most relative change of contrast and of brightness, in [0, 1)."""
        ...


def random_view(image: Image.Image, recipe: Variation, draw: np.random.Generator) -> Image.Image:
    """The image turned a little, with other contrast and brightness, and a random nearly square part of it.

    It is never mirrored: left and right, and up and down, mean something in medicine.
    """
    contrast, brightness = 1 + draw.uniform(-recipe.contrast, recipe.contrast, 2)
    angle, area, shape, x, y = draw.uniform(
        [-recipe.rotation, recipe.crop, -0.15, 0, 0], [recipe.rotation, 1, 0.15, 1, 1]
    )
    side, stretch = min(image.size) * area**0.5, float(np.exp(shape / 2))
    width = max(1, min(image.width, round(side * stretch)))
    height = max(1, min(image.height, round(side / stretch)))
    left, top = round(x * (image.width - width)), round(y * (image.height - height))
    view = image.rotate(angle, Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return ImageEnhance.Brightness(ImageEnhance.Contrast(view).enhance(contrast)).enhance(brightness)


def drown_in_noise(image: Image.Image, draw: np.random.Generator, left: float = 0.08) -> Image.Image:
    """``left`` of the image and the rest uniform noise: nothing can be told from it (after MMed-RAG, section 3.4)."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    noise = draw.uniform(0, 255, pixels.shape)
    return Image.fromarray((left * pixels + (1 - left) * noise).round().astype(np.uint8))
