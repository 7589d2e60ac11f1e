from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.corpus.chunking import passages_of
from rag.corpus.scrub import deidentify
from rag.corpus.sentences import sentence_spans
from rag.errors import InputError
from rag.types import Document


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def document(text: str, kind: str = "report") -> Document:
    return Document.model_validate(
        {"id": "d", "kind": kind, "text": text, "case_id": "d", "group_id": "d", "source": "test"}
    )


@pytest.mark.parametrize(
    "expected",
    [
        ["A nodule of 1.7 cm is seen.", "It is stable."],
        ["Discussed with Dr. Smith at noon.", "No change."],
        ["Signs of failure, e.g. Kerley lines, i.e. edema.", "Heart is large."],
        ["Pneumonia vs. Atelectasis.", "Compare cf. Fig. 3 and No. 3 of the series."],
        ["Effusion?", "No.", "The lungs are clear."],
        ["1. Normal chest.", "2. No effusion."],
        ["IMPRESSION: 1. Normal chest.", "2. No effusion."],
        ["1. Normal heart", "2. Clear lungs", "3. No effusion."],
        ["IMPRESSION: 1. Normal heart", "2. Clear lungs", "3. No effusion"],
        ["(1) Normal heart", "(2) Clear lungs."],
        ["A. Normal.", "B. Effusion."],
        ["Compared to XXXX.", "XXXX are normal."],
        ["XXXX-year-old with chest pain.", "Rule out pneumonia!"],
        ["No effusion; no pneumothorax; heart normal.", "Bones intact."],
        ["No pleural effusion.", "no pneumothorax."],
        ["Blood grew S. aureus and E. coli.", "Treated."],
        ["Reported by J. Smith today.", "The patient has hepatitis B.", "No cirrhosis."],
        ["Smith et al. (2019) saw 3 cm. in diameter.", "Later it grew."],
        ["The heart is normal .", "Lungs are clear.."],
        ['He said "no pain."', "Then he left."],
        ["The term (see above.)", "Next one..."],
        ["Grew slowly . . . and stopped.", "Yes!"],
        ["Seen at 10 a.m. today.", "Done."],
    ],
)
def test_medical_prose_splits_where_a_reader_would(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["FINDINGS:", "Lungs are clear.", "IMPRESSION: Normal"],
        ["INDICATION: chest pain", "FINDINGS: Clear lungs", "IMPRESSION: Normal."],
        ["# Pleural effusion", "Fluid around the lung."],
        ["- first item", "- second item", "* third"],
        ["Heart size normal", "Lungs clear", "No effusion"],
    ],
)
def test_line_ends_after_headings_and_items_are_boundaries(expected: list[str]) -> None:
    assert sentences("\n".join(expected)) == expected


def test_a_wrapped_line_is_not_a_boundary_but_a_blank_line_is() -> None:
    wrapped = "A long line of prose about the findings of this chest radiograph and\nCrohn disease besides"
    assert sentences(f"{wrapped}\n\nNext") == [wrapped, "Next"]


def test_a_missing_space_after_the_full_stop_still_ends_the_sentence() -> None:
    assert sentences("Lungs are clear.No effusion. Visit www.site.Org") == [
        "Lungs are clear.",
        "No effusion.",
        "Visit www.site.Org",
    ]


PROSE = st.text(alphabet="aB1 .\n:;!?()-\t\"'#XéD\u2003", max_size=300) | st.text(max_size=100)


@given(PROSE)
@settings(max_examples=300, deadline=None)
def test_sentences_are_ordered_trimmed_and_cover_everything(text: str) -> None:
    spans = sentence_spans(text)
    position = 0
    for start, end in spans:
        assert position <= start < end
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@given(PROSE, st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_passages_are_exact_bounded_and_cover_everything(text: str, max_chars: int) -> None:
    passages = passages_of(document(text), max_chars)
    assert [p.id for p in passages] == [f"d#{n}" for n in range(len(passages))]
    position = 0
    for passage in passages:
        assert position <= passage.start < passage.end <= passage.start + max_chars
        assert passage.text == text[passage.start : passage.end] == passage.text.strip()
        assert not text[position : passage.start].strip()
        position = passage.end
    assert not text[position:].strip()
    # A cut inside a sentence is allowed only where the sentence alone is too long.
    cuts = {p.end for p in passages}
    for start, end in sentence_spans(text):
        assert end - start > max_chars or not any(start < cut < end for cut in cuts)


@pytest.mark.parametrize(
    "unit", ["!", "a. ", "e.g. ", ". ", "A. ", "1. ", " ", "\n", "#", "x", "1. A", '."', "a.B", "12:\n"]
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    text = (unit * (200_000 // len(unit))) + "x"
    began = time.process_time()
    passages_of(document(text))
    deidentify(document(f"MRN {text}_ +{text}"))
    assert time.process_time() - began < 5


def test_a_long_sentence_is_cut_at_whitespace_and_a_long_word_anywhere() -> None:
    assert [p.text for p in passages_of(document("alpha beta gamma"), 10)] == ["alpha beta", "gamma"]
    assert [p.text for p in passages_of(document("a" * 25), 10)] == ["a" * 10, "a" * 10, "a" * 5]


def test_an_image_is_one_passage_with_an_empty_span() -> None:
    (passage,) = passages_of(document("", "image"))
    assert (passage.id, passage.start, passage.end, passage.text) == ("d#0", 0, 0, "")
    assert passages_of(document("  \n")) == []


def test_a_senseless_size_is_refused() -> None:
    with pytest.raises(InputError, match="1 or more"):
        passages_of(document("x"), 0)


def test_real_reports_are_quoted_exactly(openi: tuple[list[Document], object]) -> None:
    for report in openi[0][::10]:
        for passage in passages_of(report, 200):
            assert report.text[passage.start : passage.end] == passage.text
