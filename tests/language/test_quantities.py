"""Numbers are compared in one unit, whatever the text is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.quantities import quantities_of, same_quantity
from rag.language.tokens import tokens_of
from rag.verification.rules.entailment import judge


def read(text: str) -> list[tuple[str, float]]:
    return [(q.dimension, round(q.value, 6)) for q in quantities_of(tokens_of(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 4.2 cm mass", [("length", 42)]),
        ("a 5-mm nodule", [("length", 5)]),
        ("3 x 4 cm", [("length", 30), ("length", 40)]),
        ("12%", [("percent", 12)]),
        ("12 percent", [("percent", 12)]),
        ("500 mg", [("mass", 0.5)]),
        ("visual acuity 20/40", [("ratio", 20e6 + 40)]),
        ("three of twelve nodes", [("share", 3e6 + 12)]),
        ("3 out of 12 nodes", [("share", 3e6 + 12)]),
        ("grade 2", [("grade", 2)]),
        ("stage IIIA", [("stage", 3.1)]),
        ("a 54-year-old man", [("age", 54 * 8760)]),
        ("for two weeks", [("time", 336)]),
        ("in 2010", [("calendar", 2010)]),
        ("two nodules", [("count", 2)]),
        ("28 mmHg", [("pressure", 28)]),
        ("28 mm Hg", [("pressure", 28)]),
        ("1,200 ml", [("volume", 1200)]),
        ("HER2 and T2", [("vertebra", 102)]),
        ("no number", []),
    ],
)
def test_quantities(text: str, expected: list[tuple[str, float]]) -> None:
    assert read(text) == expected


def test_a_unit_may_be_left_out_on_one_side_and_rounding_forgiven_only_where_things_are_measured() -> None:
    def quantity(text: str):  # type: ignore[no-untyped-def]
        return quantities_of(tokens_of(text))[0]

    assert same_quantity(quantity("8.4 g"), quantity("8.4."))
    assert same_quantity(quantity("4.2 cm"), quantity("42 mm"))
    assert not same_quantity(quantity("20/40"), quantity("20/200"))
    assert not same_quantity(quantity("in 2010"), quantity("in 2015"))
    assert not same_quantity(quantity("95%"), quantity("95 mm"))


_TEXTS = Texts(Lexicon.load())
_WORDS = "no the heart is enlarged . , ; : and with left 3 cm 5 mm 20/40 % two of grade ( ) - not effusion cells"
_PIECES = st.lists(
    st.sampled_from(_WORDS.split()),
    max_size=14,
).map(" ".join)


@given(_PIECES, _PIECES)
def test_any_sentence_can_be_judged_against_any_text(sentence: str, evidence: str) -> None:
    judged = judge(sentence, evidence, _TEXTS)
    assert 0 <= judged.score <= 1
    assert judged.reason
    assert judged.verdict != "supported" or any(c.isalnum() for c in sentence)


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_written_breaks_the_judge(sentence: str, evidence: str) -> None:
    assert judge(sentence, evidence, _TEXTS).verdict in ("supported", "contradicted", "unsupported")


def test_a_fraction_is_a_part_of_its_number(texts: Texts) -> None:
    for written, value in (("1½ hours", 1.5), ("½ hour", 0.5), ("2¾ hours", 2.75)):
        (found,) = quantities_of(texts.sentence(f"Its half-life is {written}.").tokens)
        assert (found.dimension, found.value) == ("time", value), written
