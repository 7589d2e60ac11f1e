"""Print as hospitals make it: no line lost as a head, none glued to another, no number changed, nobody else's page."""

from __future__ import annotations

from pathlib import Path

import pytest
from pdfs import pdf_of_contents, shown

from rag.corpus.owners import owners_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.sentences import sentence_spans
from rag.corpus.source import read_source
from rag.types import Document

from .conftest import split

pytest.importorskip("pypdfium2")


def pages(tmp_path: Path, *contents: str, **options: str) -> list[str]:
    """The texts of a file's pages."""
    return [d.text for d in read(tmp_path, *contents, **options)[0]]


def read(tmp_path: Path, *contents: str, **options: str) -> tuple[list[Document], list[Quarantined]]:
    return split(read_source(pdf_of_contents(tmp_path / "x.pdf", list(contents)), ocr="no", **options))


def lines(*texts: str, x: float = 50, y: float = 700, step: float = 13) -> str:
    return "".join(shown(x, y - step * n, text) for n, text in enumerate(texts))


class TestHeads:
    def test_reports_alike_lose_nothing_but_their_head(self, tmp_path: Path) -> None:
        """Normal reports of a batch are the same but for a number, and are short."""
        found = pages(
            tmp_path,
            *(
                shown(50, 780, "General Hospital") + lines(f"Nodule of {size} mm.", "No pneumothorax.", y=760)
                + shown(50, 20, f"Page {n} of 4")
                for n, size in enumerate((7, 3, 12, 5), start=1)
            ),
        )  # fmt: skip
        assert found == [f"Nodule of {size} mm.\nNo pneumothorax." for size in (7, 3, 12, 5)]

    def test_a_value_at_the_end_of_a_page_is_no_page_number(self, tmp_path: Path) -> None:
        assert pages(tmp_path, lines("Sodium", "140"), lines("Sodium", "128")) == ["Sodium\n140", "Sodium\n128"]

    def test_a_sentence_goes_on_under_the_head_of_a_second_page(self, tmp_path: Path) -> None:
        head = shown(50, 780, "General Hospital")
        found = pages(tmp_path, head + lines("A nodule without"), head + lines("calcification. No effusion."))
        assert found == ["A nodule without\ncalcification.", "No effusion."]


class TestRows:
    def test_a_table_is_read_across(self, tmp_path: Path) -> None:
        cells = [("Haemoglobin", "7,2", "g/dL"), ("Platelets", "150", "mm"), ("Creatinine", "110", "g")]
        content = "".join(
            shown(x, 700 - 13 * n, cell)
            for n, row in enumerate(cells)
            for x, cell in zip((50, 200, 300), row)  # noqa: B905
        )
        assert pages(tmp_path, content) == ["Haemoglobin | 7,2 | g/dL\nPlatelets | 150 | mm\nCreatinine | 110 | g"]

    def test_labels_stay_with_what_they_label(self, tmp_path: Path) -> None:
        content = "".join(shown(x, 700, text) for x, text in ((50, "Sex:"), (130, "F"), (300, "Age:"), (400, "55")))
        assert pages(tmp_path, content) == ["Sex: F | Age: 55"]

    def test_cells_of_several_lines_are_read_cell_by_cell(self, tmp_path: Path) -> None:
        rows = [
            (("Organ",), ("Finding",), ("Comment",)),
            (
                ("Right lung",),
                ("No consolidation is seen in", "any of the lobes now"),
                ("As it was in all of", "March"),
            ),
            (
                ("Left lung",),
                ("Small effusion at the base", "with some atelectasis"),
                ("New; follow up by a", "film"),
            ),
            (("Heart",), ("Its size is normal and its", "outline is smooth"), ("As before in all of the", "views")),
        ]
        content = "".join(
            lines(*cell, x=x, y=700 - 40 * n)
            for n, row in enumerate(rows)
            for x, cell in zip((50, 150, 350), row)  # noqa: B905
        )
        assert pages(tmp_path, content)[0].split("\n")[1:3] == [
            "Right lung | No consolidation is seen in any of the lobes now | As it was in all of March",
            "Left lung | Small effusion at the base with some atelectasis | New; follow up by a film",
        ]

    def test_a_row_is_a_sentence(self) -> None:
        text = "Pleura of the right hemithorax | No effusion is seen\nPleura of the left hemithorax | Effusion"
        assert [text[a:b] for a, b in sentence_spans(text)] == text.split("\n")


