"""Novelty is told by a valid p-value: questions like those tested are seldom taken for novel, others are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rag.risk_control.novelty import LEVEL, Familiar

WORDS = [f"w{i}" for i in range(30)]
QUESTIONS = st.lists(st.frozensets(st.sampled_from(WORDS[:8]), min_size=1, max_size=4), min_size=1, max_size=12)


def ask(rng: np.random.Generator, rare: float) -> frozenset[str]:
    """A few common words, now and then a rare one."""
    common = rng.choice(WORDS[:6], size=rng.integers(1, 4), replace=False)
    return frozenset(common) | (frozenset({str(rng.choice(WORDS[6:]))}) if rng.random() < rare else frozenset())


@pytest.mark.parametrize("rare", [0.05, 0.4])
@pytest.mark.parametrize(("groups", "each"), [(20, 1), (60, 1), (60, 4)])
def test_a_question_drawn_like_the_others_has_a_valid_p_value(rare: float, groups: int, each: int) -> None:
    """P(p <= u) <= u, over the draw of reference questions and the new one, however many questions a group has."""
    rng, repeats = np.random.default_rng(groups + each), 1200
    p = np.empty(repeats)
    for i in range(repeats):
        if i % 10 == 0:
            names = [f"g{g}" for g in range(groups) for _ in range(each)]
            seen = Familiar.of([ask(rng, rare) for _ in names], names, seed=i)
        p[i] = seen.p_value(ask(rng, rare))
    for u in (0.02, 0.05, 0.1, 0.3):
        assert np.sum(p <= u) <= stats.binom.ppf(0.9999, repeats, u) + 10  # ten share one reference


@given(QUESTIONS, st.frozensets(st.sampled_from(WORDS), min_size=1, max_size=5))
def test_more_reference_questions_make_nothing_stranger(questions: list[frozenset[str]], new: frozenset[str]) -> None:
    few = Familiar.of(questions[:1], ["g0"])
    many = Familiar.of(questions, [f"g{i}" for i in range(len(questions))])
    assert many.score(new) <= few.score(new)
    assert many.strange(new) <= few.strange(new)
    assert 0 < many.p_value(new) <= 1


@given(QUESTIONS)
def test_what_was_asked_is_not_strange_and_it_comes_back_from_a_file(questions: list[frozenset[str]]) -> None:
    seen = Familiar.of(questions, [f"g{i}" for i in range(len(questions))])
    assert all(seen.score(q) == 0 and seen.p_value(q) == 1 for q in questions)
    assert Familiar.model_validate_json(seen.model_dump_json()) == seen


def test_words_that_nobody_used_are_novel_whatever_the_size() -> None:
    rng = np.random.default_rng(5)
    for groups in (5, 40, 400):
        seen = Familiar.of([ask(rng, 0.02) for _ in range(groups)], [f"g{g}" for g in range(groups)])
        assert not seen.knows({"w0", "never", "heard", "of"}, LEVEL)
        assert seen.strange({"w0", "never"}) == {"never"}


def test_a_groups_own_questions_do_not_make_it_familiar() -> None:
    """One patient asked about in words of its own must not look as if others were."""
    alone = Familiar.of([{"odd"}] * 8 + [{"w0"}] * 8, ["a"] * 8 + [f"b{i}" for i in range(8)])
    assert alone.scores[-1] == 2.0, "its word is its own, and shared with nobody"
    assert alone.scores[:-1] == (0.0,) * 8


def test_what_was_left_unread_is_compared_with_what_was_left_of_the_tested() -> None:
    rng = np.random.default_rng(3)
    names = [f"g{i}" for i in range(99)]
    seen = Familiar.of([{"w0"}] * 99, names, unread=rng.uniform(0.1, 0.3, 99).tolist())
    fresh = rng.uniform(0.1, 0.3, 2000)
    assert np.mean([not seen.reads(u) for u in fresh]) < 2 * LEVEL
    assert not seen.reads(0.5)
    assert Familiar.of([{"w0"}], ["g"]).reads(1.0), "where nobody measured it, nothing is said of it"
