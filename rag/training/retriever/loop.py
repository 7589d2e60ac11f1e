"""Training a retriever: images and the texts of their cases move together in one space."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoders.runtime import torch
from rag.progress import Progress
from rag.training.retriever import foundation
from rag.training.retriever.captions import vary
from rag.training.retriever.examples import Example, Parts, keys
from rag.training.retriever.features import FeatureCache
from rag.training.retriever.learner import Learner, Phase
from rag.training.retriever.ranking import rank_pairs
from rag.training.retriever.recipe import Recipe
from rag.training.retriever.towers import Group, Towers
from rag.training.run_folder import RunFolder, overwrite

_BATCH = 64  # inputs per forward pass without a gradient


@dataclass(slots=True)
class Trained:
    """What a run has come to.

    ``dev_recall``: before the first epoch (the projections have learned alone, if the recipe says so), and after each.
    ``best_epoch``: its best place, 0 being before the first. ``seconds``: what all took, looking at images included.
    """

    dev_recall: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


def train(parts: Parts, recipe: Recipe, run: RunFolder, progress: Progress) -> Trained:
    """Train on ``parts.train``, stop by the recall on ``parts.dev``, and write the best epoch's model into ``run.out``.

    A run that was killed goes on from its last complete epoch, to the same weights as one that was not.

    Raises:
        InputError: the base cannot be trained, or an image cannot be decoded.
        MissingDependencyError: a library or the base is not installed.
    """
    model, tokenizer, config = foundation.load_foundation(recipe)
    session = _Session(Towers(model, tokenizer, recipe), parts, recipe, run.path, progress)
    clock = time.monotonic()
    saved = run.load()
    if not saved:
        session.learn_heads()
    learner = Learner(session.joint(), parts.train, recipe, salt=1)
    if saved:
        trained = Trained(**saved.facts["trained"])
        best = [saved.tensors[f"best.{n}"] for n in range(len(learner.parameters))]
        learner.restore(saved.tensors)
    else:
        trained, best = Trained([session.dev_recall()], seconds=session.seconds), learner.averages()
    earlier = trained.seconds
    while (epoch := len(trained.dev_recall)) <= recipe.epochs and epoch - trained.best_epoch <= recipe.patience:
        learner.learn(epoch - 1, progress.stage(f"epoch {epoch} of at most {recipe.epochs}", len(parts.train)))
        with learner.averaged():
            trained.dev_recall.append(session.dev_recall())
        if trained.dev_recall[-1] > max(trained.dev_recall[:-1]):
            trained.best_epoch, best = epoch, learner.averages()
        trained.seconds = earlier + time.monotonic() - clock
        kept = {f"best.{n}": value for n, value in enumerate(best)}
        run.save(kept | learner.state(), {"trained": asdict(trained)})
    overwrite(learner.parameters, best)
    foundation.save_foundation(model, config, recipe, run.out)
    return trained


class _Session:
    """Towers and data of one run."""

    def __init__(self, towers: Towers, parts: Parts, recipe: Recipe, folder: Path, progress: Progress) -> None:
        self._towers, self._recipe, self._progress = towers, recipe, progress
        self._train, self._dev = parts.train, parts.dev
        self._views, self._dev_views = (
            FeatureCache(folder, name, [e.image for e in part], views, towers, recipe)
            for name, part, views in (("train", parts.train, recipe.views), ("dev", parts.dev, 0))
        )
        for cache, part in ((self._views, parts.train), (self._dev_views, parts.dev)):
            cache.fill(progress.stage("looking at images", len(part)))
        self._pooled = self._read((*parts.train, *parts.dev)) if towers.text_is_frozen else {}

    @property
    def seconds(self) -> float:
        """That looking at the images took."""
        return self._views.seconds + self._dev_views.seconds

    def joint(self) -> Phase:
        """The projections and the unfrozen parts of the towers learn, from views and varying texts."""
        towers, rate = self._towers, self._recipe.sentences
        return Phase(
            groups=list(towers.groups()),
            epochs=self._recipe.epochs,
            images=self._views.get,
            texts=lambda rows, draw: [vary(text, rate, draw) for text in self._texts_of(rows)],
            encode_images=lambda features: towers.projected(towers.pooled_images(features), True),
            encode_texts=partial(self._encode_texts, training=True),
            scale=towers.model.logit_scale,
        )

    def learn_heads(self) -> None:
        """The projections learn alone, from what the pretrained towers give, computed once."""
        towers, recipe = self._towers, self._recipe
        if not towers.starts_with_heads:
            return
        images = self._look()
        pooled = self._pooled or self._read(self._train)
        phase = Phase(
            groups=[Group(towers.heads, recipe.head_rate)],
            epochs=recipe.head_epochs,
            images=lambda rows, views: images[rows, views],
            texts=lambda rows, draw: torch().stack([pooled[text] for text in self._texts_of(rows)]),
            encode_images=partial(towers.projected, training=True),
            encode_texts=partial(towers.texts, training=True),
            scale=towers.model.logit_scale,
        )
        learner = Learner(phase, self._train, recipe, salt=0)
        tell = self._progress.stage("projections", recipe.head_epochs * len(self._train))
        for epoch in range(recipe.head_epochs):
            learner.learn(epoch, tell)

    def dev_recall(self) -> float:
        """R@1, R@5 and R@10 of both directions on the dev images, averaged."""
        with torch().inference_mode():
            images = [
                self._towers.projected(self._towers.pooled_images(self._dev_views.get(rows, rows * 0)), False)
                for rows in _runs(len(self._dev))
            ]
            texts = self._encode_texts([e.text for e in self._dev], training=False)
            return rank_pairs(torch().cat(images).numpy(), texts.numpy(), keys(self._dev)).mean_recall

    def _texts_of(self, rows: np.ndarray) -> list[str]:
        return [self._train[row].text for row in rows]

    def _encode_texts(self, texts: Sequence[str], training: bool) -> Any:
        if self._pooled:  # the tower is frozen, and its texts do not vary
            pooled = torch().stack([self._pooled[text] for text in texts])
        else:
            pooled = self._towers.pooled_texts(texts)
        return self._towers.texts(pooled, training)

    def _look(self) -> Any:
        """(images, 1 + views, width) pooled features of the training images, before anything was trained."""
        tell = self._progress.stage("pooling features", len(self._train))
        out = []
        with torch().no_grad():
            for rows in _runs(len(self._train)):
                views = range(1 + self._recipe.views)
                found = [self._towers.pooled_images(self._views.get(rows, rows * 0 + v)) for v in views]
                out.append(torch().stack(found, dim=1))
                tell(len(rows))
        return torch().cat(out)

    def _read(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Sentence vectors of the pretrained text tower, once for each text."""
        texts = sorted({e.text for e in examples}, key=lambda text: (len(text), text))
        tell = self._progress.stage("reading texts", len(texts))
        pooled: dict[str, Any] = {}
        for rows in _runs(len(texts)):
            batch = [texts[row] for row in rows]
            with torch().no_grad():
                pooled.update(zip(batch, self._towers.pooled_texts(batch), strict=True))
            tell(len(batch))
        return pooled


def _runs(n: int) -> Iterator[np.ndarray]:
    for start in range(0, n, _BATCH):
        yield np.arange(start, min(start + _BATCH, n))
