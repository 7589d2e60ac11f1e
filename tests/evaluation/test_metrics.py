"""Metrics against scikit-learn, brute force and simulation; intervals that cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import ndcg_score

from rag.evaluation.metrics import bootstrap, expected_by_chance, measure_ranking, score_classes

gains = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 15)), elements=st.sampled_from([0, 0.5, 1, 3])
)


def shuffled(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Scores without ties."""
    random = np.random.default_rng(seed)
    return random.permuted(np.tile(np.arange(shape[1], dtype=float), (shape[0], 1)), axis=1)


@given(gains, st.integers(0, 99))
def test_ndcg_is_that_of_scikit_learn(worth: np.ndarray, seed: int) -> None:
    scores = shuffled(worth.shape, seed)
    ours = measure_ranking(scores, worth)["nDCG@10"]
    theirs = [ndcg_score(worth[i : i + 1], scores[i : i + 1], k=10) for i in range(len(worth))]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@given(gains, st.integers(0, 99))
def test_recall_precision_and_mrr_by_brute_force(worth: np.ndarray, seed: int) -> None:
    scores = shuffled(worth.shape, seed)
    ours = measure_ranking(scores, worth)
    for i, (row, score) in enumerate(zip(worth, scores, strict=True)):
        hits = [bool(row[c] > 0) for c in sorted(range(len(row)), key=lambda c: -score[c])]
        for k in (1, 5, 10):
            assert ours[f"R@{k}"][i] == any(hits[:k])
        assert ours["P@5"][i] == sum(hits[:5]) / 5
        assert ours["MRR"][i] == (1 / (hits.index(True) + 1) if any(hits) else 0)


@given(gains)
def test_the_best_order_scores_one_and_one_score_for_all_gives_nothing_away(worth: np.ndarray) -> None:
    best, flat = measure_ranking(worth, worth), measure_ranking(np.zeros(worth.shape[1]), worth)
    relevant = (worth > 0).any(axis=1)
    np.testing.assert_allclose(best["nDCG@10"], relevant.astype(float))
    np.testing.assert_array_equal(best["R@1"], relevant)
    some = (worth > 0).sum(axis=1)
    for i in np.flatnonzero(relevant):  # all that is irrelevant comes first
        assert flat["MRR"][i] == pytest.approx(1 / (worth.shape[1] - some[i] + 1))


@given(gains, st.integers(0, 99))
def test_what_is_not_allowed_is_as_if_it_were_not_there(worth: np.ndarray, seed: int) -> None:
    scores = shuffled(worth.shape, seed)
    allowed = np.random.default_rng(seed).random(worth.shape) < 0.6
    for i in range(len(worth)):
        kept = allowed[i : i + 1, :]
        if kept.any():
            one = measure_ranking(scores[i : i + 1], worth[i : i + 1], kept)
            cut = measure_ranking(scores[i : i + 1][:, kept[0]], worth[i : i + 1][:, kept[0]])
            assert {m: v.tolist() for m, v in one.items()} == {m: v.tolist() for m, v in cut.items()}


def by_arrays(scores: np.ndarray, gains: np.ndarray, allowed: np.ndarray) -> dict[str, np.ndarray]:
    """The definitions as plain arithmetic: the figures that were published before trec_eval gave them."""
    value, worth = np.where(allowed, scores, -np.inf), np.where(allowed, gains, 0.0)
    found = np.isfinite(value)
    ranked = np.take_along_axis(np.where(found, worth, 0.0), np.lexsort((worth, -value), axis=1), axis=1)
    hits, discounts = ranked > 0, 1 / np.log2(np.arange(2, worth.shape[1] + 2))[:10]
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    best = -np.sort(-worth, axis=1)[:, :10] @ discounts
    ndcg = np.divide(ranked[:, :10] @ discounts, best, out=np.zeros(len(best)), where=best > 0)
    recalls = {f"R@{k}": (first <= k).astype(float) for k in (1, 5, 10)}
    return recalls | {"P@5": hits[:, :5].sum(axis=1) / 5, "MRR": 1 / first, "nDCG@10": ndcg}


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["whole", "fractions"]))
def test_ties_the_unfound_and_fractions_give_the_figures_of_before(seed: int, kind: str) -> None:
    """Few scores among many candidates, so that most are tied, some are not found and some are not allowed."""
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 5)), int(random.integers(1, 60)))
    whole = random.choice([0, 0, 0, 1, 2, 3], shape)
    worth = whole / random.integers(1, 12, shape) if kind == "fractions" else whole.astype(float)
    scores = random.choice([-np.inf, 0.0, 0.25, 1.0], shape)
    allowed = random.random(shape) < 0.8
    ours, before = measure_ranking(scores, worth, allowed), by_arrays(scores, worth, allowed)
    assert list(ours) == list(before)
    for name, values in before.items():
        tolerance = 5e-5 if kind == "fractions" and name == "nDCG@10" else 1e-12
        np.testing.assert_allclose(ours[name], values, atol=tolerance, err_msg=name)


