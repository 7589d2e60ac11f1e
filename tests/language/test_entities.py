"""What a question names, and whether a passage speaks of it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.entities import names_of, speaks_of


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What is the function of MAGT1?", {"magt1"}),
        ("Which gene is mutated in Alport syndrome?", {"alport"}),
        ("What does bevacizumab bind?", {"bevacizumab"}),
        ("What is the treatment of high blood pressure in children?", set()),
    ],
)
def test_names_are_what_general_english_does_not_have(question: str, names: set[str]) -> None:
    assert names_of(question) == names


@pytest.mark.parametrize("text", ["GDF-15 rises.", "Serum gdf15", "The gene GDF 15 is induced."])
def test_a_name_is_found_however_it_is_joined(text: str) -> None:
    assert speaks_of(names_of("What is GDF15?"), text)


def test_another_name_does_not_do() -> None:
    assert not speaks_of(names_of("What does bevacizumab bind?"), "Ranibizumab binds all forms of VEGF-A.")


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_speaks_of_all_that_it_names(text: str) -> None:
    assert speaks_of(names_of(text), text)
