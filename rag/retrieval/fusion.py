"""Merging ranked lists whose scores cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def reciprocal_rank_fusion(
    rankings: Mapping[str, Sequence[int]], constant: float = 60.0, weights: Mapping[str, float] | None = None
) -> list[tuple[int, float]]:
    """Reciprocal rank fusion (Cormack, Clarke & Büttcher 2009), scaled to (0, 1].

    Args:
        rankings: channel name -> row ids, best first, without repetitions.
        constant: the *k* of the formula; larger values flatten the preference for first places.
        weights: channel name -> weight > 0 (default 1).

    Returns:
        ``(row, score)`` by falling score; 1.0 is first place in every channel. Equal scores keep the smaller row
        first, so the order is reproducible.
    """
    weights = weights or {}
    total: dict[int, float] = {}
    best = sum(weights.get(channel, 1.0) for channel, rows in rankings.items() if rows) / (constant + 1)
    for channel, rows in rankings.items():
        for rank, row in enumerate(rows, start=1):
            total[row] = total.get(row, 0.0) + weights.get(channel, 1.0) / (constant + rank)
    return sorted(((row, score / best) for row, score in total.items()), key=lambda item: (-item[1], item[0]))
