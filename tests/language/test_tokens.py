"""Words are found where they stand, and plurals meet their singulars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.tokens import lemma, lemmas_of, tokens_of


@given(st.text())
def test_a_token_stands_where_it_says(text: str) -> None:
    tokens = tokens_of(text)
    assert all(text[t.start : t.end] == t.text for t in tokens)
    assert all(a.end <= b.start for a, b in zip(tokens, tokens[1:], strict=False))


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("effusions", "effusion"),
        ("opacities", "opacity"),
        ("masses", "mass"),
        ("vertebrae", "vertebra"),
        ("bullae", "bulla"),
        ("pneumothoraces", "pneumothorax"),
        ("biopsies", "biopsy"),
        ("nodules", "nodule"),
        ("metastases", "metastasis"),
    ],
)
def test_plurals_meet_their_singulars(plural: str, singular: str) -> None:
    assert lemma(plural) == lemma(singular)


@pytest.mark.parametrize("word", ["diagnosis", "thrombus", "mass", "lens", "pelvis", "diabetes", "fibrosis"])
def test_words_that_only_look_plural_stay(word: str) -> None:
    assert lemma(word) == word


def test_hyphens_and_slashes_separate_words() -> None:
    assert lemmas_of("air-space disease") == lemmas_of("air space disease") == ("air", "space", "disease")
