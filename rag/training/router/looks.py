"""Other looks of a training image: as another laboratory's stain, another camera or another archive would give it.

A router that has seen the slides of one laboratory takes its pink for what a slide is. So each training image is also
seen with the stain, colour, scanner and compression of nobody in particular, drawn by chance:

- *stain*, of domains whose images are stained (``stained`` in domains.toml): the image is taken apart into
  haematoxylin, eosin and DAB by their absorption (Ruifrok and Johnston 2001) and put together again with other amounts
  (Tellez et al. 2019); in some looks eosin is replaced by DAB's brown, as in immunohistochemistry, or the colours of
  the dyes themselves are drawn anew.
- *colour*: gain of each channel, saturation; greyscale stays grey.
- *scanner*: part of the field, contrast, brightness curve, fewer pixels, blur, noise.
- *compression*: JPEG of a drawn quality.

scikit-image has no more of this than taking stains apart, three lines, and is no dependency of training.

    chance = np.random.default_rng(0)
    other = draw_look(load_image("slide.png"), chance, stained=True)
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

from rag.corpus.images import load_image
from rag.training.views import random_view

# Optical density of haematoxylin, eosin and DAB in red, green and blue; unit rows (Ruifrok and Johnston 2001, table 1).
_DYES = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DYES = _DYES / np.linalg.norm(_DYES, axis=1, keepdims=True)
_GREY = 10  # greatest mean difference between the channels of an image that has no colour
_SIDE = 384  # longer sides are shrunk first: no tower of ours sees more


@dataclass(frozen=True)
class _Field:
    """How far the part of the image and its contrast vary; see :class:`rag.training.views.Variation`."""

    crop: float = 0.4
    rotation: float = 0.0
    contrast: float = 0.25


def draw_look(image: Image.Image, chance: np.random.Generator, *, stained: bool = False) -> Image.Image:
    """One other look of an RGB image; its size may differ. The same state of ``chance`` gives the same pixels."""
    image = image.copy()
    image.thumbnail((_SIDE, _SIDE))
    if _colour(image) > _GREY:
        if stained and chance.random() < 0.8:
            image = _restained(image, chance)
        image = _recoloured(image, chance)
    image = _rescanned(random_view(image, _Field(), chance), chance)
    return _compressed(image, int(chance.integers(25, 96)))


def write_looks(files: Sequence[str], n: int, folder: Path, *, seed: int = 0, stained: bool = False) -> Iterator[Path]:
    """``n`` looks of each file as PNG in ``folder``, those of the first file first.

    They depend on the seed and on a file's name; not on where it lies, nor on which others there are.

    Raises:
        InputError: a file cannot be decoded; the message names it.
    """
    for i, file in enumerate(files):
        image = load_image(file)
        for k in range(n):
            chance = np.random.default_rng([seed, k, zlib.crc32(Path(file).name.encode())])
            path = folder / f"{i}-{k}.png"
            draw_look(image, chance, stained=stained).save(path, compress_level=1)
            yield path


def _colour(image: Image.Image) -> float:
    pixels = np.asarray(image, dtype=np.int16)
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean())


def _restained(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    density = -np.log((np.asarray(image, dtype=np.float64) + 1.0) / 256.0)  # Beer and Lambert
    amounts = density @ np.linalg.inv(_DYES) * chance.uniform(0.6, 1.5, 3) + chance.uniform(-0.05, 0.05, 3)
    dyes, kind = _DYES, chance.random()
    if kind < 0.3:  # what eosin had marked is brown
        amounts[..., 2] += amounts[..., 1] * chance.uniform(0.6, 1.2)
        amounts[..., 1] *= chance.uniform(0.0, 0.3)
    elif kind < 0.6:  # another dye, or the same one from another bottle
        dyes = np.clip(_DYES + chance.normal(0, 0.2, (3, 3)), 0.02, None)
        dyes = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    return _image(256.0 * np.exp(-amounts @ dyes) - 1.0)


def _recoloured(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    image = ImageEnhance.Color(image).enhance(float(chance.uniform(0.6, 1.4)))
    return _image(np.asarray(image, dtype=np.float64) * chance.uniform(0.85, 1.15, 3))


def _rescanned(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    pixels = (np.asarray(image, dtype=np.float64) / 255.0) ** chance.uniform(0.7, 1.4)
    noise = chance.uniform(0.0, 0.04) * (chance.random() < 0.5)
    image = _image(255.0 * (pixels + chance.normal(0, 1, (*pixels.shape[:2], 1)) * noise))
    if chance.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.2, 1.5))))
    if chance.random() < 0.5:
        share = chance.uniform(0.3, 1.0)
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    with Image.open(written, formats=("JPEG",)) as read:
        return read.convert("RGB")


def _image(pixels: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))
