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
