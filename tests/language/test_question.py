"""What kind of answer an open question wants."""

from __future__ import annotations

import pytest

from rag.language.clinical_text import Texts
from rag.language.question import read_question


@pytest.mark.parametrize(
    ("question", "several"),
    [
        ("List the symptoms of pheochromocytoma.", True),
        ("Which genes are mutated in Alport syndrome?", True),
        ("What are the side effects of lithium?", True),
        ("Please name the components of the Virchow triad.", True),
        ("Name a drug that inhibits JAK2.", False),
        ("Which gene is mutated in Alport syndrome?", False),
        ("What is drusen?", False),
        ("What is the virus that causes measles?", False),
        ("How are kidney stones treated?", False),
    ],
)
def test_questions_for_a_list_are_told_from_others(question: str, several: bool, texts: Texts) -> None:
    assert read_question(question, texts.lexicon).for_list is several


@pytest.mark.parametrize(
    ("question", "one_thing"),
    [
        ("Which gene is mutated in Alport syndrome?", True),
        ("How many ribs are there?", True),
        ("What enzyme does allopurinol inhibit?", True),
        ("What is drusen?", False),
        ("Describe the Escobar syndrome.", False),
        ("How does cholera toxin enter a cell?", False),
    ],
)
def test_questions_for_a_fact_are_told_from_those_for_an_explanation(
    question: str, one_thing: bool, texts: Texts
) -> None:
    assert read_question(question, texts.lexicon).for_fact is one_thing
