"""Synthetic questions: answered by human codes, marked as synthetic, and never ambiguous by their own labels."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from rag.calibration.synthesis import QuestionPlan, propose_questions, report_labels, rows_of
from rag.calibration.wordings import Wordings
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


def test_hundreds_of_questions_from_human_codes_about_what_is_there_and_what_is_not(
    reports: list[Document], lexicon: Lexicon
) -> None:
    made = propose_questions(reports, lexicon, QuestionPlan(count=600))
    assert len(made) == len({q.group for q in made}) == 600
    assert min(Counter(q.answer for q in made).values()) > 200
    kinds = Counter(q.asks for q in made)
    assert {"presence", "absence", "side", "zone", "degree", "both", "either", "normal", "clear"} == set(kinds)
    assert kinds["presence"] > kinds["absence"] > kinds["degree"]
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
    (made,) = propose_questions([report("The heart is enlarged. Possible effusion.")], lexicon, QuestionPlan(count=1))
    assert (made.finding, made.answer) == ("cardiomegaly", "no" if made.asks == "absence" else "yes")
    assert "read by ClinCite" in made.labels


def test_multiple_choice_has_one_right_option_and_the_same_seed_the_same_questions(
    reports: list[Document], lexicon: Lexicon
) -> None:
    made = propose_questions(reports[:800], lexicon, QuestionPlan(count=50, kind="multiple_choice", seed=3))
    assert made == propose_questions(reports[:800], lexicon, QuestionPlan(count=50, kind="multiple_choice", seed=3))
    for q in made:
        assert len(set(q.options)) == 4
        assert q.options.count(q.answer) == 1


def test_a_corpus_without_labels_is_refused(lexicon: Lexicon) -> None:
    with pytest.raises(InputError, match="nothing to ask"):
        propose_questions([report("Thank you for this referral.")], lexicon, QuestionPlan(count=10))


def test_several_questions_a_study_in_different_words_and_each_id_once(
    reports: list[Document], lexicon: Lexicon
) -> None:
    made = propose_questions(reports[:300], lexicon, QuestionPlan(count=400, each=4))
    assert len(made) == len({q.id for q in made}) == len({(q.group, q.question) for q in made}) == 400
    assert max(Counter(q.group for q in made).values()) == 4


CODED = (
    ["Pleural Effusion/right/small", "Cardiomegaly/mild"],
    {
        "Is there a right pleural effusion?": "yes",
        "Is there a left pleural effusion?": "no",
        "Is there small pleural effusion?": "yes",
        "Is there large pleural effusion?": "no",
        "Is there severe cardiomegaly?": "no",
        "Is the heart size normal?": "no",
        "Is the heart larger than normal?": "yes",
        "Is there no pneumothorax?": "yes",
        "Is this a normal study?": "no",
    },
)


def test_every_wording_asks_what_the_codes_tell(lexicon: Lexicon) -> None:
    codes, right = CODED
    labels = report_labels(report("Small right effusion, mildly enlarged heart.", codes), Texts(lexicon))
    assert labels is not None
    asked: dict[str, str] = {}
    for seed in range(300):
        for p in Wordings.load().propose(labels, "S1", lexicon, random.Random(seed)):
            assert asked.setdefault(p.text, p.answer) == p.answer, "one question has one answer"
    assert {text: asked[text] for text in right} == right
    both = {t: a for t, a in asked.items() if t.startswith("Does study S1 show both")}
    assert set(both.values()) == {"yes", "no"}
    assert both["Does study S1 show both cardiomegaly and a pleural effusion?"] == "yes"


def test_a_side_that_one_code_leaves_open_is_not_asked(lexicon: Lexicon) -> None:
    labels = report_labels(report("Effusion.", ["Pleural Effusion", "Pleural Effusion/right"]), Texts(lexicon))
    assert labels is not None
    assert labels.sides == {}
