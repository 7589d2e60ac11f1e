"""Structured reports as machines write them: what a modifier turns round, what a cut hides, how letters are coded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag.corpus.source import read_source
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon

from .conftest import split
from .test_clinical import PIXELS, dicom, item

pydicom = pytest.importorskip("pydicom")
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


def code(meaning: str, value: str = "1") -> Any:
    made = pydicom.Dataset()
    made.CodeMeaning, made.CodeValue = meaning, value
    return made


def coded(name: str, meaning: str, **more: Any) -> Any:
    return item("CODE", name, ConceptCodeSequence=[code(meaning)], **more)


def modifier(name: str, meaning: str) -> Any:
    return coded(name, meaning, RelationshipType="HAS CONCEPT MOD")


def write(path: Path, *content: Any, **more: Any) -> Path:
    return dicom(path, "p", "1.2.3", SOPClassUID=REPORT, Modality="SR", ContentSequence=list(content), **more)


@pytest.mark.parametrize(("said", "status"), [("Absent", "absent"), ("Possible", "uncertain"), ("Present", "present")])
def test_a_finding_is_never_read_without_what_modifies_it(tmp_path: Path, said: str, status: str) -> None:
    inside = [modifier("Presence of finding", said), modifier("Laterality", "Left")]
    path = write(tmp_path / "sr.dcm", coded("Finding", "Pneumothorax", ContentSequence=inside))
    text = split(read_source(path))[0][0].text
    assert text.endswith(f"(Presence of finding: {said}; Laterality: Left)") and "\n" not in text
    (told,) = Texts(Lexicon.load()).of(text).statements
    assert (told.concept, told.status) == ("pneumothorax", status)


def test_lines_of_a_text_stay_lines_and_units_are_printed(tmp_path: Path) -> None:
    count, score = pydicom.Dataset(), pydicom.Dataset()
    count.NumericValue, count.MeasurementUnitsCodeSequence = "150", [code("", "10*9/L")]
    score.NumericValue, score.MeasurementUnitsCodeSequence = "3", [code("no units", "1")]
    path = write(
        tmp_path / "sr.dcm",
        item("TEXT", "Finding", TextValue="No pneumothorax\r\nSmall effusion"),
        item("NUM", "Platelets", MeasuredValueSequence=[count]),
        item("NUM", "Score", MeasuredValueSequence=[score]),
        item("NUM", "Volume", NumericValueQualifierCodeSequence=[code("Measurement failure")]),
    )
    assert split(read_source(path))[0][0].text.split("\n") == [
        "Finding: No pneumothorax",
        "Small effusion",
        "Platelets: 150 x 10^9/L",
        "Score: 3",
        "Volume: no value (Measurement failure)",
    ]


def test_a_report_that_is_cut_short_is_never_read_in_part(tmp_path: Path) -> None:
    whole = write(tmp_path / "sr.dcm", *(item("TEXT", "Finding", TextValue=f"Lesion {n}.") for n in range(9)))
    content, text = whole.read_bytes(), split(read_source(whole))[0][0].text
    start = content.index(b"\x40\x00\x30\xa7SQ")  # of the tree
    for end in range(start, len(content), 11):
        whole.write_bytes(content[:end])
        (tmp_path / "other.txt").write_text("Clear.")
        documents, quarantined = split(read_source(tmp_path))
        assert [d.text for d in documents] in (["Clear."], [text, "Clear."]), end
        assert len(documents) + sum(not q.empty for q in quarantined) == 2


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("GB18030", "未见气胸。"),
        (["", "ISO 2022 IR 87"], "気胸なし。"),
        (["", "ISO 2022 IR 149"], "기흉 없음"),
        ("ISO_IR 144", "Пневмоторакса нет"),
        ("ISO_IR 192", "Vergrößerung, 5 µm"),
    ],
)
def test_letters_of_all_kinds(tmp_path: Path, charset: Any, text: str) -> None:
    path = write(tmp_path / "sr.dcm", item("TEXT", "Finding", TextValue=text), SpecificCharacterSet=charset)
    assert split(read_source(path))[0][0].text == f"Finding: {text}"


def test_utf_8_that_says_it_is_latin_is_read_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "sr.dcm", item("TEXT", "F", TextValue="Größe 5 µm"), SpecificCharacterSet="ISO_IR 192")
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"ISO_IR 100"))
    assert split(read_source(path))[0][0].text == "F: Größe 5 µm"


def test_one_without_preamble_is_read_and_an_image_that_names_a_report_is_an_image(tmp_path: Path) -> None:
    bare = write(tmp_path / "sr", item("TEXT", "Finding", TextValue="No mass."))
    bare.write_bytes(bare.read_bytes()[132:])
    about = pydicom.Dataset()
    about.ReferencedSOPClassUID = REPORT
    dicom(tmp_path / "scan.dcm", "p", "1.2.3", ReferencedInstanceSequence=[about], **PIXELS)
    documents, quarantined = split(read_source(tmp_path))
    assert [(d.kind, d.text) for d in documents] == [("report", "Finding: No mass."), ("image", "")]
    assert not quarantined


def test_what_is_not_final_says_so(tmp_path: Path) -> None:
    more = {"PreliminaryFlag": "PRELIMINARY", "ContentDate": "20240302", "ConceptNameCodeSequence": [code("CT report")]}
    (report,) = split(read_source(write(tmp_path / "sr.dcm", item("TEXT", "F", TextValue="Mass."), **more)))[0]
    assert (report.title, report.metadata["date"]) == ("CT report (preliminary)", "2024-03-02")
