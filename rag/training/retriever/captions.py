"""Varying what a text says: a report's sentences are not all about the one image, so any part of them may match it."""

from __future__ import annotations

import re

import numpy as np

_SENTENCE = re.compile(r"(?<=[.;!?])\s+")


def vary(text: str, rate: float, draw: np.random.Generator) -> str:
    """``text`` as it is, or, with probability ``rate``, a random part of its sentences in their order (at least one).

    A text of one sentence stays as it is.
    """
    sentences = _SENTENCE.split(text)
    if len(sentences) < 2 or draw.random() >= rate:
        return text
    kept = draw.random(len(sentences)) < 0.6
    kept[draw.integers(len(sentences))] = True
    return " ".join(s for s, keep in zip(sentences, kept, strict=True) if keep)
