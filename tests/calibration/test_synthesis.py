"""Synthetic questions: answered by human codes, marked as synthetic, and never ambiguous by their own labels."""

from __future__ import annotations

from collections import Counter

import pytest

from rag.calibration.synthesis import propose_questions, report_labels, rows_of
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.types import Document


def report(text: str, codes: list[str] | None = None, group: str = "g") -> Document:
    metadata = {"mesh": codes} if codes is not None else {}
    return Document(id=group, kind="report", text=text, case_id=group, group_id=group, source="s", metadata=metadata)


@pytest.fixture(scope="module")
def reports() -> list[Document]:
    return [d for d in read_source("openi") if isinstance(d, Document)]


def test_four_hundred_questions_from_human_codes_balanced_one_a_study(
    reports: list[Document], lexicon: Lexicon
) -> None:
    made = propose_questions(reports, lexicon, count=600)
    assert len(made) == 600
    assert Counter(q.answer for q in made) == {"yes": 300, "no": 300}
    assert len({q.group for q in made}) == 600
    assert {q.labels for q in made} == {"human MeSH codes"}
    assert all(row["synthetic"] is True for row in rows_of(made))
    assert len({q.finding for q in made}) >= 10


def test_the_answer_follows_the_codes_whatever_the_text_says(lexicon: Lexicon) -> None:
    labels = report_labels(report("The heart is normal.", ["Cardiomegaly/mild"]), Texts(lexicon))
    assert labels is not None
    assert "cardiomegaly" in labels.present


def test_the_verifier_drops_what_the_text_only_raises_and_what_a_near_code_blurs(lexicon: Lexicon) -> None:
    raised = report_labels(
        report("Opacity which may represent pneumonia.", ["Pneumonia/lower lobe/left"]), Texts(lexicon)
    )
    assert raised is not None
    assert "pneumonia" not in raised.present
    blurred = report_labels(report("Blunted angle.", ["Costophrenic Angle/left/blunted"]), Texts(lexicon))
    assert blurred is not None
    assert "pleural_effusion" not in blurred.present | blurred.absent


@pytest.mark.parametrize("code", ["No Indexing", "Technical Quality of Image Unsatisfactory "])
def test_uncoded_studies_are_left_out(code: str, lexicon: Lexicon) -> None:
    assert report_labels(report("The heart is enlarged.", [code]), Texts(lexicon)) is None


def test_without_codes_clear_assertions_serve_and_the_row_says_so(lexicon: Lexicon) -> None:
    (made,) = propose_questions([report("The heart is enlarged. Possible effusion.")], lexicon, count=1)
    assert made.answer == "yes"
    assert "read by ClinCite" in made.labels


def test_multiple_choice_has_one_right_option_and_the_same_seed_the_same_questions(
    reports: list[Document], lexicon: Lexicon
) -> None:
    made = propose_questions(reports[:800], lexicon, count=50, kind="multiple_choice", seed=3)
    assert made == propose_questions(reports[:800], lexicon, count=50, kind="multiple_choice", seed=3)
    for q in made:
        assert len(set(q.options)) == 4
        assert q.options.count(q.answer) == 1


def test_a_corpus_without_labels_is_refused(lexicon: Lexicon) -> None:
    with pytest.raises(InputError, match="nothing to ask"):
        propose_questions([report("Thank you for this referral.")], lexicon, count=10)
