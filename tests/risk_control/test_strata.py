"""Domains with enough groups are certified alone, the others together, and delta is spent once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rag.errors import InputError
from rag.risk_control.planning import groups_needed
from rag.risk_control.policy import Outcomes
from rag.risk_control.procedure import LEARNING_SHARE, Procedure, certify
from rag.risk_control.simulation import World
from rag.risk_control.strata import strata

ALPHA, DELTA = 0.1, 0.05


def chosen(**sizes: int) -> tuple[tuple[str, ...], ...]:
    groups = {name: {f"{name}{i}" for i in range(n)} for name, n in sizes.items()}
    return strata(groups, ALPHA, DELTA, 1, LEARNING_SHARE)


def need(parts: int) -> int:
    return groups_needed(ALPHA, DELTA / parts, 1, LEARNING_SHARE)


def test_enough_is_counted_at_the_shared_delta_with_the_learning_part() -> None:
    assert chosen(a=need(2), b=need(2)) == (("a",), ("b",))
    assert chosen(a=need(2), b=need(2) - 1) == (("a",),), "one alone is certified at the whole delta"
    assert need(1) < need(2) < need(3)


def test_small_domains_share_one_certificate_or_none() -> None:
    half = need(2) // 2 + 1
    assert chosen(a=200, b=half, c=half) == (("a",), ("b", "c"))
    assert chosen(a=200, b=3, c=4) == (("a",),)
    assert chosen(a=need(1) // 2 + 1, b=need(1) // 2 + 1) == (("a", "b"),)
    assert chosen(a=3, b=4) == ()
    assert chosen() == ()


def test_groups_of_two_domains_count_once() -> None:
    same = {f"g{i}" for i in range(need(1) - 1)}
    assert strata({"a": same, "b": same}, ALPHA, DELTA, 1, LEARNING_SHARE) == ()


def test_all_parts_hold_at_once_and_the_average_does_not_protect_the_worse_domain() -> None:
    """Two domains of 60 groups; the risk is exactly alpha at 0.5 in one, and falls short of it in the other."""
    taus, repeats = (0.3, 0.5, 0.6, 0.8), 600
    rng = np.random.default_rng(5)
    draws = {"hard": World(ALPHA, 0.5).draw(repeats, 90, rng), "easy": World(0.01, 0.5).draw(repeats, 210, rng)}
    apart = pooled = 0
    for i in range(repeats):
        made = {name: draw.outcomes(i) for name, draw in draws.items()}
        try:
            alone = {
                name: certify(o, g, ALPHA, DELTA / 2, Procedure(taus, seed=i)).accepted for name, (o, g) in made.items()
            }
        except InputError:
            pytest.fail("90 groups are enough")
        apart += any(p.tau <= 0.5 for p in alone["hard"])
        both = [o for o, _ in made.values()]
        outcomes = Outcomes(
            tuple(f"{n}{q}" for n, (o, _) in made.items() for q in o.ids),
            both[0].settings,
            np.vstack([o.correct for o in both]),
            np.vstack([o.confidence for o in both]),
        )
        groups = [f"{n}{g}" for n, (_, gs) in made.items() for g in gs]
        policy = certify(outcomes, groups, ALPHA, DELTA, Procedure(taus, seed=i)).policy
        pooled += policy is not None and policy.tau <= 0.5
    assert apart / repeats <= binom.ppf(0.9999, repeats, DELTA) / repeats
    assert pooled / repeats > 0.5, "a pooled certificate speaks of the average alone"
