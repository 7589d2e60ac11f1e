"""The theorem itself: in worlds of known risk the promise breaks in at most delta of the runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rag.risk_control.bounds import betting, exact_binomial, hoeffding_bentkus
from rag.risk_control.fwer import bonferroni, fixed_sequence, holm
from rag.risk_control.procedure import Bound, Control, Procedure, certify
from rag.risk_control.simulation import Draw, World

ALPHA, DELTA, REPEATS, AT = 0.1, 0.05, 2000, 0.5
MOST = binom.ppf(0.9999, REPEATS, DELTA) / REPEATS  # the share of breaks that a rate of delta hardly ever exceeds
TAUS = (0.2, 0.4, 0.45, 0.5, 0.6, 0.7)  # risk is exactly alpha at 0.5, above it before, below it after


def p_values(draw: Draw, tau: float, alpha: float = ALPHA) -> dict[str, np.ndarray]:
    losses = draw.losses(tau, alpha)
    n = (~np.isnan(losses)).sum(axis=0)
    mean = np.nansum(losses, axis=0) / np.maximum(n, 1)
    return {
        "exact": exact_binomial(*draw.counts(tau), alpha),
        "hoeffding-bentkus": hoeffding_bentkus(mean, n, alpha),
        "betting": betting(losses, alpha, DELTA),
    }


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("groups", [50, 200, 1000])
@pytest.mark.parametrize("risk", [ALPHA, ALPHA + 0.005, 3 * ALPHA])
def test_no_bound_certifies_an_untrue_policy_too_often(risk: float, groups: int, clustered: bool) -> None:
    draw = World(risk, AT, clustered).draw(REPEATS, groups, np.random.default_rng(groups))
    for name, p in p_values(draw, AT).items():
        assert np.mean(p <= DELTA) <= MOST, name
        assert np.mean(p <= 0.5) <= 0.5 + 4 * np.sqrt(0.25 / REPEATS), name  # valid at other levels too


@pytest.mark.parametrize("clustered", [False, True])
def test_no_control_lets_any_untrue_policy_through_too_often(clustered: bool) -> None:
    world = World(ALPHA, AT, clustered)
    untrue = world.true_risk(TAUS) >= ALPHA - 1e-12
    assert untrue.sum() == 4
    for groups in (50, 200, 1000):
        draw = world.draw(REPEATS, groups, np.random.default_rng(groups))
        by_tau = [p_values(draw, tau) for tau in TAUS]
        for name in by_tau[0]:
            p = np.stack([row[name] for row in by_tau], axis=1)
            surest_first = range(len(TAUS))[::-1]
            for accepted in (bonferroni(p, DELTA), holm(p, DELTA), fixed_sequence(p, surest_first, DELTA)):
                assert np.mean((accepted & untrue).any(axis=1)) <= MOST, name


@pytest.mark.parametrize(
    ("bound", "control", "clustered"),
    [("exact", "fixed-sequence", False), ("exact", "holm", True), ("betting", "fixed-sequence", True)],
)
def test_certify_end_to_end_keeps_its_promise(bound: Bound, control: Control, clustered: bool) -> None:
    draw = World(ALPHA, AT, clustered).draw(REPEATS, 120, np.random.default_rng(3))
    broken = 0
    for repeat in range(REPEATS):
        outcomes, groups = draw.outcomes(repeat)
        found = certify(outcomes, groups, ALPHA, DELTA, Procedure(TAUS, bound=bound, control=control, seed=repeat))
        broken += any(policy.tau <= AT for policy in found.accepted)
    assert broken / REPEATS <= MOST


def test_counting_dependent_questions_as_independent_would_break_it() -> None:
    draw = World(ALPHA, AT, clustered=True).draw(REPEATS, 200, np.random.default_rng(0))
    naive = exact_binomial(*draw.counts(AT, every=True), ALPHA)
    assert np.mean(naive <= DELTA) > 4 * DELTA  # the test above is able to fail


def test_the_world_has_the_risk_it_says() -> None:
    for clustered in (False, True):
        world = World(0.12, 0.3, clustered)
        draw = world.draw(400, 1000, np.random.default_rng(0))
        for tau in (0.0, 0.3, 0.6):
            wrong, answered = draw.counts(tau)
            assert wrong.sum() / answered.sum() == pytest.approx(float(world.true_risk(tau)), abs=0.005)
        assert float(world.true_risk(0.3)) == pytest.approx(0.12)


@pytest.mark.parametrize("groups", [50, 200, 1000])
def test_power_is_not_below_learn_then_test_of_mapie(groups: int) -> None:
    methods = pytest.importorskip("mapie.risk_control.methods", reason="MAPIE is not installed: no oracle to compare")
    from mapie.risk_control.fwer_control import control_fwer

    draw = World(0.07, AT).draw(300, groups, np.random.default_rng(groups))
    counts = np.array([draw.counts(tau) for tau in TAUS])  # (policies, 2, repeats)
    for repeat in range(300):
        wrong, n = counts[:, 0, repeat], counts[:, 1, repeat]
        ours = exact_binomial(wrong, n, ALPHA)
        for binary in (True, False):
            theirs = methods.compute_hoeffding_bentkus_p_value(wrong / n, n.astype(float), ALPHA, binary=binary)[:, 0]
            assert np.all(ours <= theirs + 1e-9)
            for name, accepted in (("bonferroni", bonferroni(ours, DELTA)), ("bonferroni_holm", holm(ours, DELTA))):
                assert set(control_fwer(theirs, DELTA, name)) <= set(np.flatnonzero(accepted))
            order = np.arange(len(TAUS))[::-1]
            chosen = {int(order[i]) for i in control_fwer(theirs[order], DELTA, "fixed_sequence")}
            assert chosen <= set(np.flatnonzero(fixed_sequence(ours, order, DELTA)))
