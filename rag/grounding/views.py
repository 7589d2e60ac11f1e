"""One map out of several looks at an image: squares that cover it, mirrored, and closer.

A model sees squares, images are none, and what is true of an image is true of its mirror image. So each look is put
back where it belongs, the map is the mean of those that saw a place, and where they disagree the model does not know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rag.grounding.base import Looker
from rag.grounding.boxes import boxes_in
from rag.grounding.region import Grounding, Heat, Method, Region

CANVAS = 96  # longest side of a map
UNSURE = 0.5  # uncertainty from which on a model cannot say where
_SQUARE = 1.15  # sides that differ by less are seen as one square, stretched
_MOST = 16  # squares along a strip
_SHORT = 640  # pixels of the short side that are looked at: no tower sees more of a square
_CLOSER = 0.75  # side of a closer look, of the image's short side
_FADE = 0.4  # of a view's side, over which it fades out
_FLAT = 1e-6
_SIDES = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b", re.I)


class View(NamedTuple):
    """A box of the image in shares of its sides, seen as a square; ``mirrored`` left to right."""

    x0: float
    y0: float
    x1: float
    y1: float
    mirrored: bool


class ViewGrounder:
    """A :class:`~rag.grounding.base.Grounder` from a model that maps squares."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

    @property
    def method(self) -> Method:
        return self._looker.method

    @property
    def fingerprint(self) -> str:
        return self._looker.fingerprint

    def ground(self, image: Image.Image, phrases: Sequence[str]) -> list[Grounding]:
        """See :class:`~rag.grounding.base.Grounder`. A side in a phrase changes with the mirror."""
        if not phrases:
            return []
        small = _reduced(image)
        views = views_of(*small.size, most=self._looker.views)
        maps = list[tuple[View, NDArray[np.float32]]]()
        for mirrored in (False, True):
            seen = [v for v in views if v.mirrored == mirrored]
            said = [mirror(p) for p in phrases] if mirrored else list(phrases)
            maps += zip(seen, self._looker.look([_cut(small, v) for v in seen], said), strict=True)
        return [self._joined(p, [(v, m[n]) for v, m in maps], small.size) for n, p in enumerate(phrases)]

    def _joined(self, phrase: str, maps: Sequence[tuple[View, Heat]], size: tuple[int, int]) -> Grounding:
        raw, unsure = join(maps, size)
        low, high = float(raw.min()), float(raw.max())
        region = Region(
            phrase=phrase, score=0, uncertainty=round(unsure, 4), method=self.method, model=self.fingerprint
        )
        if not math.isfinite(high - low) or high - low <= _FLAT * max(1.0, abs(high)):
            why = "to the model every place of the image is as much like the phrase as any other"
            return Grounding(region.withheld(why), np.zeros_like(raw))
        heat = ((raw - low) / (high - low)).astype(np.float32)
        boxes, score = boxes_in(heat)
        region = region.model_copy(update={"boxes": boxes, "score": round(score, 4)})
        if unsure >= UNSURE:
            region = region.withheld("views of the image (mirrored, closer) disagree about the place")
        return Grounding(region, heat)


def mirror(phrase: str) -> str:
    """The phrase as it is true of the mirror image.

    >>> mirror("Left pleural effusion"), mirror("drusen")
    ('right pleural effusion', 'drusen')
    """
    return _SIDE.sub(lambda side: _SIDES[side[0].lower()], phrase)


def views_of(width: int, height: int, most: int = 8) -> tuple[View, ...]:
    """Squares that cover the image, their mirror images, and as many closer looks at its corners as ``most`` allows.

    Whatever ``most`` is, the whole image is seen twice; of a strip longer than 16 squares, 16 are seen.
    """
    short, long = sorted((width, height))
    aspect = long / short
    count = 1 if aspect <= _SQUARE else min(_MOST, math.ceil(aspect))
    side = 1.0 if count == 1 else short / long
    starts = [(1 - side) * n / max(1, count - 1) for n in range(count)]
    whole = [(s, 0.0, s + side, 1.0) if width >= height else (0.0, s, 1.0, s + side) for s in starts]
    x, y = _CLOSER * short / width, _CLOSER * short / height
    closer = [(a, b, a + x, b + y) for b, a in product((0.0, 1 - y), (0.0, 1 - x))]
    views = [View(*box, mirrored) for box, mirrored in product(whole, (False, True))]
    # two of the four corners are seen in a mirror, so that both directions are looked at as often
    views += [View(*box, n in (1, 2)) for n, box in enumerate(closer) if 2 * len(whole) + n < most]
    return tuple(views)


def join(maps: Sequence[tuple[View, Heat]], size: tuple[int, int]) -> tuple[Heat, float]:
    """The mean of the maps on one canvas, and how little they agree, in [0, 1].

    Agreement is Pearson's correlation between a view's map and the mean of the others where they overlap, each less its
    mean there, pooled over the views: one that sees nothing has little to agree or disagree about.
    """
    scale = CANVAS / max(size)
    columns, rows = (max(2, round(side * scale)) for side in size)
    placed = [(*_placed(view, map_, columns, rows), _weight(view, columns, rows)) for view, map_ in maps]
    total, seen = np.zeros((rows, columns)), np.zeros((rows, columns))
    for where, patch, weight in placed:
        total[where] += patch * weight
        seen[where] += weight
    sums = np.zeros((2, 2))
    for where, patch, weight in placed:
        left = seen[where] - weight
        others = left > _FLAT
        if others.any():
            pair = np.stack([patch[others], (total[where] - patch * weight)[others] / left[others]])
            pair -= pair.mean(axis=1, keepdims=True)
            sums += pair @ pair.T
    norm = math.sqrt(sums[0, 0] * sums[1, 1])
    agreement = sums[0, 1] / norm if norm > 0 else 0.0
    covered = seen > 0
    mean = np.full_like(total, (total[covered] / seen[covered]).min())
    mean[covered] = total[covered] / seen[covered]
    return mean.astype(np.float32), float(np.clip(1 - agreement, 0, 1))


def _reduced(image: Image.Image) -> Image.Image:
    scale = _SHORT / min(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _cut(image: Image.Image, view: View) -> Image.Image:
    box = view.x0 * image.width, view.y0 * image.height, view.x1 * image.width, view.y1 * image.height
    side = max(1, min(image.size))
    square = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else square


def _placed(view: View, map_: Heat, columns: int, rows: int) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """A view's map at its place on the canvas, the right way round."""
    left, right = _pixels(view.x0, view.x1, columns)
    top, bottom = _pixels(view.y0, view.y1, rows)
    upright = np.ascontiguousarray(map_[:, ::-1] if view.mirrored else map_, dtype=np.float32)
    patch = Image.fromarray(upright).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    return (slice(top, bottom), slice(left, right)), np.asarray(patch, dtype=np.float64)


def _weight(view: View, columns: int, rows: int) -> NDArray[np.float64]:
    """What a view counts at each of its places: less towards edges inside the image, which would show as seams."""

    def along(low: float, high: float, count: int) -> NDArray[np.float64]:
        first, last = _pixels(low, high, count)
        place = (np.arange(last - first) + 0.5) / (last - first)
        begin = place if low > 0 else np.ones_like(place)
        end = 1 - place if high < 1 - _FLAT else np.ones_like(place)
        return np.minimum(1, np.minimum(begin, end) / _FADE)

    return np.outer(along(view.y0, view.y1, rows), along(view.x0, view.x1, columns))


def _pixels(low: float, high: float, count: int) -> tuple[int, int]:
    first = min(count - 1, max(0, round(low * count)))
    return first, max(first + 1, min(count, round(high * count)))
