"""Do answers about an image depend on the image? The statistics: numbers in, numbers out.

Each question is asked with its right image and with a wrong one. With r and s in {0, 1/2, 1} for how right each answer
is (silence is half right: it knows as much as a coin), the *image effect* is E[r - s], of a question drawn at random
from a group drawn at random, as in :mod:`rag.risk_control.clusters`. A model that answers from the question's words
alone has an effect of 0, however right it is.

The interval holds all means that a betting test (Waudby-Smith & Ramdas 2024, :func:`~rag.risk_control.bounds.betting`)
does not reject, so it is valid at every number of groups. It is written here and not taken from scipy's bootstrap,
which promises nothing at thirty groups.

    effect_of([1, 1, 0, 1], [0, 1, 0, 0], ["a", "b", "c", "d"], 0.05).value        # 0.5
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rag.risk_control.bounds import betting
from rag.risk_control.clusters import Groups

LEAST_GROUPS = 30  # patients, below which nothing is said
LEAST_EFFECT = 0.08  # below which a kind that could not be shown to see is taken for blind
LEVEL = 0.05  # probability that any kind is called seeing although its answers do not depend on the image
_STEPS = 20  # of the bisection: bounds to a millionth


Mark = Literal["sees", "blind", "untested"]


class MeanEffect(NamedTuple):
    """A mean difference in [-1, 1] with its interval."""

    value: float
    low: float
    high: float


def effect_of(right: ArrayLike, wrong: ArrayLike, groups: Sequence[str], level: float) -> MeanEffect:
    """The effect of the image, from how right the answers are with it and with another one in its place.

    Args:
        right: shape (questions,), in [0, 1].
        wrong: the same questions with a wrong image, in [0, 1].
        groups: the patient of each question.
        level: in (0, 1); the interval misses the mean with at most this probability.

    Raises:
        ValueError: no question, or a value outside [0, 1].
    """
    r, w = np.asarray(right, dtype=np.float64), np.asarray(wrong, dtype=np.float64)
    if not len(r) or r.shape != w.shape or np.any((r < 0) | (r > 1) | (w < 0) | (w > 1)):
        raise ValueError("an effect needs as many right as wrong values, all in [0, 1]")
    named = Groups.from_ids(groups)
    shares = np.bincount(named.of, weights=(1 + r - w) / 2) / named.sizes  # of each group, in [0, 1]; no effect is 1/2
    mean = float(shares.mean())
    low = 1 - _upper(1 - shares, 1 - mean, level / 2)
    high = _upper(shares, mean, level / 2)
    return MeanEffect(*(round(2 * x - 1, 4) for x in (mean, low, high)))


def mark(effect: MeanEffect, noise: MeanEffect, groups: int, *, whole: bool) -> Mark:
    """What the effects of exchanged and of noised images say of a kind of question.

    It *sees* where both effects are above 0, whatever the luck of the sample. A ``whole`` domain for which that is not
    shown is *blind*. A single form in it is blind where its effect is below LEAST_EFFECT as well; else its sample was
    too small to say (*untested*), as it is with fewer than LEAST_GROUPS patients, and the domain's mark counts.
    """
    if groups < LEAST_GROUPS:
        return "untested"
    if min(effect.low, noise.low) > 0:
        return "sees"
    return "blind" if whole or min(effect.value, noise.value) < LEAST_EFFECT else "untested"


def _upper(values: NDArray[np.float64], mean: float, level: float) -> float:
    """The smallest bound for which "the mean of what ``values`` were drawn from is larger" is rejected."""

    def rejected(bound: float) -> bool:
        return float(betting(values, bound, level, 0)) <= level

    return _first(rejected, mean, 1.0)


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds from somewhere in [low, high] on begins to; ``high`` where it never does."""
    low, high = max(low, 1e-6), min(high, 1 - 1e-6)
    if low >= high or not holds(high):
        return 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
