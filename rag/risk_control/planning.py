"""What is needed to certify: sample sizes and reachable risks, from the exact binomial test.

These are plans, not guarantees: they assume that the risk observed so far stays as it is.
"""

from __future__ import annotations

import math

from rag.errors import InputError
from rag.risk_control.bounds import exact_binomial, tail


def check_levels(alpha: float, delta: float) -> None:
    """Refuse levels outside (0, 1).

    Raises:
        InputError: alpha or delta is not strictly between 0 and 1.
    """
    for name, value, example in (("alpha", alpha, 0.1), ("delta", delta, 0.05)):
        if not 0 < value < 1:
            raise InputError(f"{name} must lie strictly between 0 and 1, got {value:g}; a usual value is {example}")


def least_groups(alpha: float, delta: float, tests: int = 1) -> int:
    """Groups without which no bound can ever certify, even with no wrong answer: ln(delta / tests) / ln(1 - alpha).

    No valid p-value from n losses in [0, 1] is below (1 - alpha)^n: that is how often a world of risk alpha shows no
    wrong answer in n.

    Args:
        alpha: tolerated risk in (0, 1).
        delta: level in (0, 1).
        tests: policies among which delta is shared (1 for a fixed sequence).
    """
    check_levels(alpha, delta)
    return max(1, math.ceil(math.log(delta / tests) / math.log1p(-alpha) - 1e-9))


def learning_groups(groups: int, share: float) -> int:
    """How many of ``groups`` a fixed sequence spends on the order of its tests; at least one."""
    return max(1, round(groups * share))


def groups_needed(alpha: float, delta: float, tests: int = 1, learning_share: float = 0.0) -> int:
    """:func:`least_groups` with the part that learns the order of tests (``learning_share`` of all groups)."""
    least = total = least_groups(alpha, delta, tests)
    while learning_share and total - learning_groups(total, learning_share) < least:
        total += 1
    return total


def smallest_alpha(risk: float, n: float, delta: float) -> float:
    """The smallest alpha that ``n`` independent answers with this observed risk certify in one test at ``delta``.

    The one-sided Clopper–Pearson limit: the alpha that solves I_{1-alpha}(n - x, x + 1) = delta at x = n risk.

    Args:
        risk: observed risk in [0, 1].
        n: number of independent answers, real and >= 0; 1.0 is returned at 0.
        delta: level in (0, 1).
    """
    if n <= 0 or risk >= 1:
        return 1.0
    low, high = risk, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if float(tail(n * risk, n, middle)) > delta else (low, middle)
    return high


def answers_needed(risk: float, alpha: float, delta: float, most: int = 10_000_000) -> int | None:
    """Independent answers after which a policy of this risk would be certified; None where that never happens.

    The least n with P(Bin(n, alpha) <= ceil(n risk)) <= delta, by bisection over n (up to the sawtooth that rounding
    n risk causes).

    Args:
        risk: observed risk in [0, 1].
        alpha: tolerated risk in (0, 1).
        delta: level in (0, 1).
        most: larger answers count as never.
    """
    low, high = 0, most

    def passes(n: int) -> bool:
        return float(exact_binomial(min(n, math.ceil(n * risk - 1e-9)), n, alpha)) <= delta

    if risk >= alpha or not passes(most):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
