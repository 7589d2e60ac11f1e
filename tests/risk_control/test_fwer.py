"""Family-wise controls accept what their definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.risk_control.fwer import bonferroni, fixed_sequence, holm, safest_first

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)
deltas = st.floats(0.01, 0.5)


@given(p_lists, deltas)
def test_holm_steps_down_until_the_first_failure(p: list[float], delta: float) -> None:
    left, accepted = list(range(len(p))), set()
    while left and p[best := min(left, key=lambda i: p[i])] <= delta / len(left):
        left.remove(best)
        accepted.add(best)
    assert set(np.flatnonzero(holm(p, delta))) == accepted


@given(p_lists, deltas)
def test_holm_accepts_at_least_what_bonferroni_accepts(p: list[float], delta: float) -> None:
    assert np.all(holm(p, delta) | ~bonferroni(p, delta))
    assert bonferroni(p, delta).tolist() == [x <= delta / len(p) for x in p]


@given(p_lists, deltas, st.randoms())
def test_a_fixed_sequence_accepts_a_prefix_of_its_order(p: list[float], delta: float, random) -> None:  # type: ignore[no-untyped-def]
    order = random.sample(range(len(p)), random.randint(0, len(p)))
    expected = set()
    for i in order:
        if p[i] > delta:
            break
        expected.add(i)
    assert set(np.flatnonzero(fixed_sequence(p, order, delta))) == expected


@given(p_lists, deltas)
def test_controls_do_not_depend_on_the_order_of_columns(p: list[float], delta: float) -> None:
    there = np.random.default_rng(len(p)).permutation(len(p))
    for control in (holm, bonferroni):
        assert control(np.array(p)[there], delta).sum() == control(p, delta).sum()


def test_rows_are_independent_experiments() -> None:
    p = np.random.default_rng(0).random((50, 6)) ** 3
    for control in (holm, bonferroni, lambda p, d: fixed_sequence(p, [3, 1, 0], d)):
        np.testing.assert_array_equal(control(p, 0.2), np.array([control(row, 0.2) for row in p]))


def test_a_policy_twice_in_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        fixed_sequence([0.1, 0.2], [0, 0], 0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_the_learned_order_rises_in_score_and_in_coverage(rows: list[tuple[float, float]]) -> None:
    score, coverage = np.array(rows).T
    order = safest_first(score, coverage)
    assert np.all(np.diff(score[order]) >= 0)
    assert np.all(np.diff(coverage[order]) > 0)
    covering = coverage > 0
    assert (len(order) == 0) == (not covering.any())
    if len(order):
        assert score[order[0]] == score[covering].min()
        assert coverage[order[-1]] == coverage.max()