def test_of_two_equal_scores_the_less_relevant_one_comes_first_whatever_their_places() -> None:
    for worth in ([2.0, 0, 0], [0, 0, 2.0]):
        assert measure_ranking(np.array([0.5, 0.5, 0.5]), np.array([worth]))["MRR"][0] == pytest.approx(1 / 3)


def test_what_is_relevant_and_not_found_counts_and_what_is_not_allowed_does_not() -> None:
    scores, worth = np.array([[0.9, -np.inf]]), np.array([[1.0, 1.0]])
    missed = measure_ranking(scores, worth)["nDCG@10"][0]
    assert missed == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert measure_ranking(scores, worth, np.array([[True, False]]))["nDCG@10"][0] == 1


pairs = st.dictionaries(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), st.integers(0, 9), max_size=9)


@settings(deadline=None)
@given(pairs)
def test_scores_of_classes_by_counting(counts: dict[tuple[str, str], int]) -> None:
    for name, score in score_classes(counts, "abc").items():  # "d" is told apart, and has no score
        right = counts.get((name, name), 0)
        labelled = sum(n for (label, _), n in counts.items() if label == name)
        answered = sum(n for (_, answer), n in counts.items() if answer == name)
        expected = [right / n if n else 0 for n in (answered, labelled)]
        expected.append(2 * right / (answered + labelled) if answered + labelled else 0)
        assert score.n == labelled
        np.testing.assert_allclose(score[1:], expected, atol=1e-12)


@settings(max_examples=8, deadline=None)
@given(gains)
def test_chance_in_closed_form_is_the_mean_of_random_orders(worth: np.ndarray) -> None:
    expected = expected_by_chance(worth)
    for i, row in enumerate(worth):
        many = np.tile(row, (4000, 1))
        drawn = measure_ranking(np.random.default_rng(i).random(many.shape), many)
        for name, values in drawn.items():
            assert expected[name][i] == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(len(values)) + 1e-9)


def test_chance_knows_what_is_allowed() -> None:
    worth = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0]])
    allowed = np.array([[True, True, False, False, False, False, False, False]])
    found = expected_by_chance(worth, allowed)
    assert found["R@1"][0] == pytest.approx(0.5)
    assert found["MRR"][0] == pytest.approx(0.75)
    assert expected_by_chance(worth, ~allowed)["R@10"][0] == 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Groups of two queries that always agree: treating queries as independent would cover 83% of the time."""
    random, truth, covered, runs = np.random.default_rng(0), 0.3, 0, 300
    for run in range(runs):
        outcome = np.repeat(random.random(80) < truth, 2)
        estimate = bootstrap({"x": outcome}, np.repeat(np.arange(80), 2), resamples=400, seed=run)["x"]
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= truth <= estimate.high
    assert 0.90 <= covered / runs <= 0.985


def test_a_thousand_resamples_of_many_groups_take_seconds_and_are_reproducible() -> None:
    values = np.random.default_rng(0).random((2, 50_000))
    first, second = (bootstrap({"a": values[0], "b": values[1]}, np.arange(50_000) // 2) for _ in range(2))
    assert first == second
    assert first["a"].high - first["a"].low == pytest.approx(2 * 1.96 * 0.2887 / np.sqrt(50_000), rel=0.15)


def test_one_group_has_no_interval() -> None:
    assert bootstrap({"x": [1, 0, 1, 0]}, ["p"] * 4)["x"] == (0.5, None, None)
