"""P-values for the claim "this policy is wrong too often", and intervals for reports.

Every p-value tests H: R > alpha for one policy, is valid at every sample size (no asymptotics) and lies in [0, 1]:
P(p <= u) <= u for all u whenever R >= alpha. All functions work on whole arrays of policies at once. A policy with
no observation has p = 1: silence proves nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TRUNCATION = 0.9  # never stake all on the next loss being small; group means are, so more than their 1/2 or 3/4
_WHOLE = 1e-9  # a sum of floats this close to an integer is that integer


def _special() -> Any:
    """scipy.special, loaded when first needed: it costs a tenth of a second that ``import rag`` must not pay."""
    return import_module("scipy.special")


def exact_binomial(wrong: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """Exact binomial tail, for 0/1 losses.

    p = P(Bin(n, alpha) <= wrong) = sum_{i <= wrong} C(n, i) alpha^i (1 - alpha)^(n - i).

    The most powerful test of R > alpha for independent 0/1 losses. Source: the tail behind the limits of Clopper &
    Pearson (Biometrika 1934); in risk control Angelopoulos, Bates, Candès, Jordan & Lei, "Learn then Test" (arXiv
    2110.01052), where for binary losses the factor e of the Bentkus p-value falls away.

    Args:
        wrong: wrong answers per policy, integers in [0, n]; any shape.
        n: answers per policy, integers >= 0; broadcasts with ``wrong``.
        alpha: tolerated risk in (0, 1).
    """
    x, m = np.broadcast_arrays(np.asarray(wrong, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if np.any((x < 0) | (x > m) | (x != np.floor(x)) | (m != np.floor(m))):
        raise ValueError("the exact test needs whole counts with 0 <= wrong <= n")
    return np.asarray(_special().bdtr(x, m.astype(np.int64), alpha), dtype=np.float64)


def hoeffding_bentkus(mean: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """Hoeffding–Bentkus, for any losses in [0, 1].

    p = min( exp(-n h1(min(mean, alpha), alpha)),  e P(Bin(n, alpha) <= ceil(n mean)),  1 ),
    h1(a, b) = a ln(a / b) + (1 - a) ln((1 - a) / (1 - b)).

    Source: the Hoeffding–Bentkus inequality p-value of "Learn then Test" (arXiv 2110.01052), after Bates, Angelopoulos,
    Lei, Malik & Jordan, "Distribution-free, risk-controlling prediction sets" (JACM 2021, arXiv 2101.02703); the two
    halves are Hoeffding (1963) in its relative-entropy form and Bentkus (Ann. Probab. 2004).

    Args:
        mean: mean loss per policy, in [0, 1]; any value where ``n`` is 0.
        n: losses per policy, integers >= 0; broadcasts with ``mean``.
        alpha: tolerated risk in (0, 1).
    """
    r, m = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(n, dtype=np.float64))
    r = np.where(m > 0, r, 1.0)
    if np.any(~((r >= -_WHOLE) & (r <= 1 + _WHOLE))):
        raise ValueError("mean losses must lie in [0, 1]")
    low = np.clip(r, 0, alpha)
    special = _special()
    # xlogy is 0 at 0, the limit that h1 needs for a mean of exactly 0
    h1 = special.xlogy(low, low / alpha) + special.xlogy(1 - low, (1 - low) / (1 - alpha))
    ceiling = np.minimum(np.ceil(m * np.clip(r, 0, 1) - _WHOLE * (1 + m)), m)
    bentkus = np.e * special.bdtr(ceiling, m.astype(np.int64), alpha)
    return np.asarray(np.minimum(np.minimum(np.exp(-m * h1), bentkus), 1.0), dtype=np.float64)


def betting(losses: ArrayLike, alpha: float, delta: float = 0.05, seed: int | None = 0) -> Floats:
    """Betting: the capital of a gambler who bets that losses are smaller than alpha; for any losses in [0, 1].

    K_t = prod_{i <= t} (1 + nu_i (alpha - L_i)),  p = min(1, 1 / max_t K_t),
    nu_i = min( c / (1 - alpha),  sqrt(2 ln(1/delta) / (n v_{i-1})) ),  c = 9/10,
    m_i = (1/2 + sum_{j<=i} L_j) / (i + 1),  v_i = (1/4 + sum_{j<=i} (L_j - m_j)^2) / (i + 1).

    Where R >= alpha every fair bet shrinks in expectation: nu_i looks only at losses before i, so K is a non-negative
    supermartingale from 1 and Ville's inequality gives P(max_t K_t >= 1/u) <= u. Source: Waudby-Smith & Ramdas,
    "Estimating means of bounded random variables by betting" (JRSS-B 2024, arXiv 2010.09686): the capital process with
    predictable plug-in bets for a fixed n, one-sided; for risk control the Waudby-Smith–Ramdas bound of Bates et al.
    (2021). It adapts to the variance, which group means make small; Hoeffding–Bentkus does not.

    Args:
        losses: shape (n, policies) or (n,), values in [0, 1], NaN where the policy gave no answer. Silent rows are
            skipped: given which rows speak, the others are still independent, and of one law.
        alpha: tolerated risk in (0, 1).
        delta: level the bets are tuned for; the p-value is valid at all levels.
        seed: rows are bet on in a random order of this seed; None keeps the order given, which must not depend on
            the losses.

    Returns:
        p-values, shape (policies,) — or a 0-d array for one-dimensional losses.
    """
    table = np.asarray(losses, dtype=np.float64)
    x = table.reshape(len(table), -1)
    spoke = ~np.isnan(x)
    x = np.where(spoke, x, 0.0)
    if x.size and (x.min() < -_WHOLE or x.max() > 1 + _WHOLE):
        raise ValueError("losses must lie in [0, 1], or be NaN where nothing was answered")
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(x))
        x, spoke = x[order], spoke[order]
    seen = np.cumsum(spoke, axis=0)
    mean = (0.5 + np.cumsum(x, axis=0)) / (seen + 1)
    variance = (0.25 + np.cumsum(np.square(x - mean) * spoke, axis=0)) / (seen + 1)
    before = np.vstack([np.full((1, x.shape[1]), 0.25), variance[:-1]])
    n = np.maximum(spoke.sum(axis=0), 1)
    stake = np.minimum(_TRUNCATION / (1 - alpha), np.sqrt(2 * np.log(1 / delta) / (n * before)))
    capital = np.cumsum(np.log1p(stake * (alpha - x)) * spoke, axis=0)
    best = np.max(capital, axis=0, initial=0.0)
    return np.asarray(np.exp(-best), dtype=np.float64).reshape(table.shape[1:])


def clopper_pearson(wrong: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Clopper–Pearson interval of a share, for reports.

    lower = B(a/2; wrong, n - wrong + 1), upper = B(1 - a/2; wrong + 1, n - wrong), a = 1 - level, with B the quantile
    of the beta distribution; lower is 0 at wrong = 0 and upper 1 at wrong = n. Source: Clopper & Pearson (Biometrika
    1934). Real-valued counts are allowed: with an effective n this is the interval of Korn & Graubard (Survey
    Methodology 1998) for clustered samples.

    Args:
        wrong: count in [0, n]; any shape.
        n: number of answers >= 0; at 0 the interval is [0, 1].
        level: two-sided confidence in (0, 1).
    """
    x, m = np.broadcast_arrays(np.asarray(wrong, dtype=np.float64), np.asarray(n, dtype=np.float64))
    quantile, tail = _special().betaincinv, (1 - level) / 2
    inside = np.maximum(m - x, 0)
    lower = np.where(x > 0, quantile(np.maximum(x, _WHOLE), inside + 1, tail), 0.0)
    upper = np.where(inside > 0, quantile(x + 1, np.maximum(inside, _WHOLE), 1 - tail), 1.0)
    return np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)


def tail(wrong: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """The binomial tail continued to real counts, I_{1-alpha}(n - wrong, wrong + 1): a score to order policies by.

    Equals :func:`exact_binomial` at whole counts. Between them it is no p-value; an order needs none.
    """
    x, m = np.broadcast_arrays(np.asarray(wrong, dtype=np.float64), np.asarray(n, dtype=np.float64))
    rest = m - x
    value = _special().betainc(np.maximum(rest, _WHOLE), x + 1, 1 - alpha)
    return np.asarray(np.where(rest > _WHOLE, value, 1.0), dtype=np.float64)
