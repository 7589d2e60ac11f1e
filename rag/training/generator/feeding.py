"""Prompts and answers become tensors: the prompt exactly as the generator is asked, and which tokens are the answer.

Padding stands on the right, and only the answer's tokens, its end among them, are ever predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.corpus.images import load_image
from rag.encoders.runtime import torch
from rag.generation.messages import QUESTION_IMAGE, Picture
from rag.generation.prompts import Prompt
from rag.generation.weights import Loaded
from rag.language.lexicon import Lexicon
from rag.training.generator.examples import Asking
from rag.training.views import Variation, drown_in_noise, random_view


@dataclass(frozen=True, slots=True)
class Conversations:
    """Several conversations, padded to one length.

    Args:
        inputs: what the model's forward takes: ``input_ids`` (n, t), ``attention_mask``, pixels, …
        rows, columns: (m,) of the positions whose output predicts a token of an answer.
        targets: (m,) those tokens.
        first: (m,) True for the first token of an answer.
    """

    inputs: dict[str, Any]
    rows: Any
    columns: Any
    targets: Any
    first: Any

    def __len__(self) -> int:
        return int(self.inputs["input_ids"].shape[0])


class Feeder:
    """Feeds one model; its prompts are those of ``prompt``, through the model's own chat template.

    ``variation`` says how far varied views of images differ, ``side`` how large pictures are at most.
    """

    def __init__(self, loaded: Loaded, prompt: Prompt, lexicon: Lexicon, variation: Variation, side: int) -> None:
        self._loaded, self._prompt, self._lexicon = loaded, prompt, lexicon
        self._variation, self._side = variation, side
        own = loaded.tokenizer.eos_token_id
        self._end = own if own in loaded.ends or not loaded.ends else min(loaded.ends)
        self._padding = loaded.model.generation_config.pad_token_id or 0
        self._image_tokens: int | None = None

    def length(self, asking: Asking, *answers: str) -> int:
        """Tokens of the prompt and the longest answer; those of an image are counted once and taken for all."""
        written = int(self._encoded(asking, ())["input_ids"].shape[-1])
        if asking.image is not None and self._loaded.sees and self._image_tokens is None:
            self._image_tokens = int(self.prompt(asking)["input_ids"].shape[-1]) - written
        seen = (self._image_tokens or 0) if asking.image is not None else 0
        return written + seen + max(len(self.tokens(a)) for a in answers)

    def tokens(self, answer: str) -> list[int]:
        """The answer's tokens, and the one that ends it."""
        ids = self._loaded.tokenizer.encode(self._loaded.guarded(answer), add_special_tokens=False)
        return [*ids, self._end]

    def batch(self, turns: Sequence[tuple[Asking, str]], seed: Sequence[int]) -> Conversations:
        """Conversations with their answers; random views of images follow from ``seed`` and the place in the batch.

        Raises:
            InputError: an image cannot be read.
        """
        prompts = [self._prompted(asking, (*seed, n)) for n, (asking, _) in enumerate(turns)]
        return self._joined(prompts, [self.tokens(answer) for _, answer in turns])

    def pairs(self, triples: Sequence[tuple[Asking, str, str]], seed: Sequence[int]) -> Conversations:
        """Each prompt with its first answer, and after all of these each with its second, under the same view."""
        prompts = [self._prompted(asking, (*seed, n)) for n, (asking, _, _) in enumerate(triples)]
        answers = [self.tokens(t[1]) for t in triples] + [self.tokens(t[2]) for t in triples]
        return self._joined([*prompts, *prompts], answers)

    def prompt(self, asking: Asking) -> dict[str, Any]:
        """The tensors of one prompt, its image as it is."""
        return self._prompted(asking, (0,))

    def _prompted(self, asking: Asking, seed: Sequence[int]) -> dict[str, Any]:
        return self._encoded(asking, self._pictures(asking, np.random.default_rng(list(seed))))

    def _encoded(self, asking: Asking, pictures: Sequence[Picture]) -> dict[str, Any]:
        request = asking.request(self._lexicon)
        messages = self._prompt.render(request, request.evidence, pictures)
        return dict(self._loaded.inputs(messages))

    def _pictures(self, asking: Asking, draw: np.random.Generator) -> list[Picture]:
        if asking.image is None or not self._loaded.sees:
            return []
        image = load_image(asking.image)
        if asking.view == "varied":
            image = random_view(image, self._variation, draw)
        elif asking.view == "noise":  # always the same noise, so that two looks at a pair are looks at one image
            image = drown_in_noise(image, np.random.default_rng(list(asking.question.encode())))
        image.thumbnail((self._side, self._side))
        return [Picture(image, QUESTION_IMAGE)]

    def _joined(self, prompts: Sequence[Mapping[str, Any]], answers: Sequence[list[int]]) -> Conversations:
        library, device = torch(), self._loaded.model.device
        lengths = [int(p["input_ids"].shape[-1]) for p in prompts]
        width = max(n + len(a) for n, a in zip(lengths, answers, strict=True))
        along = {name for p in prompts for name, v in p.items() if v.shape == p["input_ids"].shape}  # one a token
        inputs = {name: library.zeros(len(prompts), width, dtype=library.long) for name in {*along, "attention_mask"}}
        inputs["input_ids"].fill_(self._padding)
        rows: list[int] = []
        columns: list[int] = []
        targets: list[int] = []
        first: list[bool] = []
        for row, (prompt, length, answer) in enumerate(zip(prompts, lengths, answers, strict=True)):
            for name in along & prompt.keys():
                inputs[name][row, :length] = prompt[name][0]
            inputs["input_ids"][row, length : length + len(answer)] = library.tensor(answer)
            inputs["attention_mask"][row, : length + len(answer)] = 1
            rows += [row] * len(answer)
            columns += range(length - 1, length + len(answer) - 1)
            targets += answer
            first += [True] + [False] * (len(answer) - 1)
        rest = {name for p in prompts for name in p if name not in along}  # pixels and their grids, one after another
        inputs |= {name: library.cat([p[name] for p in prompts if name in p]) for name in rest}
        moved = {name: v.to(device) for name, v in inputs.items()}
        return Conversations(moved, *(library.tensor(x, device=device) for x in (rows, columns, targets, first)))
