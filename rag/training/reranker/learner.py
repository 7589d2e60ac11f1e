"""The upper layers of MiniLM, and the head on them, learn to put a relevant passage before others of its question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.encoders.bert import Layer, Network, TorchKernels, layer_tensors, read_tokenizer
from rag.encoders.cross import HEAD, AskedPassage, Head, PairReading, pair_up, score_pair
from rag.encoders.minilm import minilm_folder, minilm_shape, minilm_tensors
from rag.encoders.runtime import device, fast_dtype, torch
from rag.errors import InputError
from rag.training.reranker.lists import RankedList
from rag.training.reranker.recipe import RerankerRecipe
from rag.training.run_folder import optimizer_tensors, overwrite, restore_optimizer

# The head at first: likeness alone, at a scale at which it is about as sure as it is right. Scales learn faster.
_MEANS, _WORDS, _FASTER = 5.0, 30.0, 100
_MATRICES = ("attention", "joined", "wide", "narrow")


class RankLearner:
    """Model and optimiser. Every random draw follows from the seed and the epoch alone.

    Raises:
        InputError: the recipe leaves no layer to learn.
        MissingDependencyError: MiniLM's package or torch is not installed.
    """

    def __init__(self, recipe: RerankerRecipe, steps: int) -> None:
        library, self._recipe, self._total, reading = torch(), recipe, max(1, steps), recipe.reading
        self.steps = 0
        base = Network.of(minilm_tensors(), minilm_shape(), 256)
        if reading.apart > len(base.layers):
            raise InputError(f"recipe field 'reading.apart': the model has {len(base.layers)} layers")
        self._base = base.on(device(), library.float32)
        lower, upper = self._base.cut(reading.apart)
        self._lower = lower.on(device(), fast_dtype())
        self._upper = upper._replace(layers=[Layer(*(_copied(pair) for pair in layer)) for layer in upper.layers])
        heed, turn = library.zeros(base.width, device=device()), library.eye(base.width, device=device())
        scales = [library.tensor(value, device=device()) for value in (_MEANS, _WORDS)]
        self._head = Head(heed, turn, *scales)
        layers = [one for layer in self._upper.layers for pair in layer for one in pair]
        self.parameters = [*layers, *self._head]
        for one in self.parameters:
            one.requires_grad_(True)
        plain = {"lr": recipe.rate, "weight_decay": 0.0}
        self.optimizer = library.optim.AdamW(
            [
                {**plain, "params": [one for one in layers if one.ndim > 1], "weight_decay": recipe.weight_decay},
                {**plain, "params": [one for one in layers if one.ndim == 1]},
                {**plain, "params": [heed, turn], "lr": recipe.head_rate},
                {**plain, "params": scales, "lr": recipe.head_rate * _FASTER},
            ],
            betas=(0.9, 0.98),
        )
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        longest = max(reading.question, reading.passage)
        self._tokenizer = read_tokenizer(minilm_folder() / "tokenizer.json", longest)

    def learn(self, lists: Sequence[RankedList], draw: np.random.Generator) -> None:
        """One step: each question's relevant passage, drawn by its gain, against others that the channels found.

        The loss is the cross-entropy of the relevant one among them (Gao et al. 2021, arXiv:2101.08751).
        """
        self.steps += 1
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._share()
        self.optimizer.zero_grad()
        for one in lists:  # one after the other: padded as its own passages need
            gains = np.array([gain for _, gain in one.answers])
            right = one.answers[draw.choice(len(gains), p=gains / gains.sum())][0]
            wrong = one.wrong()
            some = draw.permutation(len(wrong))[: self._recipe.wrong]
            texts = [right, *(wrong[n] for n in some)]
            loss = -self._logits([one.question] * len(texts), texts).log_softmax(0)[0] / len(lists)
            loss.backward()
        torch().nn.utils.clip_grad_norm_(self.parameters, self._recipe.clip)
        self.optimizer.step()

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """Logits of texts for a question, as the model is now."""
        with torch().inference_mode():
            found: list[float] = self._logits([question] * len(texts), texts).tolist() if texts else []
        return found

    def learned(self) -> dict[str, NDArray[Any]]:
        """What was learned, as differences to MiniLM's tensors by their names, and the head."""
        apart, found = self._recipe.reading.apart, dict[str, NDArray[Any]]()
        for n, layer in enumerate(self._upper.layers, start=apart):
            now, before = (layer_tensors(_plain(one), f"encoder.layer.{n}.") for one in (layer, self._base.layers[n]))
            found |= {name: value - before[name] for name, value in now.items()}
        head = {name: value.detach().cpu().numpy() for name, value in self._head._asdict().items()}
        return found | {HEAD + name: value for name, value in head.items()}

    def weights(self) -> list[Any]:
        """Copies of the parameters."""
        return [one.detach().clone() for one in self.parameters]

    def state(self) -> dict[str, Any]:
        """Tensors by name, from which :meth:`restore` goes on as if nothing had happened."""
        kept = {f"weights.{n}": value for n, value in enumerate(self.weights())}
        return kept | {"steps": torch().tensor(self.steps)} | optimizer_tensors(self.optimizer)

    def restore(self, state: Mapping[str, Any]) -> None:
        overwrite(self.parameters, [state[f"weights.{n}"] for n in range(len(self.parameters))])
        self.steps = int(state["steps"])
        restore_optimizer(self.optimizer, state)

    def _share(self) -> float:
        """Of the learning rate: a rise, then a straight fall to nothing."""
        done, warmup = self.steps / self._total, self._recipe.warmup
        return min(done / warmup if warmup else 1.0, max(0.0, 1 - done) / (1 - warmup), 1.0)

    def _logits(self, questions: Sequence[str], texts: Sequence[str]) -> Any:
        reading, layers = self._recipe.reading, [_quick(layer) for layer in self._upper.layers]
        pairs = pair_up(self._tokenizer, reading, questions, texts)
        return score_pairs(self._lower, self._upper._replace(layers=layers), self._head, reading, pairs)


