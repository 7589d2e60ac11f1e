"""Layout left in a text neither hides what it says nor moves it, and a form says what its boxes and fields say."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.layout import with_line_ends, without_layout

FINDINGS = {
    "Pneumothorax": "pneumothorax",
    "Pleural effusion": "pleural_effusion",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
}
NEGATIVE = ("N", "No", "none", "0", "(-)", "False", "negative", "absent", "nil", "not seen")
POSITIVE = ("Y", "Yes", "1", "(+)", "True", "positive", "present", "small")
UNKNOWN = ("n/a", "unknown", "?", "not applicable", "not assessed", "cannot be assessed")
BREAKS = ("\\.br\\", "\\n", "<br>", "<br/>", "<p>", "\\X0A\\", "\n", "\\par ")


def statuses(text: str, texts: Texts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for a in texts.of(text).statements:
        found.setdefault(a.concept, set()).add(a.status)
    return found


@given(st.text(alphabet="ab \n\t\\.br<>/p&;[]x()|-☐☑☒□_₂ﬁ:n", max_size=120))
def test_reading_moves_nothing(text: str) -> None:
    assert len(with_line_ends(text)) == len(text)
    assert len(without_layout(with_line_ends(text), {"abba"})) == len(text)


@pytest.mark.parametrize("separator", [": ", " : ", "=", " = ", ":"])
@pytest.mark.parametrize("between", ["\n", "; ", ".\n"])
def test_a_field_says_what_stands_after_its_name(separator: str, between: str, texts: Texts) -> None:
    for negative, positive, unknown in product(NEGATIVE, POSITIVE, UNKNOWN):
        values = dict(zip(FINDINGS, (negative, positive, unknown, positive), strict=True))
        said = statuses(between.join(f"{name}{separator}{value}" for name, value in values.items()), texts)
        for (name, value), wanted in zip(values.items(), ("absent", "present", "unknown", "present"), strict=True):
            assert said[FINDINGS[name]] == {wanted}, (name, separator, value)


@pytest.mark.parametrize(
    "label", ["present:", "seen:", "(Y/N):", "on the left:", "(right):", ", left upper lobe:", "visible on the right ="]
)
def test_the_rest_of_a_label_is_no_statement(label: str, texts: Texts) -> None:
    for answers, wanted in ((NEGATIVE, "absent"), (POSITIVE, "present"), (UNKNOWN, "unknown")):
        for (name, concept), answer in product(FINDINGS.items(), answers):
            said = statuses(f"{name} {label} {answer}\nFracture: yes", texts)
            assert (said[concept], said["fracture"]) == ({wanted}, {"present"}), (name, label, answer)


def test_what_follows_a_label_and_is_no_answer_to_it_stays_a_statement(texts: Texts) -> None:
    assert statuses("Effusion on the left: no pneumothorax.", texts) == {
        "pleural_effusion": {"present"}, "pneumothorax": {"absent"},
    }  # fmt: skip
    assert statuses("Consolidation seen: no change", texts) == {"consolidation": {"present"}}


@pytest.mark.parametrize("parted", [" | ", "\t"])
@pytest.mark.parametrize(
    ("cells", "status"),
    [
        (("Consolidation", "none", "yesterday"), "absent"),
        (("Consolidation", "left", "No"), "absent"),
        (("Consolidation", "No", "left", "Yes"), "absent"),
        (("Consolidation", "Yes", "No"), "present"),
        (("Consolidation", "small", "left"), "present"),
    ],
)
def test_a_row_of_a_table_is_what_its_first_yes_or_no_makes_it(
    parted: str, cells: tuple[str, ...], status: str, texts: Texts
) -> None:
    text = f"Cardiomegaly | Yes | old\n{parted.join(cells)}\nPneumothorax | No | -"
    assert statuses(text, texts) == {
        "cardiomegaly": {"present"}, "consolidation": {status}, "pneumothorax": {"absent"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ticked", "open_"), [("[x]", "[ ]"), ("[X]", "[]"), ("(x)", "( )"), ("☑", "☐"), ("☒", "☐"), ("■", "□")]
)
@pytest.mark.parametrize("boxes", list(product([True, False], repeat=4)))
def test_a_box_before_a_finding_says_whether_it_is_there(
    ticked: str, open_: str, boxes: tuple[bool, ...], texts: Texts
) -> None:
    lines = [f"{ticked if on else open_} {name}" for on, name in zip(boxes, FINDINGS, strict=True)]
    said = statuses("\n".join(lines), texts)
    for on, concept in zip(boxes, FINDINGS.values(), strict=True):
        assert said[concept] == {"present" if on else "absent"}, lines


@pytest.mark.parametrize(("ticked", "open_"), [("[x]", "[ ]"), ("☑", "☐")])
@pytest.mark.parametrize("boxes", list(product([True, False], repeat=2)))
def test_a_box_after_a_finding_and_among_answers(
    ticked: str, open_: str, boxes: tuple[bool, ...], texts: Texts
) -> None:
    a, b = (ticked if on else open_ for on in boxes)
    said = statuses(f"Pneumothorax {a} Cardiomegaly {b}", texts)
    yes, no = (ticked, open_) if boxes[0] else (open_, ticked)
    of_heading = statuses(f"PNEUMOTHORAX: {yes} yes {no} no", texts)
    assert said["pneumothorax"] == of_heading["pneumothorax"] == {"present" if boxes[0] else "absent"}
    assert said["cardiomegaly"] == {"present" if boxes[1] else "absent"}


@pytest.mark.parametrize("end", BREAKS)
def test_a_denial_ends_with_its_line(end: str, texts: Texts) -> None:
    text = f"No pneumothorax{end}Small left pleural effusion{end}Heart size normal"
    if end == "\\par ":
        text = "{\\rtf1\\ansi " + text + "}"
    said = statuses(text, texts)
    assert said["pneumothorax"] == {"absent"}
    assert said["pleural_effusion"] == {"present"}


@pytest.mark.parametrize(
    "text",
    [
        "Cardio\u00admegaly.", "Cardio-\nmegaly is seen.", "<b>Cardiomegaly</b>&nbsp;is seen.", "Cardiomegaly&#46;",
        "Heart size: enlarged.", "Heart: enlarged", "| Cardiomegaly | yes |", "Cardiomegaly\tpresent",
        "<table><tr><td>Cardiomegaly</td><td>Yes</td></tr></table>",
    ],
)  # fmt: skip
def test_words_are_read_through_what_parts_them(text: str, texts: Texts) -> None:
    assert statuses(text, texts)["cardiomegaly"] == {"present"}


def test_ligatures_marks_and_greek_letters_are_letters(texts: Texts) -> None:
    assert statuses("Small pleural e\ufb00usion. Pulmonary \ufb01brosis.", texts).keys() >= {"pleural_effusion"}
    words = [t.word for t in texts.sentence("Sjo\u0308gren, TNF-\u03b1 and vitamin D\u2083 \u03bcg").tokens]
    assert words[:4] == ["sjögren", ",", "tnf", "-"]
    assert "alpha" in words and "μg" in words
