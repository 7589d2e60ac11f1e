"""What a sentence asserts, over the shipped lexicon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon


def status(sentence: str, finding: str, texts: Texts) -> str | None:
    """present > uncertain > absent > historical, over the finding and what it implies."""
    found = {
        a.status
        for a in texts.of(sentence).statements
        if (texts.lexicon.is_a(a.concept, finding) if a.status != "absent" else texts.lexicon.is_a(finding, a.concept))
    }
    return next((s for s in ("present", "uncertain", "absent", "historical") if s in found), None)


CASES = [
    ("The heart is mildly enlarged.", "cardiomegaly", "present"),
    ("The heart is not enlarged.", "cardiomegaly", "absent"),
    ("Heart size and pulmonary vascularity appear within normal limits.", "cardiomegaly", "absent"),
    ("The heart, pulmonary XXXX and mediastinum are within normal limits.", "cardiomegaly", "absent"),
    ("Normal heart size and mediastinal contours.", "cardiomegaly", "absent"),
    ("No focal consolidation, pleural effusion or pneumothorax.", "pneumothorax", "absent"),
    ("No focal consolidation, pleural effusion or pneumothorax.", "pleural_effusion", "absent"),
    ("There is no pneumothorax or large effusion, stable cardiomegaly.", "cardiomegaly", "present"),
    ("Clear lungs.", "consolidation", "absent"),
    ("The lungs are free of focal airspace disease.", "consolidation", "absent"),
    ("Hyperexpanded lungs without focal consolidation.", "consolidation", "absent"),
    ("Small left pleural effusion.", "pleural_effusion", "present"),
    ("No change in large left pleural effusion.", "pleural_effusion", "present"),
    ("Pleural effusion cannot be excluded.", "pleural_effusion", "uncertain"),
    ("Possible small effusion.", "pleural_effusion", "uncertain"),
    ("Pneumothorax is not seen.", "pneumothorax", "absent"),
    ("Pneumothorax has resolved.", "pneumothorax", "absent"),
    ("INDICATION: evaluate for pneumonia", "pneumonia", "historical"),
    ("Right upper lobe opacity consistent with pneumonia.", "pneumonia", "present"),
    ("No pneumothorax but small effusion.", "pleural_effusion", "present"),
    ("There are scattered microaneurysms and no hard exudates.", "microaneurysm", "present"),
    ("There are scattered microaneurysms and no hard exudates.", "hard_exudate", "absent"),
]


@pytest.mark.parametrize(("sentence", "finding", "expected"), CASES)
def test_status_of_a_finding(sentence: str, finding: str, expected: str, texts: Texts) -> None:
    assert status(sentence, finding, texts) == expected


def test_each_mention_keeps_its_own_side(texts: Texts) -> None:
    found = {
        a.concept: a.place.sides
        for a in texts.sentence("Left lower lobe atelectasis and small right effusion.").statements
    }
    assert found["atelectasis"] == {"left"}
    assert found["pleural_effusion"] == {"right"}


def test_bilateral_is_both_sides(texts: Texts) -> None:
    (effusion,) = [
        a for a in texts.sentence("Bilateral pleural effusions.").statements if a.concept == "pleural_effusion"
    ]
    assert effusion.place.sides == {"left", "right"}


@given(st.text(max_size=300))
def test_any_text_is_read_without_failing_and_spans_lie_inside(text: str) -> None:
    for a in _TEXTS.of(text).statements:
        assert 0 <= a.start < a.end <= len(text)


_TEXTS = Texts(Lexicon.load())
