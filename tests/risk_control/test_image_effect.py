"""The effect of an image: its mean, an interval that holds, and what counts for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.risk_control.image_effect import LEAST_GROUPS, MeanEffect, effect_of, mark

scores = st.sampled_from((0.0, 0.5, 1.0))


@given(st.lists(st.tuples(scores, scores), min_size=1, max_size=40))
@settings(max_examples=30)
def test_the_effect_lies_in_its_interval_and_changes_sign_with_the_images(rows: list[tuple[float, float]]) -> None:
    right, wrong = zip(*rows, strict=True)
    groups = [str(n) for n in range(len(rows))]
    there, back = effect_of(right, wrong, groups, 0.05), effect_of(wrong, right, groups, 0.05)
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert there.value == pytest.approx(np.mean(right) - np.mean(wrong), abs=1e-3)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-3)


def test_questions_of_one_patient_are_one_witness() -> None:
    alone = effect_of([1.0] * 40, [0.0] * 40, [str(n) for n in range(40)], 0.05)
    together = effect_of([1.0] * 40, [0.0] * 40, [str(n % 4) for n in range(40)], 0.05)
    assert alone.low > 0.5
    assert together.low < 0 < together.value == alone.value == 1.0


def test_the_interval_misses_seldom() -> None:
    draw, missed, runs = np.random.default_rng(0), 0, 200
    for _ in range(runs):
        right, wrong = draw.random(60) < 0.8, draw.random(60) < 0.6
        low, high = effect_of(right, wrong, [str(n) for n in range(60)], 0.1)[1:]
        missed += not low <= 0.2 <= high
    assert missed / runs <= 0.1


def test_nothing_and_nonsense_are_refused() -> None:
    for right, wrong in (([], []), ([1.0], [0.0, 1.0]), ([2.0], [0.0])):
        with pytest.raises(ValueError, match="effect"):
            effect_of(right, wrong, ["a"] * len(right), 0.05)


@pytest.mark.parametrize(
    ("low", "value", "groups", "whole", "expected"),
    [
        (0.01, 0.2, LEAST_GROUPS, True, "sees"),
        (-0.01, 0.2, LEAST_GROUPS, True, "blind"),
        (-0.01, 0.2, LEAST_GROUPS, False, "untested"),  # its domain's mark counts
        (-0.01, 0.05, LEAST_GROUPS, False, "blind"),
        (0.3, 0.5, LEAST_GROUPS - 1, True, "untested"),
    ],
)
def test_who_is_not_shown_to_see_is_blind(low: float, value: float, groups: int, whole: bool, expected: str) -> None:
    found, clear = MeanEffect(value, low, 0.9), MeanEffect(0.9, 0.5, 1.0)
    assert mark(found, clear, groups, whole=whole) == mark(clear, found, groups, whole=whole) == expected
