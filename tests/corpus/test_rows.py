"""Tables and files of questions: which column is what, and what a bad row costs."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.corpus.source import read_source
from rag.errors import InputError

from .conftest import split

HEADER = ["StudyID", "PatientID", "Findings", "Impression", "Age"]
ROWS = [
    ["s1", "p1", "Clear; no effusion.", "Normal.", 41],
    ["s2", "p1", "Größe normal.", None, None],
    ["s3", "p2", None, None, 7],
]


def as_csv(path: Path, delimiter: str, encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([HEADER, *ROWS])
    return path


def as_excel(path: Path) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for row in (HEADER, *ROWS):
        book.active.append(row)
    book.save(path)
    return path


def as_parquet(path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({n: [row[i] for row in ROWS] for i, n in enumerate(HEADER)}), path)
    return path


@pytest.mark.parametrize("kind", ["x.csv", "semicolon.csv", "x.tsv", "latin.csv", "x.xlsx", "x.parquet", "parquet"])
def test_a_table_is_read_by_what_its_columns_are_called(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind.endswith((".csv", ".tsv")):
        delimiter = ";" if "semicolon" in kind else "\t" if "tsv" in kind else ","
        as_csv(path, delimiter, "cp1252" if "latin" in kind else "utf-8")
    else:
        (as_excel if "xlsx" in kind else as_parquet)(path)
    documents, quarantined = split(read_source(path))
    assert [(d.id, d.group_id, d.text) for d in documents] == [
        ("s1", "p1", "FINDINGS: Clear; no effusion.\nIMPRESSION: Normal."),
        ("s2", "p1", "Größe normal."),
    ]
    assert documents[0].metadata == {
        "Age": "41",
        "columns": {"id": "StudyID", "group": "PatientID", "text": "Findings+Impression"},
    }
    assert [(q.record, q.reason) for q in quarantined] == [(f"{kind}, row 4", "It has neither a text nor an image.")]


def test_columns_are_named_where_the_guess_is_wrong(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture("a.png")
    (tmp_path / "x.csv").write_text("Nr,Befund,Bild\n1,Clear.,a.png\n1,Again.,\n2,Out.,../b.png\n")
    with pytest.raises(InputError, match=r"x.csv.*--map text=COLUMN. Columns: Nr, Befund, Bild"):
        read_source(tmp_path / "x.csv")
    with pytest.raises(InputError, match="map 'text=Nope'"):
        read_source(tmp_path / "x.csv", map="text=Nope")
    documents, quarantined = split(read_source(tmp_path / "x.csv", map=("text=Befund", "id=Nr", "image=Bild")))
    assert [d.id for d in documents] == ["1:image", "1"]
    assert [("unique" in q.reason, "leads out" in q.reason) for q in quarantined] == [(True, False), (False, True)]


def test_every_sheet_of_a_workbook_is_read_or_named(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Chest"
    for sheet, rows in (
        ("Chest", [("Report",), ("The lungs are clear.",)]),
        ("Codes", [("A", "B"), (1, 2)]),
        ("Empty", []),
    ):
        page = book[sheet] if sheet in book.sheetnames else book.create_sheet(sheet)
        for row in rows:
            page.append(row)
    second = book.create_sheet("Knee")
    for row in (("Report",), ("No fracture.",)):
        second.append(row)
    book.save(tmp_path / "x.xlsx")
    documents, quarantined = split(read_source(tmp_path / "x.xlsx"))
    assert [(d.id, d.text) for d in documents] == [("x#Chest!2", "The lungs are clear."), ("x#Knee!2", "No fracture.")]
    assert [q.record for q in quarantined] == ["x.xlsx, sheet Codes"]


def test_a_zip_bomb_in_excel_clothes_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * 60_000_000)
    with pytest.raises(InputError, match="would unpack to 60,000,000 bytes"):
        read_source(tmp_path / "x.xlsx")


def test_questions_of_texts_and_of_images(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture("img/a.png")
    rows = [
        {"id": "1/1", "question": "What is X ?", "answer": "A disease.", "focus": "X"},
        {"id": "v/0", "image": "img/a.png", "question": "Is it clear?", "answer": "Yes", "group": "g"},
        {"id": "v/1", "image": "img/a.png", "question": "Which side?", "answer": "left"},
        {"qid": 7, "img_name": "gone/b.jpg", "question": "What organ?", "answer": "Lung"},
        {"id": "x", "question": "Nothing?"},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents, quarantined = split(read_source(tmp_path / "q.jsonl"))
    assert [(d.id, d.kind, d.case_id, d.text) for d in documents] == [
        ("1/1", "literature", "1/1", "A disease."),
        ("img/a:image", "image", "img/a", ""),
        ("img/a", "report", "img/a", "Is it clear? Yes\nWhich side? left"),
        ("gone/b", "report", "gone/b", "What organ? Lung"),
    ]
    assert documents[0].title == "What is X ?"
    assert [(q.record, q.reason) for q in quarantined] == [("line 5", "It lacks a question or an answer.")]


def test_real_questions(data: Path) -> None:
    documents, quarantined = split(read_source(data / "medquad"))
    assert (len(documents) > 16_000, quarantined) == (True, [])
    documents, quarantined = split(read_source(data / "slake"))
    assert documents and all("unique" in q.reason or "lacks" in q.reason for q in quarantined)
