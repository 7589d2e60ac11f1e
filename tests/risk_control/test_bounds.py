"""P-values have their closed forms, agree with brute force, and behave."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from rag.risk_control.bounds import betting, clopper_pearson, exact_binomial, hoeffding_bentkus, tail

levels = st.floats(0.01, 0.9)
samples = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(st.integers(0, 60), st.integers(0, 60), levels)
def test_the_exact_tail_is_the_binomial_sum(wrong: int, more: int, alpha: float) -> None:
    n = wrong + more
    by_hand = sum(math.comb(n, i) * alpha**i * (1 - alpha) ** (n - i) for i in range(wrong + 1))
    p = float(exact_binomial(wrong, n, alpha))
    assert p == pytest.approx(by_hand, abs=1e-12)
    assert p == pytest.approx(binom.cdf(wrong, n, alpha), abs=1e-12)
    assert float(tail(wrong, n, alpha)) == pytest.approx(p, abs=1e-7)


def test_the_exact_test_is_valid_by_enumeration() -> None:
    # every outcome of 12 answers, weighted by its probability in a world of risk exactly alpha
    for alpha, level in product((0.05, 0.2, 0.5), (0.01, 0.05, 0.3)):
        x = np.arange(13)
        assert binom.pmf(x, 12, alpha)[exact_binomial(x, 12, alpha) <= level].sum() <= level + 1e-12


@given(st.floats(0, 1), st.integers(1, 500), levels)
def test_hoeffding_bentkus_is_the_smaller_of_its_two_halves(mean: float, n: int, alpha: float) -> None:
    def h1(a: float, b: float) -> float:
        return (a * math.log(a / b) if a else 0.0) + ((1 - a) * math.log((1 - a) / (1 - b)) if a < 1 else 0.0)

    hoeffding = math.exp(-n * h1(min(mean, alpha), alpha))
    bentkus = math.e * binom.cdf(math.ceil(n * mean - 1e-9 * (1 + n)), n, alpha)
    assert float(hoeffding_bentkus(mean, n, alpha)) == pytest.approx(min(1, hoeffding, bentkus), abs=1e-9)


def test_whole_sums_are_not_rounded_up() -> None:
    # 0.29 * 100 is 28.999999999999996 and 0.07 * 100 is 7.000000000000001: both are whole
    for x in (7, 29):
        assert float(hoeffding_bentkus(x / 100, 100, 0.5)) <= math.e * binom.cdf(x, 100, 0.5) + 1e-15


@given(samples, levels)
def test_betting_is_the_capital_process_step_by_step(losses: list[float], alpha: float) -> None:
    n, capital, best, total, spread, variance = len(losses), 1.0, 1.0, 0.0, 0.0, 0.25
    for i, loss in enumerate(losses, start=1):
        stake = min(0.9 / (1 - alpha), math.sqrt(2 * math.log(20) / (n * variance)))
        capital *= 1 + stake * (alpha - loss)
        best = max(best, capital)
        total += loss
        spread += (loss - (0.5 + total) / (i + 1)) ** 2
        variance = (0.25 + spread) / (i + 1)
    assert float(betting(losses, alpha, 0.05, seed=None)) == pytest.approx(1 / best, rel=1e-9)


@given(samples, st.lists(st.booleans(), min_size=40, max_size=40), levels)
def test_silent_groups_change_no_bet(losses: list[float], gaps: list[bool], alpha: float) -> None:
    spaced = []
    for loss, gap in zip(losses, gaps, strict=False):
        spaced += [np.nan, loss] if gap else [loss]
    spaced += losses[len(gaps) :]
    assert float(betting(spaced, alpha, seed=None)) == pytest.approx(float(betting(losses, alpha, seed=None)), rel=1e-9)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(30, 60), levels)
def test_vectorised_equals_scalar_lies_in_the_unit_interval_and_rises_with_risk(
    wrong: list[int], n: int, alpha: float
) -> None:
    wrong = sorted(wrong)
    table = np.array([[1.0] * x + [0.0] * (n - x) for x in wrong]).T
    for together, alone in (
        (exact_binomial(wrong, n, alpha), [exact_binomial(x, n, alpha) for x in wrong]),
        (hoeffding_bentkus(np.array(wrong) / n, n, alpha), [hoeffding_bentkus(x / n, n, alpha) for x in wrong]),
        (betting(table, alpha), [betting(column, alpha) for column in table.T]),
    ):
        np.testing.assert_allclose(together, np.array(alone))
        assert np.all((together >= 0) & (together <= 1))
    assert np.all(np.diff(exact_binomial(wrong, n, alpha)) >= 0)
    assert np.all(np.diff(hoeffding_bentkus(np.array(wrong) / n, n, alpha)) >= -1e-12)
    assert float(exact_binomial(wrong[0], n, alpha)) <= float(hoeffding_bentkus(wrong[0] / n, n, alpha)) + 1e-12


@given(samples, st.integers(0, 5))
def test_no_losses_are_better_evidence_than_none_at_all(losses: list[float], seed: int) -> None:
    assert float(betting([0.0] * len(losses), 0.2, seed=seed)) <= float(betting(losses, 0.2, seed=seed)) + 1e-12


def test_silence_has_no_evidence() -> None:
    assert float(exact_binomial(0, 0, 0.1)) == 1
    assert float(hoeffding_bentkus(np.nan, 0, 0.1)) == 1
    assert betting(np.full((5, 2), np.nan), 0.1).tolist() == [1, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact_binomial(3, 2, 0.1),
        lambda: exact_binomial(0.5, 2, 0.1),
        lambda: hoeffding_bentkus(1.2, 5, 0.1),
        lambda: hoeffding_bentkus(np.nan, 5, 0.1),
        lambda: betting([0.2, 1.3], 0.1),
    ],
)
def test_impossible_numbers_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"counts|\[0, 1\]"):
        call()


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.99))
def test_the_interval_is_that_of_clopper_and_pearson(wrong: int, more: int, level: float) -> None:
    n, a = wrong + more, 1 - level
    low, high = (float(v) for v in clopper_pearson(wrong, n, level))
    assert low == pytest.approx(beta.ppf(a / 2, wrong, more + 1) if wrong else 0.0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(1 - a / 2, wrong + 1, more), abs=1e-9)
    assert low <= wrong / n <= high


@settings(max_examples=20)
@given(st.floats(0.01, 0.99))
def test_the_interval_covers_the_truth_at_least_as_often_as_it_says(risk: float) -> None:
    x = np.arange(41)
    low, high = clopper_pearson(x, 40, 0.9)
    assert binom.pmf(x, 40, risk)[(low <= risk) & (risk <= high)].sum() >= 0.9 - 1e-9


def test_nothing_seen_leaves_the_whole_interval() -> None:
    assert [float(v) for v in clopper_pearson(0, 0)] == [0, 1]
    assert float(clopper_pearson(5, 5)[1]) == 1
