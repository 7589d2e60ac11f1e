"""A study is named after its word, in quotation marks or by a long id; words of medicine name none."""

from __future__ import annotations

import json
import unicodedata
from itertools import product

import pytest

from rag import Engine, Index, Settings
from rag.errors import InputError
from rag.language.lexicon import Lexicon
from rag.language.question import read_question

STUDIES = (
    "B12",
    "T4",
    "a",
    "50414267",
    "p10/p10000032/s50000001",
    "Müller_01",
    "patient64620_study1",
    "CXR2814",
    "x-7",
)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("hospital")
    rows = [{"id": s, "text": "There is cardiomegaly.", "kind": "report", "domain": "radiology"} for s in STUDIES]
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    settings = Settings.model_validate({"encoders": {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}})
    with Index.create(folder / "index", settings) as index:
        index.ingest(folder / "cases.jsonl")
    return Engine.open(folder / "index", settings)


@pytest.mark.parametrize("study", STUDIES)
def test_a_named_study_is_found_in_any_spelling(study: str, hospital: Engine) -> None:
    named = (study, unicodedata.normalize("NFD", study))
    forms = ["Does “{}” show cardiomegaly?", 'Is there cardiomegaly in "{}"?']
    forms += ["Does study {} show cardiomegaly?", "Is there cardiomegaly in case {}?"] if study != "a" else []
    for form, name in product(forms, named):
        answer = hospital.ask(form.format(name))
        assert (answer.question.study, answer.verdict) == (study, "yes"), form.format(name)


def test_the_last_part_of_a_path_names_its_study_and_an_unknown_one_is_refused(hospital: Engine) -> None:
    assert hospital.ask("Does study s50000001 show cardiomegaly?").question.study == "p10/p10000032/s50000001"
    with pytest.raises(InputError, match="no study 's59999999'"):
        hospital.ask("Does study s59999999 show cardiomegaly?")


@pytest.mark.parametrize(
    "question",
    [
        "Is vitamin B12 deficiency a cause of anemia?", "Does a T4 tumour invade the mediastinum?", "Is a rash seen?",
        "Is there a study of 12 patients?", "Is there a T4 vertebral fracture in this patient?",
    ],
)  # fmt: skip
def test_words_of_medicine_name_no_study(question: str, hospital: Engine) -> None:
    answer = hospital.ask(question)
    assert answer.question.study is None and answer.verdict is None


@pytest.mark.parametrize(
    ("question", "patient"),
    [
        ("My father has chest pain, is it a heart attack?", True), ("I have a cough, is it pneumonia?", True),
        ("Is there a pleural effusion?", True), ("Is the heart enlarged?", True), ("Are the lungs clear?", True),
        ("Is there any treatment for pneumonia?", False), ("Is there a vaccine for rotavirus?", False),
        ("Is there an increased risk of stroke in cardiomegaly?", False), ("Is the TFR1 gene needed for bones?", False),
        ("Is there an association between pneumonia and pleural effusion?", False),
    ],
)  # fmt: skip
def test_who_is_asked_about(question: str, patient: bool, lexicon: Lexicon) -> None:
    assert read_question(question, lexicon).about_patient == patient
