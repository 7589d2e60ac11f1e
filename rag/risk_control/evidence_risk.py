"""How many contexts until the evidence is among them: conformal risk control for retrieval alone.

The loss of a question at k is 1 where no supporting passage is among the first k, so it falls as k grows, and that
monotony is worth a lot: no grid correction, no split. Losses are averaged inside groups, which keeps the monotony;
the groups are what is exchangeable. Where groups differ in size, the same is asked of all questions alike, by the
losses of :mod:`rag.risk_control.clusters`, and the worse of both decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rag.errors import InputError
from rag.risk_control import bounds
from rag.risk_control import fwer as familywise
from rag.risk_control.clusters import Groups, group_losses
from rag.risk_control.planning import check_levels, least_groups


@dataclass(frozen=True)
class Ranks:
    """How far down the first supporting passage is, for each question: from 1; inf where none was found."""

    first: tuple[float, ...]


@dataclass(frozen=True)
class EvidenceRisk:
    """How many contexts are enough.

    Attributes:
        k: the smallest certified number of contexts; None where not even ``k_max`` is enough.
        bound: what k keeps at most alpha: the conformal bound on the expected risk, or the p-value at k with delta.
            At ``k_max`` where k is None.
        risks: observed share of missed evidence for k = 1 … k_max: mean over groups or of all questions, the larger.
        groups: how many there were.
        why: one sentence.
    """

    k: int | None
    bound: float
    risks: tuple[float, ...]
    groups: int
    why: str


def certify_contexts(
    first_support: ArrayLike,
    groups: Sequence[str],
    alpha: float,
    k_max: int,
    delta: float | None = None,
    seed: int = 0,
) -> EvidenceRisk:
    """The smallest k that misses the evidence of at most a share alpha of questions.

    Without ``delta``, in expectation over calibration data and the next group: E[L(k)] <= alpha for

        k = min { k : n / (n + 1) R̂(k) + 1 / (n + 1) <= alpha },

    and no more than 2 / (n + 1) is given away where losses jump little. Runs in which no k is found promise nothing and
    count as no loss. Source: Angelopoulos, Bates, Fisch, Lei & Schuster, "Conformal risk control" (ICLR 2024, arXiv
    2208.02814), its main theorem and the matching lower bound, with B = 1.

    With ``delta``, with high probability over the calibration data: P(R(k) <= alpha) >= 1 - delta, by fixed sequence
    testing from k_max downwards with the betting p-value (exact binomial where every group has one question). The
    order needs no learning, for the risk is known to fall in k. Source: Bates et al. (JACM 2021, arXiv 2101.02703);
    "Learn then Test" (arXiv 2110.01052).

    Args:
        first_support: rank (from 1) of the first supporting passage per question; inf or NaN where none was found.
        groups: ``group_id`` per question.
        alpha: tolerated share of missed evidence in (0, 1).
        k_max: most contexts considered, >= 1; ranks beyond it count as missed.
        delta: None for the promise in expectation, or a level in (0, 1).
        seed: order of the bets.

    Raises:
        InputError: a level outside (0, 1), k_max < 1, a rank below 1, lengths that differ, or too few groups.
    """
    check_levels(alpha, 0.5 if delta is None else delta)
    rank = np.asarray(first_support, dtype=np.float64)
    rank = np.where(np.isnan(rank), np.inf, rank)
    if len(rank) != len(groups):
        raise InputError(f"there are {len(rank)} questions but {len(groups)} group ids; give one group per question")
    if k_max < 1 or np.any(rank < 1):
        raise InputError("k_max and the ranks of supporting passages count from 1")
    named = Groups.from_ids(groups)
    n, least = len(named), math.ceil(1 / alpha - 1 - 1e-9) if delta is None else least_groups(alpha, delta)
    if n < max(least, 1):
        raise InputError(
            f"alpha = {alpha:g} needs at least {max(least, 1)} groups (patients or articles) with labelled evidence "
            f"even if none is missed, and there are {n}; label more, or raise alpha"
        )
    missed = rank[:, None] > np.arange(1, k_max + 1)
    losses, risks = [named.means(missed)], missed.mean(axis=0)
    if (named.sizes != (most := named.keeping())).any():
        kept = named.at_most(most, seed)
        every = np.ones_like(missed[kept])
        losses.append(group_losses(every, missed[kept], named.take(kept), alpha, most))
        risks = np.maximum(losses[0].mean(axis=0), missed[kept].mean(axis=0))
    if delta is None:
        score = np.max([n / (n + 1) * some.mean(axis=0) + 1 / (n + 1) for some in losses], axis=0)
        passed = score <= alpha + 1e-12
        promise = "in expectation"
    else:
        if len(rank) == n:
            score = bounds.exact_binomial(missed.sum(axis=0), n, alpha)
        else:
            score = np.max([bounds.betting(some, alpha, delta, seed) for some in losses], axis=0)
        passed = familywise.fixed_sequence(score, np.arange(k_max)[::-1], delta)
        promise = f"with probability at least {1 - delta:g}"
    if not passed.any():
        why = f"{k_max} contexts miss the evidence of {risks[-1]:.3f} of the questions: too often for alpha = {alpha:g}"
        return EvidenceRisk(None, float(score[-1]), tuple(map(float, risks)), n, why)
    at = int(np.flatnonzero(passed)[0])
    why = f"{at + 1} contexts miss the evidence of at most {alpha:g} of the questions, {promise}"
    return EvidenceRisk(at + 1, float(score[at]), tuple(map(float, risks)), n, why)
