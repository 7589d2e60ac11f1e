"""Random views of images, and what the frozen stages of the image tower make of them, computed once.

The cache is a memory-mapped array in the folder of the run. It is filled in order and says how far it is, so that an
interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from rag.corpus.images import load_image
from rag.encoders.runtime import torch
from rag.training.retriever.recipe import Recipe
from rag.training.retriever.towers import Towers
from rag.training.views import random_view

_BATCH = 32


class FeatureCache:
    """(images, 1 + views, …) output of the frozen stages, in half precision; of unfrozen towers the 8-bit pixels.

    View 0 is the image as it is searched by, the others are random.
    """

    def __init__(
        self, folder: Path, name: str, images: Sequence[str], views: int, towers: Towers, recipe: Recipe
    ) -> None:
        self._array, self._done = folder / f"{name}.npy", folder / f"{name}.json"
        self._images, self._views, self._towers, self._recipe = images, views, towers, recipe
        self._transform = _transform(towers.model)
        self._data: Any = None
        self.seconds = 0.0  # that filling took, in all processes that did

    def fill(self, tell: Callable[[int], None]) -> None:
        """Compute what is missing. ``tell`` is told how many more images are done.

        Raises:
            InputError: an image cannot be decoded; the message names it.
        """
        done, earlier = json.loads(self._done.read_text()) if self._done.exists() else (0, 0.0)
        clock = time.monotonic()
        tell(done)
        for start, batch in self._decoded(done):
            pixels = torch().stack([view for views in batch for view in views])
            values = self._stored(pixels)
            values = values.reshape(len(batch), -1, *values.shape[1:])
            if self._data is None:
                self._data = self._open(values) if not start else np.load(self._array, mmap_mode="r+")
            self._data[start : start + len(batch)] = values
            self._data.flush()
            self.seconds = earlier + time.monotonic() - clock
            _write(self._done, [start + len(batch), self.seconds])
            tell(len(batch))
        self.seconds = earlier + time.monotonic() - clock
        self._data = np.load(self._array, mmap_mode="r")

    def get(self, rows: Sequence[int] | np.ndarray, views: Sequence[int] | np.ndarray) -> Any:
        """Float32 features of these (image, view) pairs, as the trained stages want them."""
        values = torch().from_numpy(np.stack([self._data[r, v] for r, v in zip(rows, views, strict=True)])).float()
        if self._towers.sees_pixels:
            mean, std = _statistics(self._towers.model)
            values = (values / 255 - mean) / std
        return values.contiguous(memory_format=torch().channels_last) if values.ndim == 4 else values

    def _open(self, like: np.ndarray) -> Any:
        shape = (len(self._images), *like.shape[1:])
        return np.lib.format.open_memmap(self._array, mode="w+", dtype=like.dtype, shape=shape)

    def _stored(self, pixels: Any) -> np.ndarray:
        if not self._towers.sees_pixels:
            return np.asarray(self._towers.frozen_images(pixels).half().numpy())
        mean, std = _statistics(self._towers.model)
        return np.asarray(((pixels * std + mean) * 255).round().clamp(0, 255).to(torch().uint8).numpy())

    def _decoded(self, done: int) -> Iterator[tuple[int, list[list[Any]]]]:
        with ThreadPoolExecutor(2) as pool:
            for start in range(done, len(self._images), _BATCH):
                yield start, list(pool.map(self._decode, range(start, min(start + _BATCH, len(self._images)))))

    def _decode(self, row: int) -> list[Any]:
        image = load_image(self._images[row])
        draws = (np.random.default_rng([self._recipe.seed, row, view]) for view in range(self._views))
        views = [image, *(random_view(image, self._recipe, draw) for draw in draws)]
        return [self._transform(view) for view in views]


def _transform(model: Any) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)


def _statistics(model: Any) -> tuple[Any, Any]:
    cfg = model.visual.preprocess_cfg
    mean, std = (torch().tensor(cfg[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    return mean, std


def _write(file: Path, value: object) -> None:
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps(value))
    aside.replace(file)
