"""Batches of like lengths, so that little is padded, in an order that follows from the seed and the epoch alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

_SORTED_TOGETHER = 4096  # examples; between such chunks the order stays random


def length_batches(lengths: Sequence[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """Rows in batches of at most ``budget`` tokens, padding included; a longer row is alone.

    >>> length_batches([3, 9, 3, 8], 18, seed=0, epoch=0)
    [[2, 0], [3, 1]]
    """
    draw = random.Random(f"{seed}:{epoch}")  # noqa: S311 - nothing secret
    order = list(range(len(lengths)))
    draw.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), _SORTED_TOGETHER):
        batch: list[int] = []
        for row in sorted(order[start : start + _SORTED_TOGETHER], key=lambda row: lengths[row]):
            if batch and lengths[row] * (len(batch) + 1) > budget:
                batches.append(batch)
                batch = []
            batch.append(row)
        batches.append(batch)
    draw.shuffle(batches)
    return batches
