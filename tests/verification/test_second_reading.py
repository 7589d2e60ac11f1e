"""A yes or a no follows from its quote also when the question is read as a statement."""

from __future__ import annotations

from itertools import product

import pytest

from rag.language.clinical_text import Texts
from rag.language.declaration import declare
from rag.language.question import read_question
from rag.verification.rules.second_reading import follows

FINDINGS = ("pneumothorax", "pleural effusion", "hiatal hernia", "splenunculus")
ASKED = ("Is there a {}?", "Does the image show a {}?", "Does the patient have any {}?", "Is there evidence of a {}?")
SAID = {"yes": ("There is a {}.", "A {} is seen."), "no": ("There is no {}.", "No {} is seen.", "No evidence of a {}.")}


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_verdict_follows_from_what_says_it_and_falls_with_what_denies_it(finding: str, texts: Texts) -> None:
    for form, (side, quotes) in product(ASKED, SAID.items()):
        asked = read_question(form.format(finding), texts.lexicon)
        for quote in quotes:
            said = quote.format(finding)
            assert follows(asked, "yes" if side == "yes" else "no", said, texts).score == 1.0, (form, said)
            opposite = follows(asked, "no" if side == "yes" else "yes", said, texts)
            assert opposite.verdict == "contradicted", (form, said)


def test_what_the_second_reading_finds_neither_way_is_held_with_less_support(texts: Texts) -> None:
    asked = read_question("Is there a pneumothorax?", texts.lexicon)
    held = follows(asked, "yes", "Air is seen where the lung should be.", texts)
    assert held.verdict == "supported" and held.score < 1.0


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        ("Is the heart enlarged?", "the heart is enlarged.", "the heart is not enlarged."),
        ("Are there any nodules?", "There is nodules.", "There is no nodules."),
        ("Is there no effusion?", "There is no effusion.", "There is effusion."),
    ],
)
def test_a_question_is_two_statements(question: str, yes: str, no: str, texts: Texts) -> None:
    assert declare(question, texts.lexicon) == (yes, no)
    assert declare("What is seen?", texts.lexicon) is None
