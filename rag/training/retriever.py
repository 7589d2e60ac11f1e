"""Training a retriever: images and the texts of their cases move together in one space."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoders.runtime import torch
from rag.progress import Progress
from rag.training import foundation, gradcache
from rag.training.captions import vary
from rag.training.concepts import Concepts
from rag.training.examples import Example, Parts, keys
from rag.training.features import FeatureCache
from rag.training.losses import contrastive, matches, soften
from rag.training.recall import rank
from rag.training.recipe import Recipe
from rag.training.state import RunFolder
from rag.training.towers import Towers

_COLDEST = 0.01  # the temperature never falls below it, as in CLIP
_EVALUATED = 64  # images per forward pass without a gradient


@dataclass(slots=True)
class Trained:
    """What a run has come to: one recall on dev per epoch, the best epoch (from 0), and the seconds that all took."""

    dev_recall: list[float] = field(default_factory=list)
    best_epoch: int = -1
    seconds: float = 0.0


def train(parts: Parts, recipe: Recipe, run: RunFolder, progress: Progress) -> Trained:
    """Train on ``parts.train``, stop by the recall on ``parts.dev``, and write the best epoch's model into ``run.out``.

    A run that was killed goes on from its last complete epoch, to the same weights as one that was not.

    Raises:
        InputError: the base cannot be trained, or an image cannot be decoded.
        MissingDependencyError: a library or the base is not installed.
    """
    clock = time.monotonic()
    model, tokenizer, config = foundation.load(recipe)
    session = _Session(Towers(model, tokenizer, recipe), parts, recipe, run.path, progress)
    trained, best = Trained(), session.weights()
    if saved := run.load():
        trained, best = Trained(**saved["trained"]), saved["best"]
        session.restore(saved["weights"], saved["optimizer"])
    earlier = trained.seconds
    while (epoch := len(trained.dev_recall)) < recipe.epochs and epoch - trained.best_epoch <= recipe.patience:
        session.learn(epoch, progress)
        trained.dev_recall.append(session.dev_recall())
        if trained.dev_recall[-1] > max(trained.dev_recall[:-1], default=-1.0):
            trained.best_epoch, best = epoch, session.weights()
        trained.seconds = earlier + time.monotonic() - clock
        run.save(
            {
                "trained": asdict(trained),
                "best": best,
                "weights": session.weights(),
                "optimizer": session.optimizer.state_dict(),
            }
        )
    session.restore(best)
    foundation.save(model, config, recipe, run.out)
    return trained


class _Session:
    """Towers, data and optimiser of one run. Every random draw follows from the seed and the epoch alone."""

    def __init__(self, towers: Towers, parts: Parts, recipe: Recipe, folder: Path, progress: Progress) -> None:
        self._towers, self._recipe, self._train, self._dev = towers, recipe, parts.train, parts.dev
        self._views = FeatureCache(folder, "train", _images(parts.train), recipe.views, towers, recipe)
        self._dev_views = FeatureCache(folder, "dev", _images(parts.dev), 0, towers, recipe)
        for cache, images in ((self._views, parts.train), (self._dev_views, parts.dev)):
            cache.fill(progress.stage("looking at images", len(images)))
        self._keys, self._dev_keys = keys(parts.train), keys(parts.dev)
        self._concepts = Concepts(parts.train)
        self._pooled = self._pool(progress) if towers.text_is_frozen else {}
        self._groups = list(towers.groups())
        self.optimizer = torch().optim.AdamW(
            [
                {"params": [p], "lr": group.rate, "weight_decay": recipe.weight_decay if p.ndim > 1 else 0.0}
                for group in self._groups
                for p in group.parameters
            ],
            betas=(0.9, 0.98),
        )
        self._rates = [options["lr"] for options in self.optimizer.param_groups]

    @property
    def _parameters(self) -> list[Any]:
        return [p for group in self._groups for p in group.parameters]

    def weights(self) -> list[Any]:
        """Copies of the trained parameters, in the order of their groups."""
        return [p.detach().clone() for p in self._parameters]

    def restore(self, weights: Sequence[Any], optimizer: dict[str, Any] | None = None) -> None:
        with torch().no_grad():
            for parameter, value in zip(self._parameters, weights, strict=True):
                parameter.copy_(value)
        if optimizer is not None:
            self.optimizer.load_state_dict(optimizer)

    def learn(self, epoch: int, progress: Progress) -> None:
        """One pass over the training images, in batches that differ by at most one image in size."""
        library, recipe = torch(), self._recipe
        draw = np.random.default_rng([recipe.seed, epoch])
        library.manual_seed(recipe.seed * 10_007 + epoch)
        n = len(self._train)
        batches = np.array_split(draw.permutation(n), max(1, round(n / recipe.batch_size)))
        total = len(batches) * recipe.epochs
        tell = progress.stage(f"epoch {epoch + 1} of at most {recipe.epochs}", n)
        for step, rows in enumerate(batches, start=epoch * len(batches)):
            for options, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                options["lr"] = rate * _schedule(step / total, recipe.warmup)
            self._step(rows, draw)
            tell(len(rows))

    def _step(self, rows: np.ndarray, draw: np.random.Generator) -> None:
        library, recipe, towers = torch(), self._recipe, self._towers
        # One row of each text: what its copies would do to the loss is said there.
        _, first = np.unique(self._keys[rows], return_index=True)
        texts = rows[np.sort(first)]
        features = self._views.get(rows, draw.integers(0, max(1, recipe.views), len(rows)))
        words = [vary(self._train[row].text, recipe.sentences, draw) for row in texts]
        positives = matches(*(library.from_numpy(self._keys[chosen]) for chosen in (rows, texts)))
        share = recipe.concepts if self._concepts.any else 0.0
        targets = soften(positives, self._concepts.cosines(rows, texts), share)
        scale = towers.model.logit_scale

        def loss(image_vectors: Any, text_vectors: Any) -> Any:
            return contrastive(image_vectors, text_vectors, scale.exp(), targets)

        self.optimizer.zero_grad()
        images: tuple[Callable[[Any], Any], Any] = (lambda x: towers.images(x, True), features)
        gradcache.backward([images, (lambda x: self._texts(x, True), words)], loss, recipe.chunk, [scale])
        library.nn.utils.clip_grad_norm_(self._parameters, recipe.clip)
        self.optimizer.step()
        with library.no_grad():
            scale.clamp_(max=float(np.log(1 / _COLDEST)))

    def dev_recall(self) -> float:
        """R@1, R@5 and R@10 of both directions on the dev images, averaged."""
        n = len(self._dev)
        with torch().inference_mode():
            images = [
                self._towers.images(
                    self._dev_views.get(range(i, min(i + _EVALUATED, n)), [0] * min(_EVALUATED, n - i)), False
                )
                for i in range(0, n, _EVALUATED)
            ]
            texts = self._texts([e.text for e in self._dev], False)
            return rank(torch().cat(images).numpy(), texts.numpy(), self._dev_keys).mean_recall

    def _texts(self, texts: Sequence[str], training: bool) -> Any:
        if self._pooled:
            pooled = torch().stack([self._pooled[text] for text in texts])
        else:
            pooled = self._towers.pooled_texts(texts)
        return self._towers.texts(pooled, training)

    def _pool(self, progress: Progress) -> dict[str, Any]:
        """Sentence vectors of a frozen text tower, once for each text."""
        texts = sorted({e.text for e in (*self._train, *self._dev)}, key=len)
        tell = progress.stage("reading texts", len(texts))
        pooled: dict[str, Any] = {}
        for start in range(0, len(texts), _EVALUATED):
            batch = texts[start : start + _EVALUATED]
            with torch().no_grad():
                pooled.update(zip(batch, self._towers.pooled_texts(batch), strict=True))
            tell(len(batch))
        return pooled


def _images(examples: Sequence[Example]) -> list[str]:
    return [example.image for example in examples]


def _schedule(done: float, warmup: float) -> float:
    """Factor of the learning rate: linear warm-up, times a half cosine to zero."""
    return min(1.0, done / warmup if warmup else 1.0) * 0.5 * (1 + float(np.cos(np.pi * done)))
