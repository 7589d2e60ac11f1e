"""A shift of the questions is seen, and chance is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp

from rag.risk_control.drift import Reference, ks_test, shifts, stability

REPEATS, LEVEL = 1500, 0.05
MOST = binom.ppf(0.9999, REPEATS, LEVEL) / REPEATS


def confidences(rng: np.random.Generator, n: int) -> np.ndarray:
    """As the reader gives them: a few values very often, the rest anywhere."""
    common = rng.choice([0.0, 0.8, 0.9, 0.97], n, p=[0.1, 0.3, 0.4, 0.2])
    return np.where(rng.random(n) < 0.6, common, rng.beta(8, 2, n))


@pytest.mark.parametrize(("calibration", "recent"), [(60, 30), (200, 500), (1000, 100), (5000, 2000)])
def test_no_alarm_where_nothing_has_changed(calibration: int, recent: int) -> None:
    rng = np.random.default_rng(calibration)
    for draw in (confidences, lambda r, n: r.beta(3, 2, n)):
        alarms = [
            ks_test(Reference.of(draw(rng, calibration)), draw(rng, recent))[1] <= LEVEL  # type: ignore[no-untyped-call]
            for _ in range(REPEATS)
        ]
        assert np.mean(alarms) <= MOST


def test_a_clear_shift_is_seen() -> None:
    rng = np.random.default_rng(1)
    for shifted in (lambda n: confidences(rng, n) * 0.85, lambda n: np.full(n, 0.8), lambda n: rng.random(n)):
        found = [
            ks_test(Reference.of(confidences(rng, 700)), shifted(100))[1] <= 0.01  # type: ignore[no-untyped-call]
            for _ in range(200)
        ]
        assert np.mean(found) > 0.95


@pytest.mark.parametrize("n", [40, 3000])
def test_distance_and_p_value_are_those_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    then, now = rng.random(n), rng.beta(2, 1.5, 150)
    theirs = ks_2samp(then.round(6), now.round(6), method="asymp")
    distance, p = ks_test(Reference.of(then), now.round(6))
    assert distance == pytest.approx(theirs.statistic, abs=1e-9 if n <= 256 else 1.01 / 256)
    assert distance <= theirs.statistic + 1e-9, "thinning never enlarges a distance"
    assert p >= theirs.pvalue - 1e-9


def test_stability_is_nothing_for_the_same_and_much_for_another_distribution() -> None:
    values = np.linspace(0, 1, 200)
    assert stability(Reference.of(values), values) < 0.01
    assert stability(Reference.of(values), values**3) > 0.25
    assert stability(Reference.of(np.full(50, 0.7)), np.full(40, 0.7)) < 0.01


def test_a_shift_is_told_with_both_medians() -> None:
    reference = {"route": Reference.of(np.full(300, 0.95))}
    (found,) = shifts(reference, {"route": [0.55] * 60}, ("radiology",), 0.01)
    assert found.drifted
    assert (found.median_then, found.median_now) == (0.95, 0.55)
    assert found.ks > 0.99
    assert (found.calibration, found.recent) == (300, 60)
