"""The gap rule of MMed-RAG (ICLR 2025): stop where similarity falls off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class GapCut:
    """How many contexts to keep, and the curve that decided.

    Attributes:
        k: contexts kept; 0 only for an empty list.
        ratios: u_i = log(S_i / S_{i+1}), one fewer than the scores considered.
        cut_at: 0-based index of the ratio that exceeded gamma, or None when only the ceiling cut.
    """

    k: int
    ratios: tuple[float, ...]
    cut_at: int | None


def gap_cut(scores: Sequence[float], gamma: float, k_max: int) -> GapCut:
    """Keep the scores before the first fall u_i = log(S_i / S_{i+1}) > gamma, at most ``k_max``.

    Args:
        scores: S_1 >= S_2 >= ... in (0, 1], as fusion gives them; of negative cosines no ratio is defined.
        gamma: threshold > 0; smaller values cut earlier.
        k_max: ceiling >= 1.

    Raises:
        ValueError: the scores are not positive, not falling, or a parameter is out of range.
    """
    if gamma <= 0 or k_max < 1:
        raise ValueError(f"gamma must be > 0 and k_max >= 1, got {gamma} and {k_max}")
    s = np.asarray(scores, dtype=np.float64)[: k_max + 1]
    if s.size == 0:
        return GapCut(0, (), None)
    if not np.all(np.isfinite(s)) or s.min() <= 0 or np.any(np.diff(s) > 1e-12):
        raise ValueError("scores must be positive and in falling order")
    ratios = np.log(s[:-1] / s[1:])
    over = np.flatnonzero(ratios > gamma)
    cut = int(over[0]) if over.size else None
    k = cut + 1 if cut is not None else min(s.size, k_max)
    return GapCut(k, tuple(float(u) for u in ratios), cut)
