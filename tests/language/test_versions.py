"""What was is not what is: earlier studies and readings, what was removed, other people, and general statements."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from language.test_opposites import ask
from rag.language.clinical_text import Texts

FINDINGS = {"pneumothorax": "a", "pleural effusion": "a", "consolidation": "", "lung nodule": "a", "hernia": "a"}
EARLIER = (
    "The prior study showed {a} {f}.", "Comparison is made to the previous radiograph, which demonstrated {a} {f}.",
    "Compared with the CT of March, which revealed {a} {f}, the lungs are clear.", "CT ruled {f} out.",
    "The {f} noted before is not well seen today.", "The patient's husband has {a} {f}.",
    "Status post surgery for {f}.",
    "CT is more sensitive for the detection of {f}.", "F/u of {f}.", "The {f} has been removed.",
    "Is there {a} {f}? No.", "Interval removal of the {f}.", "{F}? No.",
    "On review, what was initially described as {a} {f} is a skin fold.",
)  # fmt: skip
TODAY = (
    "There is {a} {f}.", "Compared with the prior study, there is now {a} {f}.", "Is there {a} {f}? Yes.", "{F}: yes.",
    "The prior study was normal. Today there is {a} {f}.", "The {f} was noted before and is unchanged.",
)  # fmt: skip


def _said(template: str, finding: str) -> str:
    return template.format(f=finding, a=FINDINGS[finding], F=finding.capitalize()).replace("  ", " ")


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_was_is_no_finding_of_today(finding: str, texts: Texts) -> None:
    question = _said("Is there {a} {f}?", finding)
    for template in EARLIER:
        text = f"Lungs are otherwise clear. {_said(template, finding)} Heart size is normal."
        assert ask(question, text, texts).verdict != "yes", text
    for template in TODAY:
        text = f"Heart size is normal. {_said(template, finding)}"
        assert ask(question, text, texts).verdict == "yes", text


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("FINDINGS: {}\n\n", "ADDENDUM: {}"), ("Wet read: {} ", "Attending read: {}"),
        ("PRELIMINARY REPORT: {}\n", "FINAL READ: {}"),
        ("01/02/2020 CHEST XR: {}\n", "01/05/2020 CHEST XR: {}"), ("2019-12-31: {}\n", "2020-01-01: {}"),
        ("REPORT OF 1: {}\n", "REPORT OF 2: {}"), ("{}\n", "CORRECTED REPORT: {}"),
    ],
)  # fmt: skip
def test_the_latest_part_that_speaks_of_it_is_believed_and_says_so(first: str, last: str, texts: Texts) -> None:
    for finding, order in product(FINDINGS, permutations((True, False))):
        a, b = (_said("There is {a} {f}." if there else "There is no {f}.", finding) for there in order)
        draft = ask(_said("Is there {a} {f}?", finding), first.format(a) + last.format(b), texts)
        assert draft.verdict == ("yes" if order[1] else "no"), draft
        assert "written last" in draft.sentences[0].text


def test_the_order_of_days_is_theirs_and_not_that_of_the_text(texts: Texts) -> None:
    text = "03/04/2021 CHEST: No pneumothorax.\n02/04/2021 CHEST: There is a pneumothorax."
    assert ask("Is there a pneumothorax?", text, texts).verdict == "no"
