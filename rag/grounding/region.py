"""Regions: what a model says about where a phrase is in an image."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rag.types import Noun

Method = Literal["similarity", "gradient", "attention"]
Heat = NDArray[np.float32]
_SIDE = 512  # longest side of a map that is written out, in pixels
_COLOUR = (255, 140, 0)


class Box(Noun):
    """A box in shares of the image's width and height, from its top left corner: 0 <= x0 < x1 <= 1, likewise y."""

    x0: float = Field(ge=0, le=1)
    y0: float = Field(ge=0, le=1)
    x1: float = Field(ge=0, le=1)
    y1: float = Field(ge=0, le=1)
    heat: float = Field(ge=0, le=1, description="Mean of the map inside it.")


class Region(Noun):
    """Where one phrase is in one image, as far as a model can say; nobody has checked it.

    >>> region = Region(phrase="nodule", score=0.6, uncertainty=0.9, method="gradient", model="compact:32aedc5e:1")
    >>> region.withheld("views of the image disagree").cannot_say
    'views of the image disagree'
    """

    phrase: str
    boxes: tuple[Box, ...] = Field((), description="The most heat first; none where the model cannot say where.")
    score: float = Field(ge=0, le=1, description="How far the boxes stand out: mean of the map inside, less outside.")
    uncertainty: float = Field(
        ge=0, le=1, description="How little views of the image (mirrored, closer) agree: 0 wholly, 1 not at all."
    )
    cannot_say: str | None = Field(None, description="Why no place is given; null where boxes are.")
    standing: str = Field("", description="What was measured of this model in this domain, in a sentence.")
    method: Method
    model: str = Field(description="Fingerprint of the model that looked.")

    def withheld(self, why: str) -> Region:
        """The same without a place."""
        return self.model_copy(update={"boxes": (), "cannot_say": why})


@dataclass(frozen=True)
class Grounding:
    """A region with the map that it was drawn from: heat (rows, columns) in [0, 1] over the whole image."""

    region: Region
    heat: Heat

    def with_region(self, region: Region) -> Grounding:
        return replace(self, region=region)

    def png(self, width: int, height: int) -> bytes:
        """The map as a PNG of the image's proportions, to be laid over it: one colour, its opacity the heat."""
        from PIL import Image

        scale = _SIDE / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        heat = Image.fromarray(np.clip(self.heat, 0, 1)).resize(size, Image.Resampling.BILINEAR)
        picture = Image.new("RGBA", size, (*_COLOUR, 0))
        picture.putalpha(Image.fromarray(np.rint(np.asarray(heat) * 255).astype(np.uint8)))
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        return stream.getvalue()
