"""Statistics by group: the loss has the sign of the risk, and dependence costs effective n."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rag.risk_control.clusters import Groups, estimate, group_losses


@st.composite
def judged(draw):  # type: ignore[no-untyped-def]
    n = draw(st.integers(2, 25))
    ids = draw(st.lists(st.sampled_from("abcdefg"), min_size=n, max_size=n))
    answered = draw(arrays(bool, (n, 3)))
    return answered, answered & draw(arrays(bool, (n, 3))), Groups.from_ids(ids)


@given(judged(), st.floats(0.01, 0.99))
def test_mean_loss_exceeds_alpha_exactly_where_the_risk_does(rows, alpha: float) -> None:  # type: ignore[no-untyped-def]
    answered, wrong, groups = rows
    z = group_losses(answered, wrong, groups, alpha)
    seen = estimate(answered, wrong, groups)
    for c in range(3):
        spoken = z[~np.isnan(z[:, c]), c]
        if len(spoken) == 0:
            assert np.isnan(seen.risk[c])
            continue
        assert np.all((spoken >= 0) & (spoken <= 1))
        # the identity behind the test: E[Z] - alpha = E[w] - alpha E[a]
        by_hand = sum(
            wrong[groups.of == g, c].mean() - alpha * answered[groups.of == g, c].mean() for g in range(len(groups))
        )
        assert (spoken - alpha).sum() == pytest.approx(by_hand, abs=1e-9)
        assert seen.coverage[c] * len(groups) * (seen.risk[c] - alpha) == pytest.approx(by_hand, abs=1e-9)


@given(judged())
def test_effective_n_never_exceeds_the_answers(rows) -> None:  # type: ignore[no-untyped-def]
    answered, wrong, groups = rows
    seen = estimate(answered, wrong, groups)
    assert np.all(seen.effective_n <= seen.answers)
    assert seen.answers.tolist() == answered.sum(axis=0).tolist()


def test_with_one_question_per_group_all_is_as_without_groups() -> None:
    rng = np.random.default_rng(1)
    answered = rng.random((40, 5)) < 0.7
    wrong = answered & (rng.random((40, 5)) < 0.3)
    groups = Groups.from_ids([f"{i:02}" for i in range(40)])
    z = group_losses(answered, wrong, groups, 0.1)
    np.testing.assert_array_equal(np.isnan(z), ~answered)
    np.testing.assert_allclose(z[answered], wrong[answered])
    seen = estimate(answered, wrong, groups)
    np.testing.assert_allclose(seen.risk, wrong.sum(axis=0) / answered.sum(axis=0))
    np.testing.assert_allclose(seen.effective_n, answered.sum(axis=0))


def test_questions_that_stand_and_fall_together_count_once() -> None:
    ids = [f"{i // 4:02}" for i in range(80)]
    wrong = np.repeat(np.arange(20) % 5 == 0, 4)[:, None]
    seen = estimate(np.ones((80, 1), dtype=bool), wrong, Groups.from_ids(ids))
    assert seen.effective_n[0] == pytest.approx(20)


def test_one_question_per_group_is_drawn_evenly_and_by_the_seed() -> None:
    groups = Groups.from_ids(["b", "a", "b", "b", "c"])
    drawn = np.array([groups.one_each(seed) for seed in range(600)])
    assert all(groups.of[row].tolist() == [0, 1, 2] for row in drawn[:20])
    assert np.bincount(drawn[:, 1], minlength=4)[[0, 2, 3]] / 600 == pytest.approx([1 / 3] * 3, abs=0.07)
    assert groups.one_each(3).tolist() == groups.one_each(3).tolist()


@given(judged(), st.floats(0.01, 0.99), st.integers(1, 9), st.integers(0, 3))
def test_where_questions_count_alike_the_mean_loss_exceeds_alpha_exactly_where_their_share_does(  # type: ignore[no-untyped-def]
    rows, alpha: float, most: int, seed: int
) -> None:
    answered, wrong, groups = rows
    kept = groups.at_most(most, seed)
    assert groups.take(kept).sizes.tolist() == np.minimum(groups.sizes, most).tolist()
    answered, wrong, groups = answered[kept], wrong[kept], groups.take(kept)
    z = group_losses(answered, wrong, groups, alpha, most)
    seen = estimate(answered, wrong, groups, most)
    np.testing.assert_allclose(seen.coverage, answered.mean(axis=0))
    for c in range(3):
        spoken = z[~np.isnan(z[:, c]), c]
        assert np.all((spoken >= 0) & (spoken <= 1 + 1e-12))
        by_hand = (wrong[:, c].sum() - alpha * answered[:, c].sum()) / most
        assert (spoken - alpha).sum() == pytest.approx(by_hand, abs=1e-9)
        if answered[:, c].any():
            assert seen.risk[c] == pytest.approx(wrong[:, c].sum() / answered[:, c].sum())


def test_a_patient_who_is_asked_much_about_does_not_set_the_measure() -> None:
    sizes = [1] * 60 + [2] * 30 + [40]
    groups = Groups.from_ids([f"{g:02}" for g, size in enumerate(sizes) for _ in range(size)])
    kept = [sum(min(size, m) for size in sizes) / sum(sizes) for m in range(1, 41)]
    for share in (0.5, 0.8, 0.95, 1.0):
        assert kept[groups.keeping(share) - 1] >= share - 1e-12
        assert groups.keeping(share) == 1 or kept[groups.keeping(share) - 2] < share


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30), st.integers(0, 8), st.integers(0, 3))
def test_a_split_keeps_groups_whole(ids: list[str], first: int, seed: int) -> None:
    groups = Groups.from_ids(ids)
    one, two = groups.split(first, seed)
    assert sorted([*one, *two]) == list(range(len(ids)))
    assert not {ids[i] for i in one} & {ids[i] for i in two}
    assert len({ids[i] for i in one}) == min(first, len(groups))
    assert [groups.take(one).names[g] for g in groups.take(one).of] == [ids[i] for i in one]