class TestLetters:
    def test_powers_and_references(self, tmp_path: Path) -> None:
        content = shown(50, 700, "150 x 10", 12) + shown(96, 705, "9", 7) + shown(100, 700, "/L in CO", 12)
        content += shown(144.1, 697, "2", 7) + shown(151.5, 700, "as shown", 12) + shown(202.3, 705, "12", 7)
        assert pages(tmp_path, content) == ["150 x 10^9/L in CO2 as shown 12"]

    def test_hyphens_stay_where_they_belong(self, tmp_path: Path) -> None:
        content = lines(
            "No evi-", "dence of non-", "small cell cancer, COVID-", "19 or a T2-", "bright lesion of 5-", "10 mm."
        )
        assert pages(tmp_path, content) == [
            "No evidence of non-small cell cancer, COVID-19 or a T2-bright lesion of 5-10 mm."
        ]

    def test_letters_set_one_by_one_are_words(self, tmp_path: Path) -> None:
        x, content = 50.0, ""
        for letter, width in zip("No air.", (7.22, 5.56, 2.78, 5.56, 2.22, 3.33, 2.78), strict=True):
            content, x = content + (shown(x, 700, letter) if letter != " " else ""), x + width
        assert pages(tmp_path, content) == ["No air."]

    def test_what_stands_aslant_is_in_nobodys_line(self, tmp_path: Path) -> None:
        body = ["No pneumothorax or effusion is seen at all.", "The heart is of normal size.", "Bones are intact."]
        found = pages(tmp_path, lines(*body) + shown(60, 600, "PRELIMINARY", 40, turn=".7 .7 -.7 .7"))
        assert found == ["\n".join([*body, "PRELIMINARY"])]
        found = pages(tmp_path, lines(*body) + shown(40, 300, "Downloaded by a reader", 8, turn="0 1 -1 0"))
        assert found == ["\n".join([*body, "Downloaded by a reader"])]

    def test_what_nobody_sees_is_not_read(self, tmp_path: Path) -> None:
        hidden = "3 Tr " + shown(50, 600, "Large mass.") + "0 Tr " + shown(50, -90, "Off the page.")
        assert pages(tmp_path, lines("Clear lungs.") + hidden) == ["Clear lungs."]


def test_what_is_filled_into_a_form_is_read(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject

    path = pdf_of_contents(tmp_path / "x.pdf", [shown(50, 700, "Pneumothorax:")])
    writer = PdfWriter(clone_from=PdfReader(path))
    field = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/Widget"),
            NameObject("/FT"): NameObject("/Tx"),
            NameObject("/T"): TextStringObject("ptx"),
            NameObject("/V"): TextStringObject("No, not seen"),
            NameObject("/Rect"): ArrayObject(map(NumberObject, (150, 696, 300, 712))),
        }
    )
    reference = writer._add_object(field)
    writer.pages[0][NameObject("/Annots")] = ArrayObject([reference])
    writer._root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/Fields"): ArrayObject([reference])})
    writer.add_attachment("notes.txt", b"Clear.")
    writer.write(path)
    documents, quarantined = split(read_source(path))
    assert [d.text for d in documents] == ["Pneumothorax: No, not seen"]
    assert [q.record for q in quarantined] == ["x.pdf, attachment notes.txt"]


class TestWhose:
    def test_reports_of_two_patients_in_one_file_are_two_cases(self, tmp_path: Path) -> None:
        who = [("Doe, Jane", "MRN: 100"), ("Doe, Jane", "MRN: 100"), ("Roe, Rick", "MRN: 101")]
        contents = [
            shown(50, 780, f"Patient: {name}  {number}") + lines(f"Lesion {n}.") for n, (name, number) in enumerate(who)
        ]
        documents, _ = read(tmp_path, *contents, kind="report")
        assert [d.case_id for d in documents] == ["x#p1", "x#p1", "x#p3"]
        assert documents[0].group_id != documents[2].group_id
        literature, _ = read(tmp_path, *contents)
        assert {d.case_id for d in literature} == {"x"}

    def test_one_patient_is_one_case_whoever_else_is_named(self) -> None:
        first = ["Patient: Doe, Jane | Referrer: Dr. House", "MRN 00123"]
        assert owners_of([first, ["Name: Dr. Wilson"], ["MRN: 123", "Patient: DOE, JANE"]]) == [0, 0, 0]
        assert owners_of([["Patient: Doe, Jane"], ["Lungs clear."], ["Patient: Roe, Rick  DOB 1.1.60"]]) == [0, 0, 2]
        assert owners_of([["The patient: was seen in March, without pain."], ["Patients and methods"]]) == [0, 0]


@pytest.mark.parametrize("end", ["no evidence of", "no", "kein", "sin", "without"])
def test_a_line_that_cannot_end_a_sentence_does_not(end: str) -> None:
    assert len(sentence_spans(f"There is {end}\nPneumothorax or oedema.")) == 1


@pytest.mark.parametrize("answer", ["Effusion: no", "Effusion no", "Effusion = no", "Effusion? no"])
def test_an_answer_ends_its_line(answer: str) -> None:
    assert len(sentence_spans(f"{answer}\nPneumothorax yes")) == 2
