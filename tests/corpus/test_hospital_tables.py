"""Tables as hospitals export them: no text is cut, none is glued to another patient's, none is hidden."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.types import Document

from .conftest import split

HEADER = "id,patient,text\n"


def read(tmp_path: Path, content: str, encoding: str = "utf-8") -> tuple[list[Document], list[Quarantined]]:
    (tmp_path / "x.csv").write_bytes(content.encode(encoding))
    return split(read_source(tmp_path / "x.csv"))


def test_a_text_with_an_unquoted_comma_is_not_cut_short(tmp_path: Path) -> None:
    documents, (aside,) = read(tmp_path, HEADER + "a,p,Clear, no effusion\nb,q,Fine\n")
    assert [(d.id, d.text) for d in documents] == [("b", "Fine")]
    assert aside.record == "x.csv, row 2" and "4 cells under 3 names" in aside.reason


@pytest.mark.parametrize("following", ["b,q,Mass.\n", 'b,q,"Mass."\n'])
def test_a_quote_that_is_not_closed_swallows_no_other_patient(tmp_path: Path, following: str) -> None:
    documents, aside = read(tmp_path, HEADER + "c,r,Fine\n" + 'a,p,"Never closed\n' + following)
    assert [(d.id, d.text) for d in documents] == [("c", "Fine")]
    assert [q.reason for q in aside if "lines 3 to 4 its quotes do not close" in q.reason]


def test_rows_after_a_bad_quote_are_read(tmp_path: Path) -> None:
    documents, aside = read(tmp_path, HEADER + 'a,p,"He said "no" twice"\nb,q,Fine\n')
    assert ([d.id for d in documents], len(aside)) == (["b"], 1)


def test_a_cell_that_is_too_long_costs_its_row(tmp_path: Path) -> None:
    documents, (aside,) = read(tmp_path, HEADER + f"a,p,{'x' * 1_000_001}\nb,q,{'No mass. ' * 20_000}\n")
    assert ([d.id for d in documents], aside.record) == (["b"], "x.csv, row 2")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("sep=;\r\nid;patient;Report\r\na;p;Größe 2,5 cm\r\n", "utf-8-sig"),
        ('"id";"Ward, bed, side";Report\na;p;"Größe 2,5 cm"\n', "cp1252"),
    ],
)
def test_separators_are_told_as_they_are_written(tmp_path: Path, content: str, encoding: str) -> None:
    documents, aside = read(tmp_path, content, encoding)
    assert [(d.id, d.text) for d in documents] == [("a", "Größe 2,5 cm")] and not aside


def test_of_two_columns_of_one_name_neither_is_lost(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Findings \(1\), Findings \(2\)"):
        read(tmp_path, "id,Findings,Findings\na,Left effusion,No effusion\n")
    documents, _ = read(tmp_path, "id,text,Age,Age\na,Clear,4,5\n")
    assert {k: v for k, v in documents[0].metadata.items() if k != "columns"} == {"Age (1)": "4", "Age (2)": "5"}


@pytest.mark.parametrize("nothing", ["NULL", "N/A", "#REF!", "nan"])
def test_what_says_that_nothing_is_there_is_no_text(tmp_path: Path, nothing: str) -> None:
    documents, (aside,) = read(tmp_path, HEADER + f"a,p,{nothing}\nb,p,None.\n")
    assert ([d.text for d in documents], aside.reason) == (["None."], "It has neither a text nor an image.")


def test_hidden_sheets_are_named_and_days_are_days(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    hidden = book.create_sheet("Old")
    for sheet, word in ((book.active, "Shown"), (hidden, "Hidden")):
        sheet.append(["id", "Report", "Day"])
        sheet.append([word, f"{word} stone.", datetime.datetime(2024, 3, 1)])
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "x.xlsx")
    (document,), (aside,) = split(read_source(tmp_path))
    assert (document.text, document.metadata["Day"]) == ("Shown stone.", "2024-03-01")
    assert (aside.record, "hidden" in aside.reason) == ("x.xlsx, sheet Old", True)
