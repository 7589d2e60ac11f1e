"""How many contexts until the evidence is among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import InputError
from rag.risk_control.bounds import exact_binomial
from rag.risk_control.evidence_risk import certify_contexts

RANKS = np.arange(1, 11)
LAW = np.array([0.5, 0.15, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03])  # P(first support at rank k)


def own(n: int) -> list[str]:
    return [f"g{i}" for i in range(n)]


@given(st.lists(st.integers(1, 12), min_size=10, max_size=60), st.floats(0.1, 0.9))
def test_k_is_the_smallest_whose_conformal_bound_is_below_alpha(ranks: list[int], alpha: float) -> None:
    n = len(ranks)
    bounds = {k: (sum(r > k for r in ranks) + 1) / (n + 1) for k in range(1, 9)}
    found = certify_contexts(ranks, own(n), alpha, 8)
    assert found.k == min((k for k, b in bounds.items() if b <= alpha + 1e-12), default=None)
    assert found.bound == pytest.approx(bounds[found.k or 8])
    assert list(found.risks) == sorted(found.risks, reverse=True)


def test_the_expected_risk_is_kept_and_little_is_given_away() -> None:
    rng, missed = np.random.default_rng(0), []
    true = 1 - np.cumsum(LAW)
    for _ in range(2000):
        k = certify_contexts(rng.choice(RANKS, 60, p=LAW), own(60), 0.2, 10).k
        assert k is not None
        missed.append(true[k - 1])
    assert np.mean(missed) <= 0.2 + 3 * np.std(missed) / np.sqrt(2000)


@pytest.mark.parametrize("per_group", [1, 3])
def test_with_delta_the_risk_is_kept_with_high_probability(per_group: int) -> None:
    rng, broken = np.random.default_rng(1), 0
    alpha, true = 0.2 - 1e-9, 1 - np.cumsum(LAW)  # k = 4 has risk exactly 0.2: just above alpha
    for _ in range(2000):
        ranks = np.repeat(rng.choice(RANKS, 100, p=LAW), per_group)
        groups = [f"g{i // per_group}" for i in range(len(ranks))]
        found = certify_contexts(ranks, groups, alpha, 10, delta=0.1)
        broken += found.k is not None and true[found.k - 1] > alpha
    assert broken / 2000 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 2000)


@pytest.mark.parametrize("delta", [None, 0.1])
def test_more_questions_about_patients_whose_evidence_is_hard_to_find_take_more_contexts(delta: float | None) -> None:
    rng, k_of, alike = np.random.default_rng(3), [], []
    for _ in range(200):
        hard = rng.random(200) < 0.1
        of = np.repeat(np.arange(200), np.where(hard, 8, 1))
        ranks = np.where(hard[of] & (rng.random(len(of)) < 0.6), 8, 1)  # 28% of all questions, 6% of patients
        k_of.append(certify_contexts(ranks, [f"g{g}" for g in of], 0.25, 10, delta).k)
        first = np.unique(of, return_index=True)[1]
        alike.append(certify_contexts(ranks[first], own(200), 0.25, 10, delta).k)
    assert np.mean([k is not None and k < 8 for k in k_of]) <= (0.3 if delta is None else 0.1)
    assert set(alike) == {1}, "one question of each patient would have been content"


def test_with_delta_and_single_questions_the_test_is_exact() -> None:
    ranks = np.random.default_rng(2).choice(RANKS, 200, p=LAW)
    found = certify_contexts(ranks, own(200), 0.3, 10, delta=0.05)
    assert found.k is not None
    assert found.bound == pytest.approx(float(exact_binomial((ranks > found.k).sum(), 200, 0.3)))
    assert float(exact_binomial((ranks > found.k - 1).sum(), 200, 0.3)) > 0.05


def test_evidence_never_found_certifies_nothing() -> None:
    found = certify_contexts([np.inf, np.nan] * 20, own(40), 0.2, 5)
    assert found.k is None
    assert "too often" in found.why


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1] * 8, own(8), 0.1, 5), "at least 9 groups"),
        (([1] * 8, own(8), 0.1, 5, 0.05), "at least 29 groups"),
        (([0] * 20, own(20), 0.1, 5), "count from 1"),
        (([1] * 20, own(20), 0.1, 0), "count from 1"),
        (([1] * 20, own(19), 0.1, 5), "19 group ids"),
        (([1] * 20, own(20), 1.0, 5), "alpha"),
        (([1] * 20, own(20), 0.1, 5, 0.0), "delta"),
    ],
)
def test_bad_input_is_refused(arguments, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        certify_contexts(*arguments)
