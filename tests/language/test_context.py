"""What a sentence says of any of its phrases, known to the lexicon or not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import InputError
from rag.evaluation.suite import evaluate
from rag.evaluation.suites.assertion import AssertionSuite
from rag.language.clinical_text import Texts
from rag.language.context import status_of
from rag.settings import Settings

DATA = Path(__file__).parent.parent / "data" / "assertion.jsonl"


@pytest.mark.parametrize("part", ["dev", "apart", "last"])
def test_labelled_sentences(part: str) -> None:
    found = evaluate(Settings(), "assertion", DATA, where=f"part={part}")
    assert found.value("absent_F1") >= 0.95
    assert found.value("present_F1") >= 0.96
    assert found.row().counts["absent"] >= 50
    assert found.value("accuracy", **{"read by": "a word of negation anywhere"}) < found.value("accuracy")


@pytest.mark.parametrize(
    ("sentence", "phrase", "status"),
    [
        ("No fevers, chills, or night sweats.", "night sweats", "absent"),
        ("She denies xyzitis but reports abcosis.", "xyzitis", "absent"),
        ("She denies xyzitis but reports abcosis.", "abcosis", "present"),
        ("Gram negative rods grew.", "rods", "present"),
        ("Not only xyzitis but also abcosis.", "xyzitis", "present"),
        ("No increase in the size of the xyzoma.", "xyzoma", "present"),
        ("Xyzitis cannot be excluded.", "xyzitis", "uncertain"),
        ("Xyzitis was excluded.", "xyzitis", "absent"),
        ("Xyzitis must be ruled out.", "xyzitis", "hypothetical"),
        ("Evaluate for xyzitis.", "xyzitis", "hypothetical"),
        ("FAMILY HISTORY: xyzitis.", "xyzitis", "family"),
        ("PMH: xyzitis.", "xyzitis", "historical"),
        ("She doesn't have xyzitis.", "xyzitis", "absent"),
        ("She doesn\u2019t have xyzitis.", "xyzitis", "absent"),
        ("XYZITIS: NOT IDENTIFIED.", "xyzitis", "absent"),
        ("A two-week history of xyzitis.", "xyzitis", "present"),
    ],
)
def test_status(sentence: str, phrase: str, status: str) -> None:
    assert status_of(sentence, phrase).status == status


def test_a_span_names_one_of_two_occurrences() -> None:
    sentence = "No edema of the legs, but there is edema of the lungs."
    first, second = sentence.index("edema"), sentence.rindex("edema")
    assert status_of(sentence, (first, first + 5)).status == "absent"
    assert status_of(sentence, (second, second + 5)).status == "present"


def test_hyphens_case_and_plural_do_not_hide_a_phrase() -> None:
    assert status_of("No air-fluid levels are seen.", "Air fluid level").status == "absent"


@pytest.mark.parametrize("phrase", ["gout", "", "...", (90, 95)])
def test_a_phrase_that_is_not_there_is_refused(phrase: str | tuple[int, int]) -> None:
    with pytest.raises(InputError, match="sentence"):
        status_of("No edema.", phrase)


@given(st.text(max_size=120), st.integers(0, 120), st.integers(0, 120))
def test_any_sentence_and_span_have_a_status_or_a_reason(sentence: str, start: int, end: int) -> None:
    try:
        assert status_of(sentence, (start, end)).status
    except InputError as error:
        assert "no word" in str(error)


def test_a_status_that_a_file_never_uses_counts_as_present(tmp_path: Path) -> None:
    path = tmp_path / "negex.jsonl"
    path.write_text(
        '{"sentence": "History of gout.", "concept": "gout", "status": "Affirmed"}\n'
        '{"sentence": "No gout.", "concept": "gout", "status": "Negated"}\n'
    )
    found = evaluate(Settings(), "assertion", path)
    assert found.details["wrong"] == []
    assert found.value("present_F1") == found.value("absent_F1") == 1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"sentence": "No gout.", "concept": "gout", "status": "perhaps"}', "line 1: a row needs"),
        ('{"sentence": "No gout.", "status": "absent"}', "line 1: a row needs"),
        ('{"sentence": "No gout.", "concept": "rash", "status": "absent"}', "line 1: the phrase 'rash'"),
        ("nothing", "line 1: not JSON"),
        ("", "holds no rows"),
    ],
)
def test_a_bad_file_names_the_line(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=words):
        AssertionSuite().read(path)


def test_a_sentence_without_end_is_read_in_time(texts: Texts) -> None:
    begin = time.perf_counter()
    for piece in ("no effusion, ", "effusion; ", "effusion is not seen and "):
        assert texts.sentence(piece * 300).statements
    assert time.perf_counter() - begin < 10
