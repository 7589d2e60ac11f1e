"""Prompts and answers become tensors: the prompt exactly as the generator is asked, and which tokens are the answer.

Padding stands on the right, and only the answer's tokens, its end among them, are ever predicted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from rag.corpus.images import load_image
from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.messages import QUESTION_IMAGE, Picture
from rag.generation.prompts import Prompt
from rag.generation.weights import Loaded
from rag.language.lexicon import Lexicon
from rag.training.generator.examples import Asking
from rag.training.generator.written import WrittenPrompts
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

    ``variation`` says how far varied views of images differ, ``side`` how large pictures are at most. With ``views``,
    each image has so many and no more, which are kept. Where a model makes the same number of tokens of every image,
    each prompt is written once.
    """

    def __init__(
        self,
        loaded: Loaded,
        prompt: Prompt,
        lexicon: Lexicon,
        variation: Variation,
        side: int,
        views: int | None = None,
    ) -> None:
        self._loaded, self._prompt, self._lexicon = loaded, prompt, lexicon
        self._variation, self._side = variation, side
        own = loaded.tokenizer.eos_token_id
        self._end = own if own in loaded.ends or not loaded.ends else min(loaded.ends)
        self._padding = loaded.model.generation_config.pad_token_id or 0
        self._image_tokens: int | None = None
        self._views = views
        self._kept: dict[tuple[str, int], Any] = {}
        looks = getattr(loaded.processor, "image_processor", None)
        self._looks = looks if loaded.sees and getattr(looks, "do_center_crop", False) else None
        self._workers = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "pictures")
        self.written = WrittenPrompts()

    def length(self, asking: Asking, *answers: str) -> int:
        """Tokens of the prompt and the longest answer; those of an image are counted once and taken for all."""
        longest = max(len(self.tokens(a)) for a in answers)
        if self._constant(asking):
            return len(self._ids(asking)) + longest
        written = int(self._encoded(asking, ())["input_ids"].shape[-1])
        if asking.image is not None and self._loaded.sees and self._image_tokens is None:
            self._image_tokens = int(self.prompt(asking)["input_ids"].shape[-1]) - written
        seen = (self._image_tokens or 0) if asking.image is not None else 0
        return written + seen + longest

    def tokens(self, answer: str) -> list[int]:
        """The answer's tokens, and the one that ends it."""
        ids = self._loaded.tokenizer.encode(self._loaded.guarded(answer), add_special_tokens=False)
        return [*ids, self._end]

    def batch(self, turns: Sequence[tuple[Asking, str]], seed: Sequence[int]) -> Conversations:
        """Conversations with their answers; random views of images follow from ``seed`` and the place in the batch.

        Raises:
            InputError: an image cannot be read.
        """
        prompts = self._all([asking for asking, _ in turns], seed)
        return self._joined(prompts, [self.tokens(answer) for _, answer in turns])

    def pairs(self, triples: Sequence[tuple[Asking, str, str]], seed: Sequence[int]) -> Conversations:
        """Each prompt with its first answer, and after all of these each with its second, under the same view."""
        prompts = self._all([asking for asking, _, _ in triples], seed)
        answers = [self.tokens(t[1]) for t in triples] + [self.tokens(t[2]) for t in triples]
        return self._joined([*prompts, *prompts], answers)

    def prompt(self, asking: Asking) -> dict[str, Any]:
        """The tensors of one prompt, its image as it is."""
        return self._prompted(asking, (0,))

    def pixels(self, askings: Sequence[Asking], seed: Sequence[int]) -> Any:
        """(n, …) what the model sees of the images, on its device and in its precision.

        Raises:
            InputError: an image cannot be read, or the model sees none.
        """
        prompts = self._all(askings, seed)
        if not all("pixel_values" in p for p in prompts):
            raise InputError(f"the model {self._loaded.name!r} sees no images")
        return self._joined(prompts, [[] for _ in prompts]).inputs["pixel_values"]

    def moved(self, tensor: Any) -> Any:
        """On the model's device; numbers with a point in its precision."""
        model = self._loaded.model
        return tensor.to(model.device, model.dtype) if tensor.is_floating_point() else tensor.to(model.device)

    def _all(self, askings: Sequence[Asking], seed: Sequence[int]) -> list[dict[str, Any]]:
        """Several prompts. Tokenizers are not for several threads at once, so only pictures are looked at in many."""
        seeds = [(*seed, n) for n in range(len(askings))]
        if not all(map(self._constant, askings)):
            return [self._prompted(a, s) for a, s in zip(askings, seeds, strict=True)]
        looks = self._workers.map(self._look, askings, seeds)
        return [self._plain(a) | look for a, look in zip(askings, looks, strict=True)]

    def _prompted(self, asking: Asking, seed: Sequence[int]) -> dict[str, Any]:
        if self._constant(asking):
            return self._plain(asking) | self._look(asking, seed)
        return self._encoded(asking, self._pictures(asking, np.random.default_rng(list(seed))))

    def _constant(self, asking: Asking) -> bool:
        return asking.image is None or not self._loaded.sees or self._looks is not None

    def _plain(self, asking: Asking) -> dict[str, Any]:
        """The prompt without pixels."""
        ids = torch().tensor([self._ids(asking)])
        return {"input_ids": ids, "attention_mask": torch().ones_like(ids)}

    def _ids(self, asking: Asking) -> list[int]:
        known = self.written.get(asking)
        if known is None:
            blank = [Picture(Image.new("RGB", (8, 8)), QUESTION_IMAGE)] if asking.image and self._loaded.sees else []
            known = self._encoded(asking, blank)["input_ids"][0].tolist()
            self.written.put(asking, known)
        return known

    def _look(self, asking: Asking, seed: Sequence[int]) -> dict[str, Any]:
        """Its pixels, where it has an image; of one that varies, one of the views that are kept, if any are."""
        if asking.image is None or self._looks is None:
            return {}
        draw, key = np.random.default_rng(list(seed)), None
        if self._views is not None and asking.view != "noise":
            view = int(draw.integers(self._views)) if asking.view == "varied" else -1
            key = (asking.image, view)
            draw = np.random.default_rng([*hashlib.sha256(asking.image.encode()).digest()[:8], view + 1])
        pixels = self._kept.get(key) if key else None
        if pixels is None:
            (picture,) = self._pictures(asking, draw)
            pixels = self._looks(images=[picture.image], return_tensors="pt")["pixel_values"].half()
            if key:
                self._kept[key] = pixels
        return {"pixel_values": pixels}

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
        with library.autocast("cpu", enabled=False):  # joining is no arithmetic
            inputs |= {name: library.cat([p[name] for p in prompts if name in p]) for name in rest}
        moved = {name: self.moved(v) for name, v in inputs.items()}
        return Conversations(moved, *(library.tensor(x, device=device) for x in (rows, columns, targets, first)))
