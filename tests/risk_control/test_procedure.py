"""From outcomes to a certificate."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from rag.errors import InputError
from rag.risk_control.bounds import exact_binomial
from rag.risk_control.clusters import Groups
from rag.risk_control.fwer import fixed_sequence, safest_first
from rag.risk_control.planning import answers_needed, least_groups, smallest_alpha
from rag.risk_control.policy import Outcomes, Policy, apply_thresholds, grid
from rag.risk_control.procedure import BOUNDS, CONTROLS, Certification, Procedure, certify

TAUS = (0.0, 0.3, 0.6, 0.9)


def made(n: int = 400, per_group: int = 1, seed: int = 0, rate: float = 0.3) -> tuple[Outcomes, list[str]]:
    """Questions whose answers are the better the surer; the second setting is the better one."""
    rng = np.random.default_rng(seed)
    confidence = rng.random((n, 2))
    correct = rng.random((n, 2)) >= (1 - confidence) * np.array([2 * rate, rate])
    groups = [f"p{i // per_group}" for i in range(n)]
    return Outcomes(tuple(f"q{i}" for i in range(n)), ((1, 0.3), (5, 0.3)), correct, confidence), groups


def run(outcomes: Outcomes, groups: list[str], alpha: float = 0.15, delta: float = 0.05, **how) -> Certification:  # type: ignore[no-untyped-def]
    return certify(outcomes, groups, alpha, delta, Procedure(TAUS, **how))


def test_policies_are_applied_cell_by_cell() -> None:
    outcomes, _ = made(30)
    outcomes.confidence[3, 1] = np.nan
    outcomes.confidence[4] = 0.6  # exactly on a threshold: answered
    judged, policies = apply_thresholds(outcomes, TAUS), grid(outcomes.settings, TAUS)
    assert policies[5] == Policy(5, 0.3, 0.3)
    for q in range(30):
        for p, policy in enumerate(policies):
            c = outcomes.settings.index((policy.k, policy.gamma))
            answered = bool(outcomes.confidence[q, c] >= policy.tau)
            assert judged.answered[q, p] == answered
            assert judged.wrong[q, p] == (answered and not outcomes.correct[q, c])


def test_a_route_threshold_answers_only_where_the_router_is_sure() -> None:
    outcomes, groups = made(600, rate=0.4)
    lost = np.arange(600) % 2 == 0  # half of the questions are routed unsurely, and all answers to them are wrong
    outcomes = replace(outcomes, correct=outcomes.correct & ~lost[:, None], route=np.where(lost, 0.5, 0.95))
    judged, policies = apply_thresholds(outcomes, TAUS, (0.0, 0.9)), grid(outcomes.settings, TAUS, (0.0, 0.9))
    for p, policy in enumerate(policies):
        c = outcomes.settings.index((policy.k, policy.gamma))
        answered = (outcomes.confidence[:, c] >= policy.tau) & (outcomes.route >= policy.rho)
        np.testing.assert_array_equal(judged.answered[:, p], answered)
    assert run(outcomes, groups).policy is None
    found = run(outcomes, groups, routes=(0.0, 0.9)).policy
    assert found is not None
    assert found.rho == 0.9
    assert str(found).endswith("rho=0.9")
    assert Policy.from_dict(found.as_dict()) == found


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("per_group", [1, 4])
def test_a_clear_case_is_certified_with_the_widest_coverage(bound: str, control: str, per_group: int) -> None:
    found = run(*made(2000, per_group, rate=0.2), bound=bound, control=control)  # type: ignore[arg-type]
    assert found.policy in found.accepted
    assert found.policy == found.candidate
    assert found.p_value <= 0.05
    assert found.risk is not None
    assert found.risk < 0.15
    assert found.interval[0] <= found.risk <= found.interval[1]
    assert found.smallest_alpha <= 0.15
    assert found.groups + found.learning_groups == 2000 // per_group
    assert found.bound == (("exact" if per_group == 1 else "betting") if bound == "auto" else bound)
    assert found.effective_n <= found.answers <= found.questions


def test_the_exact_p_value_is_that_of_its_counts() -> None:
    found = run(*made(400), control="holm")
    assert found.p_value == pytest.approx(binom.cdf(found.wrong, found.answers, 0.15))
    assert found.risk == pytest.approx(found.wrong / found.answers)
    assert found.coverage == pytest.approx(found.answers / found.questions)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_learned_on_other_groups_than_the_test(seed: int) -> None:
    outcomes, groups = made(500, seed=seed)
    found = run(outcomes, groups, seed=seed)
    # by hand, with rows as certify sorts them: by group, one question each
    rows = np.argsort(groups)
    judged, named = apply_thresholds(outcomes.take(rows), TAUS), Groups.from_ids(groups).take(rows)
    first, rest = named.split(found.learning_groups, seed)
    answered, wrong = judged.answered.sum(axis=0), judged.wrong.sum(axis=0)
    learned, tested = (judged.take(part) for part in (first, rest))
    order = safest_first(
        exact_binomial(learned.wrong.sum(axis=0), learned.answered.sum(axis=0), 0.15), learned.answered.mean(axis=0)
    )
    p = exact_binomial(tested.wrong.sum(axis=0), tested.answered.sum(axis=0), 0.15)
    np.testing.assert_array_equal(answered, tested.answered.sum(axis=0) + learned.answered.sum(axis=0))
    np.testing.assert_array_equal(wrong, tested.wrong.sum(axis=0) + learned.wrong.sum(axis=0))
    accepted = np.flatnonzero(fixed_sequence(p, order, 0.05))
    policies = grid(outcomes.settings, TAUS)
    assert found.accepted == tuple(policies[i] for i in accepted)
    if len(accepted):
        assert found.coverage == max(tested.answered[:, i].mean() for i in accepted)


def test_rows_in_another_order_give_the_same_certificate() -> None:
    outcomes, groups = made(600, 3)
    there = np.random.default_rng(5).permutation(600)
    for bound in ("exact", "betting"):
        one = run(outcomes, groups, bound=bound)
        assert run(outcomes.take(there), [groups[i] for i in there], bound=bound) == one


def test_nothing_certified_says_why_and_what_was_nearest() -> None:
    found = run(*made(300, rate=0.5), alpha=0.02)
    assert (found.policy, found.accepted) == (None, ())
    assert "no policy was shown to have risk at most 0.02" in found.why
    assert str(found.candidate) in found.why
    assert found.smallest_alpha > 0.02


def test_silence_has_no_certificate() -> None:
    outcomes, groups = made(200)
    silent = replace(outcomes, confidence=np.full((200, 2), np.nan))
    found = run(silent, groups)
    assert found.policy is None
    assert found.risk is None
    assert "silence" in found.why
    assert found.alpha_with(10_000) == 1.0


def test_more_groups_reach_a_smaller_alpha() -> None:
    found = run(*made(600))
    total = found.groups + found.learning_groups
    assert found.alpha_with(total) == pytest.approx(found.smallest_alpha)
    assert found.risk is not None
    assert found.risk < found.alpha_with(4 * total) < found.alpha_with(2 * total) < found.smallest_alpha
    alpha = found.alpha_with(3 * total)
    assert found.groups_for(alpha) == pytest.approx(3 * total, rel=0.1), "the two plans agree"
    assert found.groups_for(found.risk / 2) is None


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_levels_outside_the_unit_interval_are_refused(delta: float) -> None:
    with pytest.raises(InputError, match="delta must lie strictly between 0 and 1"):
        run(*made(), delta=delta)
    with pytest.raises(InputError, match="alpha must lie strictly between 0 and 1"):
        run(*made(), alpha=delta)


@pytest.mark.parametrize("control", CONTROLS)
def test_too_few_groups_are_told_how_many_are_needed(control: str) -> None:
    with pytest.raises(InputError, match="needs at least") as refusal:
        run(*made(20), control=control)  # type: ignore[arg-type]
    needed = int(str(refusal.value).split("at least ")[1].split()[0])
    outcomes, groups = made(needed, rate=0.0)
    assert run(outcomes, groups, control=control).groups >= least_groups(0.15, 0.05)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs at least"):
        run(*made(needed - 1, rate=0.0), control=control)  # type: ignore[arg-type]


def test_bad_input_is_one_sentence() -> None:
    outcomes, groups = made(200)
    cases = [
        ("occurs 2 times", lambda: replace(outcomes, ids=("q0", *outcomes.ids[:-1]))),
        ("outside", lambda: replace(outcomes, confidence=outcomes.confidence + 1)),
        ("one row per question", lambda: replace(outcomes, correct=outcomes.correct[:5])),
        ("is wrong", lambda: replace(outcomes, correct=np.zeros((200, 2), dtype=bool)).check_labels(True)),
        ("is right", lambda: replace(outcomes, correct=np.ones((200, 2), dtype=bool)).check_labels()),
        ("probabilities", lambda: replace(outcomes, route=np.full(200, 1.1))),
        ("199 group ids", lambda: run(outcomes, groups[:-1])),
        ("no bound", lambda: run(outcomes, groups, bound="wald")),
        ("no control", lambda: run(outcomes, groups, control="none")),
        ("learning", lambda: run(outcomes, groups, learning_share=1.0)),
        ("empty", lambda: certify(outcomes, groups, 0.1, 0.05, Procedure(()))),
    ]
    for words, call in cases:
        with pytest.raises(InputError, match=words) as refusal:
            call()
        assert str(refusal.value).count(". ") == 0


def test_plans_solve_their_equations() -> None:
    assert least_groups(0.1, 0.05) == 29
    assert (0.9**29 <= 0.05) and (0.9**28 > 0.05)
    assert least_groups(0.1, 0.05, tests=1000) == 94
    alpha = smallest_alpha(0.04, 100, 0.05)
    assert binom.cdf(4, 100, alpha) == pytest.approx(0.05, abs=1e-6)
    n = answers_needed(0.05, 0.1, 0.05)
    assert n is not None
    assert float(exact_binomial(math.ceil(0.05 * n), n, 0.1)) <= 0.05
    assert answers_needed(0.1, 0.1, 0.05) is None
    assert answers_needed(0.0, 0.1, 0.05) == 29


def test_ten_thousand_questions_and_a_thousand_policies_take_seconds() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random((10_000, 50))
    outcomes = Outcomes(
        tuple(map(str, range(10_000))),
        tuple((k, 0.3) for k in range(1, 51)),
        rng.random((10_000, 50)) >= 0.3 * (1 - confidence),
        confidence,
    )
    for per_group in (1, 3):
        start = time.process_time()  # not the wall clock: other work on the machine is no fault of ours
        found = certify(outcomes, [f"g{i // per_group}" for i in range(10_000)], 0.1, 0.05)
        assert found.policies == 1000
        assert found.policy is not None
        assert time.process_time() - start < 3
