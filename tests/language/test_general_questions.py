"""Which questions are about medicine and which about a patient, and which ask yes or no."""

from __future__ import annotations

import pytest

from rag.language.clinical_text import Texts
from rag.language.question import read_question, subject_words


@pytest.mark.parametrize(
    "question",
    [
        "Is there a vaccine for rotavirus?",
        "Is there a role for PRDM9 in azoospermia?",
        "Is the drug exubera available?",
        "Are there tools that review the calls of a sequencing pipeline?",
    ],
)
def test_a_question_about_medicine_may_open_like_one_about_a_patient(question: str, texts: Texts) -> None:
    asked = read_question(question, texts.lexicon)
    assert (asked.yes_no, asked.about_patient) == (True, False)


@pytest.mark.parametrize(
    "question",
    [
        "Is there a pleural effusion?",
        "Are the lungs clear?",
        "Is the heart enlarged in this patient?",
        "Is there a 6 mm nodular opacity overlying the left anterior 5th rib?",
        "Is there anything abnormal?",
    ],
)
def test_a_question_about_a_patient_stays_one(question: str, texts: Texts) -> None:
    assert read_question(question, texts.lexicon).about_patient


@pytest.mark.parametrize(
    "question",
    [
        "Adjuvant radiation of thymoma: is it necessary?",
        "Staging of colorectal carcinoma. Does PET really add something?",
        "Follicle assessment for predicting outcome--is it better than age?",
        "Tocilizumab is an antibody against interleukin, yes or no?",
    ],
)
def test_a_title_may_stand_before_a_yes_no_question(question: str, texts: Texts) -> None:
    asked = read_question(question, texts.lexicon)
    assert asked.yes_no
    assert {"thymoma", "carcinoma", "follicle", "tocilizumab"} & asked.words, "what the title names is asked about"


def test_a_relation_is_more_than_its_finding(texts: Texts) -> None:
    treated = read_question("Is lithium effective for pneumonia?", texts.lexicon)
    assert treated.claims
    assert not treated.in_general.claims
    there = read_question("Is there a small left pleural effusion?", texts.lexicon)
    assert there.in_general == there


def test_words_that_ask_are_not_what_is_asked_about() -> None:
    assert subject_words("How is esotropia recognised?") == ["esotropia"]
    assert subject_words("What does drusen look like?") == ["drusen"]


@pytest.mark.parametrize(
    ("question", "yes_no"),
    [
        ("Aripiprazole: a new risk factor for pathological gambling?", True),
        ("Hearing loss--an unknown complication of pre-eclampsia?", True),
        ("Fluctuating levels of the antigen are reassuring enough to avoid a biopsy?", True),
        ("Aripiprazole: what are its side effects?", False),
        ("Pleural effusion?", False),
        ("The mechanism of action of zorafenib in the liver", False),
    ],
)
def test_a_statement_with_a_question_mark_asks_for_yes_or_no(question: str, yes_no: bool, texts: Texts) -> None:
    assert read_question(question, texts.lexicon).yes_no is yes_no
