"""A degree or an age that is asked for is met by the report, and another one is not what was asked."""

from __future__ import annotations

from itertools import product

import pytest

from language.test_opposites import ask
from rag.language.clinical_text import Texts

DEGREES = {"small": ("small", "tiny"), "moderate": ("moderate",), "large": ("large", "massive")}
AGES = {"acute": ("acute", "fresh"), "chronic": ("chronic", "healed")}


@pytest.mark.parametrize(("asked", "said"), product(DEGREES, repeat=2))
def test_degrees_are_met(asked: str, said: str, texts: Texts) -> None:
    for a, b, finding in product(DEGREES[asked], DEGREES[said], ("pleural effusion", "pneumothorax", "hiatal hernia")):
        verdict = ask(f"Is there a {a} {finding}?", f"There is a {b} {finding}.", texts).verdict
        assert verdict == ("yes" if asked == said else "no"), (a, b, finding)


@pytest.mark.parametrize(("asked", "said"), product(AGES, repeat=2))
def test_ages_are_met(asked: str, said: str, texts: Texts) -> None:
    for a, b in product(AGES[asked], AGES[said]):
        verdict = ask(f"Is there a {a} consolidation?", f"There is a {b} consolidation.", texts).verdict
        assert verdict == ("yes" if asked == said else "no"), (a, b)
    assert ask("Is there a consolidation?", f"There is a {AGES[said][0]} consolidation.", texts).verdict == "yes"


@pytest.mark.parametrize(
    ("asked", "untold"),
    [
        ("small {}", "of what degree it is"),
        ("large {}", "of what degree it is"),
        ("left {}", "on which side it is"),
        ("right lower lobe {}", "on which side it is"),
        ("malignant {}", "whether it is malignant"),
        ("viral {}", "whether it is viral"),
        ("traumatic {}", "whether it is traumatic"),
    ],
)
@pytest.mark.parametrize("finding", ["pleural effusion", "pneumonia", "consolidation"])
def test_what_is_asked_of_it_and_not_told_is_no_yes(asked: str, untold: str, finding: str, texts: Texts) -> None:
    question = f"Is there a {asked.format(finding)}?"
    told = ask(question, f"There is a {asked.format(finding)}.", texts)
    assert (told.verdict, told.confidence > 0.9) == ("yes", True)
    assert ask(question, f"There is no {finding}.", texts).verdict == "no"
    silent = ask(question, f"There is a {finding}.", texts)
    assert silent.verdict != "yes"
    if "lobe" not in asked:
        assert untold in str(silent.refusal)


@pytest.mark.parametrize(
    ("question", "said", "verdict"),
    [
        ("Is the heart large?", "Cardiomegaly.", "yes"),
        ("Is the heart mildly enlarged?", "The heart is mildly enlarged.", "yes"),
        ("Does the left eye show drusen?", "OS: drusen.", "yes"),
        ("Does the left eye show drusen?", "OD: drusen.", "no"),
        ("Does the left eye show drusen?", "Drusen in OU.", "yes"),
        ("Is there a left lower lobe consolidation?", "LLL consolidation.", "yes"),
        ("Is there a left lower lobe consolidation?", "RLL consolidation.", "no"),
        ("Is there viral pneumonia?", "Bacterial pneumonia.", None),
        ("Is there a malignant pleural effusion?", "Pleural effusion. A malignant mass.", None),
        ("Is there diabetic macular edema?", "Macular edema.", None),
        ("Is there atherosclerotic disease?", "Atherosclerosis.", "yes"),
    ],
)
def test_a_word_that_makes_the_finding_is_not_asked_of_it(
    question: str, said: str, verdict: str | None, texts: Texts
) -> None:
    assert ask(question, said, texts).verdict == verdict