def score_pairs(lower: Network, upper: Network, head: Head, reading: PairReading, pairs: Sequence[AskedPassage]) -> Any:
    """(n,) logits of a batch, as :class:`~rag.encoders.cross.CrossEncoder` computes them; no gradient of ``lower``."""
    library, kernels, where = torch(), TorchKernels(torch()), lower.words.device
    with library.no_grad():
        questions, passages = (
            _read_apart(lower, [pair.question for pair in pairs]),
            _read_apart(lower, [pair.passage for pair in pairs]),
        )
    lengths = [(len(pair.question), len(pair.passage)) for pair in pairs]
    longest = max(n + m for n, m in lengths)
    states = library.zeros((len(pairs), longest, lower.width), device=where)
    mask = library.full((len(pairs), 1, longest, longest), -library.inf, device=where)
    for row, (n, m) in enumerate(lengths):
        states[row, :n], states[row, n : n + m] = questions[row][:n], passages[row][:m]
        mask[row, 0, :, : n + m] = 0.0
        mask[row, 0, :n, n : n + m] = mask[row, 0, n : n + m, :n] = -reading.held
    if upper.layers:
        states = upper.read(kernels, states, mask.to(upper.layers[0].attention[0].dtype)).float()
    return library.stack(
        [score_pair(kernels, head, states[row, :n], states[row, n : n + m]) for row, (n, m) in enumerate(lengths)]
    )


def _read_apart(network: Network, texts: Sequence[list[int]]) -> list[Any]:
    """(tokens, width) of each text, padded as its batch needs; equal texts are computed once."""
    library, kernels, where = torch(), TorchKernels(torch()), network.words.device
    unique = list(dict.fromkeys(map(tuple, texts)))
    longest = max(map(len, unique))
    ids = library.tensor([[*one, *[0] * (longest - len(one))] for one in unique], device=where)
    lengths = library.tensor([len(one) for one in unique], device=where)
    mask = (library.arange(longest, device=where)[None] < lengths[:, None])[:, None, None]
    states = dict(zip(unique, network.read(kernels, network.embed(kernels, ids), mask).float(), strict=True))
    return [states[tuple(text)] for text in texts]


def _copied(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[0].clone(), pair[1].clone()


def _quick(layer: Layer) -> Layer:
    """With matrices as the device multiplies them fastest; gradients reach the precise ones."""
    quick = fast_dtype()
    some = {name: getattr(layer, name) for name in _MATRICES}
    return layer._replace(**{name: (weight.to(quick), bias.to(quick)) for name, (weight, bias) in some.items()})


def _plain(layer: Layer) -> Layer:
    return Layer(*((weight.detach().cpu().numpy(), bias.detach().cpu().numpy()) for weight, bias in layer))
