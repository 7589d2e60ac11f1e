"""Ranked lists are merged by rank; questions go where their words and images point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.domains import load_domains
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.retrieval.router import Router

rankings = st.dictionaries(
    st.sampled_from(["text", "words", "image"]), st.lists(st.integers(0, 30), unique=True, max_size=20), min_size=1
)


@given(rankings, st.floats(1, 100))
def test_every_row_once_in_falling_order_with_scores_in_the_unit_interval(
    ranked: dict[str, list[int]], constant: float
) -> None:
    fused = reciprocal_rank_fusion(ranked, constant)
    rows, scores = [r for r, _ in fused], [s for _, s in fused]
    assert sorted(rows) == sorted({r for found in ranked.values() for r in found})
    assert scores == sorted(scores, reverse=True)
    assert all(0 < s <= 1 + 1e-12 for s in scores)


def test_first_everywhere_scores_one_and_agreement_beats_a_single_first_place() -> None:
    assert reciprocal_rank_fusion({"a": [7, 1], "b": [7, 2]})[0] == (7, pytest.approx(1.0))
    assert reciprocal_rank_fusion({"a": [1, 2], "b": [3, 2]})[0][0] == 2


def test_the_formula_is_the_published_one() -> None:
    fused = dict(reciprocal_rank_fusion({"a": [1, 2], "b": [2]}, constant=60))
    assert fused[2] / fused[1] == pytest.approx((1 / 62 + 1 / 61) / (1 / 61))


weights = st.fixed_dictionaries({c: st.floats(0.01, 10) for c in ("text", "words", "image")})


@given(rankings, weights)
def test_weighted_scores_stay_in_the_unit_interval_and_one_is_first_everywhere(
    ranked: dict[str, list[int]], weighted: dict[str, float]
) -> None:
    assert all(0 < score <= 1 + 1e-12 for _, score in reciprocal_rank_fusion(ranked, weights=weighted))
    first = reciprocal_rank_fusion({c: [99, *rows] for c, rows in ranked.items()}, weights=weighted)[0]
    assert first == (99, pytest.approx(1.0))


@given(rankings, st.floats(0.01, 10))
def test_equal_weights_are_no_weights(ranked: dict[str, list[int]], weight: float) -> None:
    plain, same = reciprocal_rank_fusion(ranked), reciprocal_rank_fusion(ranked, weights=dict.fromkeys(ranked, weight))
    assert dict(same) == pytest.approx(dict(plain))


@given(rankings, weights, st.floats(1.01, 10))
def test_a_heavier_channel_never_pushes_its_first_place_down(
    ranked: dict[str, list[int]], weighted: dict[str, float], factor: float
) -> None:
    for channel, rows in ranked.items():
        if not rows:
            continue
        before = [r for r, _ in reciprocal_rank_fusion(ranked, weights=weighted)]
        after = [r for r, _ in reciprocal_rank_fusion(ranked, weights=weighted | {channel: weighted[channel] * factor})]
        assert after.index(rows[0]) <= before.index(rows[0])


def test_a_small_weight_leaves_the_others_in_order() -> None:
    found = reciprocal_rank_fusion({"a": [1, 2, 3], "b": [9, 8, 7]}, weights={"a": 1.0, "b": 0.01})
    assert [r for r, _ in found] == [1, 2, 3, 9, 8, 7]


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Is the optic disc swollen on this fundus photograph?", "ophthalmology"),
        ("Does the chest radiograph show a pneumothorax?", "radiology"),
        ("Are there mitotic figures on the H&E slide of this biopsy?", "pathology"),
    ],
)
def test_words_show_the_domain(text: str, domain: str) -> None:
    found = Router(load_domains()).route(text)
    assert (found.name, found.out_of_domain) == (domain, False)


@pytest.mark.parametrize("text", ["What is the capital of France?", "Who won the match yesterday?"])
def test_no_vocabulary_says_that_a_question_is_out_of_domain(text: str) -> None:
    found = Router(load_domains()).route(text)
    assert (found.name, found.out_of_domain, found.searched) == ("general", False, ())


def test_similar_images_decide_when_words_do_not() -> None:
    near = [("pathology", 0.9), ("pathology", 0.8), ("radiology", 0.3)]
    assert Router(load_domains()).route("What is seen here?", neighbours=near).name == "pathology"


def test_no_word_belongs_to_two_domains() -> None:
    domains = load_domains()
    assert {d.id for d in domains} >= {"radiology", "ophthalmology", "pathology", "general"}
    for a in domains:
        for b in domains:
            assert a is b or not a.vocabulary & b.vocabulary
