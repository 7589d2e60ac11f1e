"""What stands under INDICATION and its like was not found, however the report is laid out; what follows it was."""

from __future__ import annotations

from itertools import product

import pytest

from rag.language.clinical_text import Texts

HEADINGS = (
    "INDICATION:", "Indication -", "Ind:", "HISTORY:", "Hx:", "Clinical History:", "**INDICATION:**",
    "## Clinical History\n", "REASON FOR THIS EXAMINATION:\n", "COMPARISON:", "CC:", "HPI:", "Chief complaint:",
    "Past Medical History:\n", "PMH:", "Family History:", "BACKGROUND:", "REQUEST:", "PRE-OP DIAGNOSIS:",
    "Ordering dx:",
)  # fmt: skip
LAYOUTS = ("{h} {a}. {b}.", "{h} {a}.\n{b}.", "{h} {a}.\n\n{b}.", "{h}\n1. {a}.\n2. {b}.", "{h}\n- {a}\n- {b}")
BODIES = ("\nFINDINGS: {c}.", "\n\nIMPRESSION:\n{c}.", "\n**FINDINGS:** {c}.", "\n## Findings\n{c}.", "\nREPORT: {c}.")
FINDINGS = {"Chronic pleural effusion": "pleural_effusion", "Pneumothorax after biopsy": "pneumothorax"}


@pytest.mark.parametrize("heading", HEADINGS)
def test_what_is_under_a_heading_is_of_its_kind(heading: str, texts: Texts) -> None:
    for layout, body in product(LAYOUTS, BODIES):
        a, b = FINDINGS
        text = layout.format(h=heading, a=a, b=b) + body.format(c="The heart is enlarged")
        read = texts.of(text)
        found = {s.concept for s in read.statements if s.status in ("present", "uncertain")}
        assert not found & set(FINDINGS.values()), text
        assert "cardiomegaly" in found, text


def test_without_a_body_only_the_heading_s_own_sentence_is_an_aside(texts: Texts) -> None:
    read = texts.of("INDICATION: Pneumothorax. The heart is enlarged.")
    assert {s.concept: s.status for s in read.statements}["pneumothorax"] == "historical"
    assert {s.concept: s.status for s in read.statements}["cardiomegaly"] == "present"


def test_headings_of_the_body_are_no_asides(texts: Texts) -> None:
    read = texts.of("HISTORY: Cough.\nFINDINGS: Pneumothorax.\nLungs: Consolidation.\nIMPRESSION: Pneumothorax.")
    assert {s.concept for s in read.statements if s.status == "present"} >= {"pneumothorax", "consolidation"}
