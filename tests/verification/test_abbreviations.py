"""Short forms that a passage defines stand for their long forms; without scispaCy nothing is lost but these."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from rag.errors import MissingDependencyError
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.types import Draft, DraftSentence, Evidence, Quote
from rag.verification.abbreviations import defined_in, expanded
from rag.verification.verify import verify

TEXT = "Arrhythmogenic cardiomyopathy (ACM) is inherited. ACM leads to fibrofatty scarring."


def test_short_forms_are_written_out() -> None:
    table = {"ACM": "Arrhythmogenic cardiomyopathy"}
    assert expanded("ACM leads to scarring.", table) == "Arrhythmogenic cardiomyopathy leads to scarring."
    assert expanded("Arrhythmogenic cardiomyopathy (ACM) is rare.", table) == "Arrhythmogenic cardiomyopathy is rare."
    assert expanded("TACM is something else.", table) == "TACM is something else."


def test_a_sentence_may_use_the_long_form_where_its_passage_uses_the_short_one(lexicon: Lexicon) -> None:
    e = Evidence(
        number=1, document_id="d", passage_id="d#0", kind="literature", domain="general", title="", source="s",
        licence="l", case_id="d", group_id="d", channel="text", score=1.0, text=TEXT, start=0, sha256="0",
    )  # fmt: skip
    quote = Quote(number=1, start=TEXT.index("ACM leads"), end=len(TEXT))
    sentence = DraftSentence(text="Arrhythmogenic cardiomyopathy leads to fibrofatty scarring.", quotes=(quote,))
    draft, asked = Draft(sentences=(sentence,), confidence=1), read_question("What is it?", lexicon)
    assert verify(draft, asked, [e], lexicon).sentences == ()
    found = verify(draft, asked, [e], lexicon, abbreviations=lambda _: {"ACM": "Arrhythmogenic cardiomyopathy"})
    assert found.citations[0].quote == "ACM leads to fibrofatty scarring."


@pytest.mark.skipif(find_spec("scispacy") is None, reason="the extra 'nlp' is not installed")
def test_scispacy_finds_what_a_text_defines() -> None:
    assert defined_in(TEXT) == {"ACM": "Arrhythmogenic cardiomyopathy"}


@pytest.mark.skipif(find_spec("scispacy") is not None, reason="the extra 'nlp' is installed")
def test_without_scispacy_one_clear_sentence_says_so() -> None:
    with pytest.raises(MissingDependencyError, match="scispaCy is not installed"):
        defined_in(TEXT)
