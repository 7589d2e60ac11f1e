"""The theorem itself: in worlds of known risk the promise breaks in at most delta of the runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rag.risk_control.bounds import betting, exact_binomial, hoeffding_bentkus
from rag.risk_control.clusters import Groups, group_losses
from rag.risk_control.fwer import bonferroni, fixed_sequence, holm
from rag.risk_control.policy import Outcomes
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


def asked_most_about_the_hardest(groups: int, rng: np.random.Generator) -> tuple[Outcomes, list[str]]:
    """One question about nine patients in ten, eight about the tenth, who is so much harder that the answers to all
    questions are wrong in a share just above ALPHA, those of a random patient in less than half of that; answers about
    one patient go together (beta-binomial, correlation 0.3)."""
    hard = rng.random(groups) < 0.1
    rate = np.where(hard, 9.0, 1.0) * (ALPHA + 0.002) * 1.7 / (0.9 + 0.8 * 9.0)
    own = rng.beta(rate * 0.7 / 0.3, (1 - rate) * 0.7 / 0.3)
    of = np.repeat(np.arange(groups), np.where(hard, 8, 1))
    wrong, names = rng.random(len(of)) < own[of], [f"p{g:04}" for g in of]
    ids = tuple(f"{g}/{i}" for i, g in enumerate(names))
    return Outcomes(ids, ((1, 1.0),), ~wrong[:, None], np.ones((len(of), 1))), names


@pytest.mark.parametrize("groups", [100, 400])
def test_it_keeps_its_promise_where_more_is_asked_about_patients_who_are_harder(groups: int) -> None:
    repeats, broken, by_patient_alone = 400, 0, 0
    for repeat in range(repeats):
        outcomes, names = asked_most_about_the_hardest(groups, np.random.default_rng([groups, repeat]))
        found = certify(outcomes, names, ALPHA, DELTA, Procedure((0.5,), seed=repeat))
        broken += found.policy is not None
        named = Groups.from_ids(names)
        losses = group_losses(np.ones((len(names), 1), dtype=bool), ~outcomes.correct, named, ALPHA)
        by_patient_alone += float(betting(losses, ALPHA, DELTA)[0]) <= DELTA
    assert broken / repeats <= binom.ppf(0.9999, repeats, DELTA) / repeats
    assert by_patient_alone / repeats > 8 * DELTA  # the assertion above is able to fail


def test_what_is_promised_of_patients_and_of_questions_is_said() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, size=400)
    names = [f"p{g}" for g, size in enumerate(sizes) for _ in range(size)]
    right = rng.random((len(names), 1)) > 0.02
    outcomes = Outcomes(tuple(map(str, range(len(names)))), ((1, 1.0),), right, np.ones((len(names), 1)))
    found = certify(outcomes, names, ALPHA, DELTA, Procedure((0.5,)))
    assert found.most == 3
    assert "for each question alike, none counting for more than 3 questions" in found.why
    assert found.risk is not None
    assert found.risk >= found.wrong / found.answers - 1e-12


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
