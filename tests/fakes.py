"""Encoders and a generator small enough to reason about: no weights, no network, the same everywhere.

They plug in as anybody's do, by dotted path: ``fakes:make_word_bags``, ``fakes:make_colours``, ``fakes:make_quoting``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np

from rag.generation.base import Request, refusal
from rag.types import Draft, DraftSentence, Quote

_QUESTION_WORDS = {"what", "does", "this", "show", "there", "which"}
_COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


class WordBags:
    """A text encoder: texts that share words are near each other."""

    dim = 256
    fingerprint = "word-bags:1"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        vectors = np.full((len(texts), self.dim), 1e-3, dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in set(re.findall(r"\w{4,}", text.lower())) - _QUESTION_WORDS:
                row[crc32(word.encode()) % self.dim] = 1
        if progress is not None:
            progress(len(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Colours:
    """An image-text encoder: images and texts are where their colours are."""

    dim = 3
    fingerprint = "colours:1"

    def encode_images(self, images: Sequence[str | Path], *, progress: Any = None) -> np.ndarray:
        from rag.corpus.images import load_image

        return _unit([np.asarray(load_image(i), dtype=np.float32).mean(axis=(0, 1)) + 1 for i in images])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return _unit([next((c for name, c in _COLOURS.items() if name in text), (1, 1, 1)) for text in texts])


class Quoting:
    """A generator that says the first sentence of the first piece of evidence, word for word."""

    fingerprint = "quoting:1"
    prompt_sha256 = None
    revises = False
    parallel = 1

    def generate(self, request: Request) -> Draft:
        if not request.evidence:
            return refusal("there is no evidence")
        first = request.evidence[0]
        said = first.text.split(". ")[0].rstrip(".") + "."
        quote = Quote(number=first.number, start=first.start, end=first.start + len(said))
        return Draft(sentences=(DraftSentence(text=said, quotes=(quote,)),), confidence=0.9)


class Eyes:
    """A generator that answers yes/no questions about an image: from whether it is red, or, blind, always with yes."""

    prompt_sha256 = None
    revises = False
    parallel = 1
    looks = True

    def __init__(self, blind: bool) -> None:
        self._blind = blind
        self.fingerprint = f"eyes:{blind}"

    def generate(self, request: Request) -> Draft:
        from rag.corpus.images import load_image

        if request.question.image is None:
            return refusal("there is no image")
        red, _, blue = np.asarray(load_image(request.question.image), dtype=np.float32).mean(axis=(0, 1))
        yes = self._blind or red - blue > 100
        sentence = DraftSentence(text="Yes." if yes else "No.", seen_by="eyes")
        p = 0.9 if yes else 0.1
        return Draft(sentences=(sentence,), verdict="yes" if yes else "no", probability=p, confidence=0.9)


def make_seeing(settings: Any, texts: Any) -> Eyes:
    return Eyes(blind=False)


def make_blind(settings: Any, texts: Any) -> Eyes:
    return Eyes(blind=True)


def make_spots(settings: Any, texts: Any) -> Any:
    from rag.grounding.views import ViewGrounder

    return ViewGrounder(Spots())


def make_word_bags(settings: Any) -> WordBags:
    return WordBags()


def make_colours(settings: Any) -> Colours:
    return Colours()


def make_quoting(settings: Any, texts: Any) -> Quoting:
    return Quoting()


def _unit(rows: Sequence[Any]) -> np.ndarray:
    vectors = np.array(rows, dtype=np.float32).reshape(-1, 3)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Spots:
    """A looker: a colour is where that colour is."""

    method: Literal["similarity"] = "similarity"
    fingerprint = "spots:1"
    views = 8

    def look(self, squares: Sequence[Any], phrases: Sequence[str]) -> np.ndarray:
        small = np.stack([np.asarray(s.resize((16, 16)), dtype=np.float32) for s in squares])
        named = np.array([next((c for name, c in _COLOURS.items() if name in p), (1, 1, 1)) for p in phrases])
        return np.einsum("nhwc,pc->nphw", small, 2 * named - 1).astype(np.float32)
