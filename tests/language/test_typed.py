"""Words as people type them: mended where that is sure, said, and left alone otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.lexicon import Lexicon
from rag.language.typed import TypedWords


@pytest.fixture(scope="module")
def typed(lexicon: Lexicon) -> TypedWords:
    return TypedWords(lexicon, lambda word: word == "semaglutide")


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("Is there cardiomegally?", "Is there cardiomegaly?"),
        ("Does study CXR2814 show a pnuemonia?", "Does study CXR2814 show a pneumonia?"),
        ("Is there a pleural efusion?", "Is there a pleural effusion?"),
        ("pneumothrax on the left", "pneumothorax on the left"),
        ("Any signs of PNA?", "Any signs of pneumonia?"),
        ("Is there a nodule in the RUL?", "Is there a nodule in the right upper lobe?"),
        ("CT angiogram for PE", "CT angiogram for pulmonary embolism"),
        ("Is there costophrenic blunting from a PE?", "Is there costophrenic blunting from a pleural effusion?"),
        ("Is there fluid around the lungs?", "Is there pleural effusion?"),
    ],
)
def test_what_is_meant_is_read_and_said(typed: TypedWords, asked: str, read: str) -> None:
    mended = typed.mend(asked)
    assert mended.text == read
    assert len(mended.notes) == 1
    assert "was read as" in mended.notes[0]


@pytest.mark.parametrize(
    "asked",
    [
        "Does study CXR2814 show cardiomegaly?",
        "What is the effect of semaglutide?",  # a word of the index
        "Who won the football match on Saturday?",
        "Is the haemorrhage new?",
        "IS THERE A PE?",  # all in capitals: nothing tells an abbreviation
        "Compare studyx2 and CXR1",
        "Has Mr Xylophonovich got worse?",  # no clinical word is near
        "What is pyroptosis?",  # a word of medicine that the index does not have
        "Is colistin given in lupus erythematosus?",
    ],
)
def test_what_is_known_or_unclear_is_left_alone(typed: TypedWords, asked: str) -> None:
    assert typed.mend(asked).text == asked
    assert typed.mend(asked).notes == ()


def test_british_and_american_spellings_are_one(lexicon: Lexicon, typed: TypedWords) -> None:
    from rag.language.question import read_question

    for british, american in (("oedema", "edema"), ("haemothorax", "hemothorax"), ("tumour", "tumor")):
        read = [read_question(f"Is there {typed.mend(w).text}?", lexicon).topics for w in (british, american)]
        assert read[0] == read[1]
        assert read[0]


@given(st.text(max_size=60))
def test_mending_twice_changes_nothing_more(typed: TypedWords, text: str) -> None:
    once = typed.mend(text)
    assert typed.mend(once.text).text == once.text


@pytest.mark.parametrize(
    ("asked", "phrase", "read"),
    [
        ("pleural effusion " * 900, "pleural effusion", "pleural effusion"),
        ("Is there an effusion? " * 50, "Is there an effusion?", "Is there an effusion?"),
        (f"In study CXR1: {'effusion ' * 40}on the left?", "effusion", "In study CXR1: effusion on the left?"),
    ],
    ids=["a phrase", "a question", "a word in a question"],
)
def test_a_phrase_that_is_repeated_is_read_once(typed: TypedWords, asked: str, phrase: str, read: str) -> None:
    mended = typed.mend(asked)
    assert mended.text.strip() == read
    assert mended.notes == (f"“{phrase}” is repeated, and was read once",)


def test_what_is_said_twice_is_not_a_repetition(typed: TypedWords) -> None:
    asked = "Is there an effusion on the left or an effusion on the right or an effusion on both sides?"
    assert typed.mend(asked).text == asked
