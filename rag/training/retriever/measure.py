"""How well a finished model retrieves on one part of the data, measured through the encoder that everyone uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from rag.encoders.openclip import OpenClipEncoder
from rag.training.retriever.examples import Example, keys
from rag.training.retriever.ranking import interval, rank_pairs, recall

_DEPTHS = (1, 5, 10)


class PairRecall(BaseModel):
    """Recall of one direction for some of the queries; every query searches the whole part."""

    direction: str
    queries: str
    n: int
    at: dict[int, float]
    low: float
    high: float


def measure(model: str | Path, examples: Sequence[Example], tell: Callable[[int], None]) -> list[PairRecall]:
    """R@1, R@5, R@10 and the 95% interval of R@10 by group: over all queries, by domain, and by source.

    Identical texts are right answers for each other. ``model`` is a folder, or 'compact'. ``tell`` is told how many
    more images are encoded.
    """
    encoder = OpenClipEncoder(f"local-dir:{model}" if isinstance(model, Path) else model)
    images = encoder.encode_images([e.image for e in examples], progress=tell)
    texts = encoder.encode_texts([e.text for e in examples])
    ranks = rank_pairs(images, texts, keys(examples))
    groups = np.array([e.group for e in examples])
    parts = {"all": np.ones(len(examples), dtype=bool)}
    for kind in ("domain", "source"):
        names = np.array([getattr(e, kind) for e in examples])
        parts |= {str(name): names == name for name in sorted(set(names)) if (names == name).sum() < len(names)}
    out = []
    for direction, found in (("image to text", ranks.image_to_text), ("text to image", ranks.text_to_image)):
        for name, mine in parts.items():
            low, high = interval(found[mine], 10, groups[mine].tolist())
            at = {k: recall(found[mine], k) for k in _DEPTHS}
            out.append(PairRecall(direction=direction, queries=name, n=int(mine.sum()), at=at, low=low, high=high))
    return out
