"""Metrics of answers that may be withheld."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from rag.evaluation.selective import BINS, calibration_error, measure_selection

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(ANSWERS)
def test_all_measures_stay_in_their_range(answers: list[tuple[float, bool]]) -> None:
    found = measure_selection([c for c, _ in answers], [r for _, r in answers])
    assert all(0 <= estimate.value <= 1 + 1e-12 for estimate in found.values())


@given(ANSWERS)
def test_the_order_of_the_file_changes_nothing(answers: list[tuple[float, bool]]) -> None:
    there = measure_selection([c for c, _ in answers], [r for _, r in answers])
    back = measure_selection([c for c, _ in answers[::-1]], [r for _, r in answers[::-1]])
    assert {name: e.value for name, e in there.items()} == pytest.approx({name: e.value for name, e in back.items()})


def test_one_confidence_for_all_has_the_overall_risk_at_every_coverage() -> None:
    found = measure_selection([0.9] * 10, [1] * 8 + [0] * 2)
    assert found["AURC"].value == pytest.approx(0.2)
    assert found["ECE"].value == pytest.approx(0.1)
    assert found["coverage_at_0.05"].value == 0


def test_a_perfect_order_answers_all_that_is_right_before_anything_wrong() -> None:
    sure = np.linspace(1, 0.5, 10)
    found = measure_selection(sure, [1] * 7 + [0] * 3)
    assert found["coverage_at_0.05"].value == 0.7
    assert found["Brier"].value == pytest.approx(brier_score_loss([1] * 7 + [0] * 3, sure))
    assert found["AURC"].value < measure_selection(sure[::-1], [1] * 7 + [0] * 3)["AURC"].value


def test_confidences_that_are_the_true_rates_are_calibrated() -> None:
    random = np.random.default_rng(0)
    sure = random.uniform(0.5, 1, 20_000)
    right = random.uniform(size=20_000) < sure
    assert calibration_error(sure, right) < 0.015
    assert calibration_error(np.ones(20_000), right) == pytest.approx(0.25, abs=0.01)


def test_nothing_answered_is_not_measured() -> None:
    assert measure_selection([], []) == {}


@given(ANSWERS)
def test_the_area_is_the_mean_risk_of_every_threshold_by_counting(answers: list[tuple[float, bool]]) -> None:
    """Ties: of answers that are equally sure, each is as often the next one as any other."""
    risks, wrong, kept = [], 0.0, 0
    for level in sorted({c for c, _ in answers}, reverse=True):
        some = [not right for c, right in answers if c == level]
        for n in range(1, len(some) + 1):
            risks.append((wrong + n * sum(some) / len(some)) / (kept + n))
        wrong, kept = wrong + sum(some), kept + len(some)
    found = measure_selection([c for c, _ in answers], [r for _, r in answers])
    assert found["AURC"].value == pytest.approx(np.mean(risks))
    assert found["AUARC"].value == pytest.approx(1 - np.mean(risks))


@given(st.lists(st.booleans(), min_size=BINS, max_size=90), st.integers(0, 99))
def test_the_calibration_error_by_counting_even_bins(right: list[bool], seed: int) -> None:
    """No library is the judge: MAPIE's bins have other edges."""
    good = np.array(right[: len(right) // BINS * BINS], float)
    order = np.random.default_rng(seed).permutation(len(good))
    sure = np.linspace(0.03, 0.97, len(good))
    even = zip(np.split(sure, BINS), np.split(good, BINS), strict=True)
    wanted = np.mean([abs(s.mean() - g.mean()) for s, g in even])
    assert calibration_error(sure[order], good[order]) == pytest.approx(wanted)
