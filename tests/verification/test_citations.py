"""What a language model writes becomes sentences that point at exact spans of the evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.types import Evidence
from rag.verification.citations import parse

PASSAGES = (
    "FINDINGS: The heart is enlarged. No pneumothorax is seen. There is a small left pleural effusion.",
    "The lungs are clear. Heart size is normal. There are surgical clips in the right upper quadrant.",
    "Drusen are yellow deposits below the retina. They are found in age-related macular degeneration.",
)


def passages(*said: str, offset: int = 7) -> list[Evidence]:
    return [
        Evidence(
            number=n, document_id=f"d{n}", passage_id=f"d{n}#0", kind="report", domain="radiology", title="",
            source="s", licence="l", case_id=f"d{n}", group_id=f"d{n}", channel="text", score=1.0, text=text,
            start=offset, sha256="0",
        )
        for n, text in enumerate(said, start=1)
    ]  # fmt: skip


def read(text: str, texts: Texts, *said: str) -> list[tuple[str, list[tuple[int, str]]]]:
    """(sentence, [(number, quoted words)]) of what was parsed."""
    evidence = passages(*(said or PASSAGES))
    by_number = {e.number: e for e in evidence}
    return [
        (
            s.text,
            [
                (q.number, by_number[q.number].text[q.start - 7 : q.end - 7] if q.number in by_number else "")
                for q in s.quotes
            ],
        )
        for s in parse(text, evidence, texts)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The heart is enlarged [1].",
        "The heart is enlarged. [1]",
        "The heart is enlarged.[1]",
        "The heart is enlarged[1].",
        "The heart is enlarged [1]",
        "**The heart is enlarged** [1].",
        "- The heart is enlarged [1].",
        "[1] The heart is enlarged.",
        "The heart is enlarged 【1】.",
        "The heart is enlarged [evidence 1].",
        "The heart\u200b is enlarged [1].\n\nReferences:\n[1] Report of a chest radiograph",
    ],
)
def test_a_marker_belongs_to_its_sentence_wherever_it_stands(text: str, texts: Texts) -> None:
    ((sentence, quotes),) = read(text, texts)
    assert sentence.rstrip(".") == "The heart is enlarged"
    assert [number for number, _ in quotes] == [1]
    assert "The heart is enlarged." in quotes[0][1]
    assert "pneumothorax" not in quotes[0][1]


@pytest.mark.parametrize(
    ("marker", "numbers"),
    [
        ("[1, 2]", [1, 2]),
        ("[1][3]", [1, 3]),
        ("[1] [2]", [1, 2]),
        ("[1-3]", [1, 2, 3]),
        ("[1–3]", [1, 2, 3]),
        ("[1; 3]", [1, 3]),
        ("[1 and 3]", [1, 3]),
        ("[2][2]", [2]),
        ("[9]", [9]),
    ],
)
def test_numbers_of_a_marker(marker: str, numbers: list[int], texts: Texts) -> None:
    ((sentence, quotes),) = read(f"The lungs are clear {marker}.", texts)
    assert sentence == "The lungs are clear."
    assert [n for n, _ in quotes] == numbers


def test_every_sentence_has_its_own_markers(texts: Texts) -> None:
    found = read("The heart is enlarged [1]. The lungs are clear. [2] Nothing else is seen.", texts)
    assert [(s, [n for n, _ in q]) for s, q in found] == [
        ("The heart is enlarged.", [1]),
        ("The lungs are clear.", [2]),
        ("Nothing else is seen.", []),
    ]


def test_lines_that_open_with_their_marker(texts: Texts) -> None:
    found = read("[1] The heart is enlarged.\n[2] The lungs are clear.", texts)
    assert [(s, [n for n, _ in q]) for s, q in found] == [
        ("The heart is enlarged.", [1]),
        ("The lungs are clear.", [2]),
    ]


def test_the_span_that_supports_is_found_not_the_first(texts: Texts) -> None:
    ((_, quotes),) = read("There is an effusion on the left [1].", texts)
    assert quotes == [(1, "There is a small left pleural effusion.")]


def test_two_claims_are_quoted_together_when_they_stand_together(texts: Texts) -> None:
    ((_, quotes),) = read("The lungs are clear and the heart size is normal [2].", texts)
    assert quotes == [(2, "The lungs are clear. Heart size is normal.")]


def test_what_denies_the_sentence_is_shown_to_the_verifier(texts: Texts) -> None:
    ((_, quotes),) = read("There is a pneumothorax [1].", texts)
    assert quotes == [(1, "No pneumothorax is seen.")]


def test_a_number_that_is_not_there_points_at_nothing(texts: Texts) -> None:
    (sentence,) = parse("The heart is enlarged [42].", passages(*PASSAGES), texts)
    assert [(q.number, q.start, q.end) for q in sentence.quotes] == [(42, 0, 0)]


def test_a_range_without_end_is_cut_short(texts: Texts) -> None:
    (sentence,) = parse("The heart is enlarged [1-999999].", passages(*PASSAGES), texts)
    assert len(sentence.quotes) < 100


def test_nothing_gives_nothing(texts: Texts) -> None:
    assert parse("", passages(*PASSAGES), texts) == ()
    assert parse("[1]", passages(*PASSAGES), texts) == ()
    assert parse("...", [], texts) == ()


_TEXTS = Texts(Lexicon.load())


@given(st.text(alphabet="[]【】123,-–; .\nAheart \u202e*#", max_size=80))
def test_any_text_is_parsed_and_spans_lie_inside_their_passage(text: str) -> None:
    evidence = passages(*PASSAGES)
    for sentence in parse(text, evidence, _TEXTS):
        assert sentence.text
        for q in sentence.quotes:
            if 1 <= q.number <= 3:
                e = evidence[q.number - 1]
                assert e.start <= q.start < q.end <= e.start + len(e.text)
