"""A question and a report: what is answered, and from which sentence."""

from __future__ import annotations

import pytest

from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage

REPORT = (
    "INDICATION: Rule out pneumonia.\n"
    "FINDINGS: The heart is mildly enlarged. There is a small right pleural effusion. No pneumothorax. "
    "Patchy opacity in the left base may represent atelectasis. Surgical clips are seen in the right upper quadrant.\n"
    "IMPRESSION: 1. Mild cardiomegaly. 2. No acute infiltrate."
)


@pytest.mark.parametrize(
    ("question", "yes"),
    [
        ("Does the study show cardiomegaly?", True),
        ("Is the heart size normal?", False),
        ("Is the heart abnormal?", True),
        ("Is there a pleural effusion?", True),
        ("Is there a left pleural effusion?", False),
        ("Is there a large pleural effusion?", False),
        ("Can a pneumothorax be seen?", False),
        ("Are the lungs free of infiltrate?", True),
        ("Are surgical clips present in the right upper quadrant?", True),
        ("Is there opacity at the left lung base?", True),
        ("Could the opacity represent atelectasis?", True),
        ("Is there atelectasis?", False),
    ],
)
def test_yes_or_no(question: str, yes: bool, texts: Texts) -> None:
    reading = read_passage(read_question(question, texts.lexicon), REPORT, texts)
    assert reading.mentioned
    assert (reading.probability >= 0.5) == yes


def test_an_indication_asserts_nothing(texts: Texts) -> None:
    assert not read_passage(
        read_question("Is there pneumonia?", texts.lexicon), REPORT.replace("No acute infiltrate", ""), texts
    ).mentioned


def test_the_sentence_that_decides_is_given(texts: Texts) -> None:
    reading = read_passage(read_question("Is there a pleural effusion?", texts.lexicon), REPORT, texts)
    assert reading.yes is not None
    assert REPORT[reading.yes.start : reading.yes.end] == "There is a small right pleural effusion."


def test_a_contradiction_is_seen(texts: Texts) -> None:
    text = "FINDINGS: No focal consolidation or pleural effusion.\nIMPRESSION: Bilateral pleural effusions."
    assert read_passage(read_question("Is there a pleural effusion?", texts.lexicon), text, texts).contradictory


def test_what_is_only_raised_is_not_asserted(texts: Texts) -> None:
    reading = read_passage(
        read_question("Is there pneumonia?", texts.lexicon), "Opacity which may represent pneumonia.", texts
    )
    assert reading.yes is not None
    assert reading.yes.raised
    assert reading.probability < 0.5


@pytest.mark.parametrize("question", ["What is drusen?", "Describe the findings.", "Which signs show edema?"])
def test_open_questions_are_not_yes_no(question: str, texts: Texts) -> None:
    assert not read_question(question, texts.lexicon).yes_no
