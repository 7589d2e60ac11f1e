"""One phase of training: which parameters learn, from what, in which order and how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.encoders.runtime import torch
from rag.training.retriever import gradcache
from rag.training.retriever.concepts import Concepts
from rag.training.retriever.examples import Example, keys
from rag.training.retriever.losses import contrastive, matches, soften
from rag.training.retriever.recipe import Recipe
from rag.training.retriever.towers import Group
from rag.training.run_folder import optimizer_tensors, overwrite, restore_optimizer

_COLDEST = 0.01  # the temperature never falls below it, as in CLIP


@dataclass(frozen=True, slots=True)
class Phase:
    """What learns, and how inputs become unit vectors.

    ``images`` gives the inputs for (rows, views); ``texts`` those for rows, and may vary them with the generator.
    """

    groups: Sequence[Group]
    epochs: int
    images: Callable[[np.ndarray, np.ndarray], Any]
    texts: Callable[[np.ndarray, np.random.Generator], Any]
    encode_images: Callable[[Any], Any]
    encode_texts: Callable[[Any], Any]
    scale: Any


class Learner:
    """The optimiser of one phase. Every random draw follows from the seed, the phase and the epoch alone."""

    def __init__(self, phase: Phase, examples: Sequence[Example], recipe: Recipe, salt: int) -> None:
        self._phase, self._recipe, self._salt = phase, recipe, salt
        self._keys = keys(examples)
        self._concepts = Concepts(examples)
        self.parameters = [p for group in phase.groups for p in group.parameters]
        self.optimizer = torch().optim.AdamW(
            [
                {"params": [p], "lr": group.rate, "weight_decay": recipe.weight_decay if p.ndim > 1 else 0.0}
                for group in phase.groups
                for p in group.parameters
            ],
            betas=(0.9, 0.98),
        )
        self._rates = [options["lr"] for options in self.optimizer.param_groups]
        self._averages = self._weights()
        self._steps = 0

    def learn(self, epoch: int, tell: Callable[[int], None]) -> None:
        """One pass over the examples, in batches that differ by at most one in size; ``epoch`` counts from 0."""
        recipe, n = self._recipe, len(self._keys)
        draw = np.random.default_rng([recipe.seed, self._salt, epoch])
        torch().manual_seed((recipe.seed * 2 + self._salt) * 10_007 + epoch)
        batches = np.array_split(draw.permutation(n), max(1, round(n / recipe.batch_size)))
        total = len(batches) * self._phase.epochs
        for step, rows in enumerate(batches, start=epoch * len(batches)):
            for options, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                options["lr"] = rate * _schedule(step / total, recipe.warmup)
            self._step(rows, draw)
            tell(len(rows))

    def averages(self) -> list[Any]:
        """Copies of the running means of the parameters."""
        return [average.clone() for average in self._averages]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their running means."""
        weights = self._weights()
        overwrite(self.parameters, self._averages)
        yield
        overwrite(self.parameters, weights)

    def state(self) -> dict[str, Any]:
        """Tensors by name: what :meth:`restore` needs to go on exactly as if nothing had happened."""
        kept = {"weights": self._weights(), "averages": self._averages}
        tensors = {f"{name}.{n}": value for name, values in kept.items() for n, value in enumerate(values)}
        return tensors | {"steps": torch().tensor(self._steps)} | optimizer_tensors(self.optimizer)

    def restore(self, state: Mapping[str, Any]) -> None:
        overwrite(self.parameters, [state[f"weights.{n}"] for n in range(len(self.parameters))])
        self._averages = [state[f"averages.{n}"] for n in range(len(self.parameters))]
        self._steps = int(state["steps"])
        restore_optimizer(self.optimizer, state)

    def _weights(self) -> list[Any]:
        return [p.detach().clone() for p in self.parameters]

    def _step(self, rows: np.ndarray, draw: np.random.Generator) -> None:
        library, recipe, phase = torch(), self._recipe, self._phase
        _, first = np.unique(self._keys[rows], return_index=True)
        texts = rows[np.sort(first)]  # one row of each text: the loss says why
        images = phase.images(rows, draw.integers(0, 1 + recipe.views, len(rows)))
        words = phase.texts(texts, draw)
        positives = matches(*(library.from_numpy(self._keys[chosen]) for chosen in (rows, texts)))
        share = recipe.concepts if self._concepts.any else 0.0
        targets = soften(positives, self._concepts.cosines(rows, texts), share)

        def loss(image_vectors: Any, text_vectors: Any) -> Any:
            return contrastive(image_vectors, text_vectors, phase.scale.exp(), targets)

        self.optimizer.zero_grad()
        towers = [(phase.encode_images, images), (phase.encode_texts, words)]
        gradcache.backward(towers, loss, recipe.chunk, [phase.scale])
        library.nn.utils.clip_grad_norm_(self.parameters, recipe.clip)
        self.optimizer.step()
        with library.no_grad():
            phase.scale.clamp_(max=float(np.log(1 / _COLDEST)))
            self._steps += 1
            weight = 1 - min(recipe.averaging, self._steps / (self._steps + 9))  # the first steps are soon forgotten
            library._foreach_lerp_(self._averages, [p.detach() for p in self.parameters], weight)


def _schedule(done: float, warmup: float) -> float:
    """Factor of the learning rate: linear warm-up, times a half cosine to zero."""
    return min(1.0, done / warmup if warmup else 1.0) * 0.5 * (1 + float(np.cos(np.pi * done)))
