"""Pages of print to running text: columns, hyphens, heads, scanned pages, and the place of every quote."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdfs import pdf_of
from PIL import Image

from rag.corpus import pdf_file
from rag.corpus.chunking import passages_of
from rag.corpus.layout import PrintLine, Sheet, flow
from rag.corpus.print_boxes import boxes_of
from rag.corpus.scrub import Scrubber
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.types import Document

from .conftest import split

matplotlib.use("Agg")
LEFT = (
    "The drain was placed in the fifth",
    "intercostal space with a small inci-",
    "sion under local anaesthesia. In two",
    "days the lung was fully expanded and",
    "there was no recurrence at all.",
)
RIGHT = (
    "A second group of patients was treated",
    "with aspiration alone in the same weeks.",
    "Their stay was shorter by two days on",
    "average and no complication was seen",
    "in any of the forty who were treated.",
)
PARTS = ("one", "two", "three", "four")


def journal(path: Path, *, pages: int = 4, raster: bool = False) -> Path:
    """Two columns under a title that spans both, with a running head and page numbers; drawn row by row."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(path) as out:
        for number in range(1, pages + 1):
            figure = pyplot.figure(figsize=(6, 8), dpi=200)
            figure.text(0.5, 0.97, "Journal of Drains 7", ha="center", fontsize=7)
            figure.text(
                0.5,
                0.90,
                f"Part {PARTS[number - 1]} of a report that spans both of the columns",
                ha="center",
                fontsize=11,
            )
            for n, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
                figure.text(0.07, 0.80 - 0.03 * n, left if number == 1 else f"{left[:-1]} {number}.", fontsize=7)
                figure.text(0.54, 0.80 - 0.03 * n, right if number == 1 else f"{right[:-1]} {number}.", fontsize=7)
            figure.text(0.5, 0.03, f"Page {number} of {pages}", ha="center", fontsize=7)
            if raster:
                figure.canvas.draw()
                picture = figure.canvas.buffer_rgba()
                figure.clear()
                figure.figimage(picture)
            out.savefig(figure, dpi=200)
            pyplot.close(figure)
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    documents, quarantined = split(read_source(journal(tmp_path_factory.mktemp("pdf") / "two.pdf")))
    assert quarantined == []
    return documents


def test_columns_are_read_one_after_the_other(pages: list[Document]) -> None:
    text = pages[0].text
    assert text.startswith("Part one of a report that spans both of the columns\nThe drain was placed")
    assert "a small incision under local anaesthesia" in text
    assert text.index("no recurrence at all.") < text.index("A second group of patients")
    assert "Journal of Drains" not in text and "Page 1" not in text


def test_a_quote_has_its_page_and_its_boxes(pages: list[Document]) -> None:
    first = pages[0]
    start = first.text.index("aspiration alone")
    (box,) = boxes_of(first.metadata, start, start + 16)
    assert box.page == 1
    assert 0.5 < box.x0 < box.x1 < 1, "in the right column"
    assert 0.2 < box.y0 < box.y1 < 0.3
    for passage in passages_of(first):
        assert boxes_of(first.metadata, passage.start, passage.end)
    assert boxes_of({}, 0, 5) == ()
    for mine in ({"lines": 3, "page_size": 4}, {"lines": ["a b c"], "page_size": [0, 0]}):
        assert boxes_of(mine, 0, 5) == (), "somebody's own fields of these names"


def test_places_follow_when_identifiers_are_masked(tmp_path: Path, pages: list[Document]) -> None:
    named = pages[0].model_copy(update={"text": "MRN: 123456.\n" + pages[0].text})
    lines = [[0, 12, 1, 0.0, 0.0, 9.0, 9.0], *([a + 13, b + 13, *rest] for a, b, *rest in pages[0].metadata["lines"])]
    masked, _ = Scrubber("mask").screen(named.model_copy(update={"metadata": named.metadata | {"lines": lines}}))
    assert masked is not None
    for (a, b, *_), (c, d, *_) in zip(masked.metadata["lines"][1:], pages[0].metadata["lines"], strict=True):
        assert masked.text[a:b] == pages[0].text[c:d]


def test_scanned_pages_are_read_where_ocr_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    path = journal(tmp_path / "scan.pdf", pages=1, raster=True)
    ((document,), quarantined) = split(read_source(path))
    words = document.text.replace("\n", " ").lower()
    assert quarantined == []
    assert document.metadata["ocr"] > 0.9
    for said in (
        "placed in the fifth intercostal space",
        "small incision under local anaesthesia",
        "with aspiration alone",
    ):
        assert said in words
    start = document.text.index("aspiration")
    (box,) = boxes_of(document.metadata, start, start + 5)
    assert 0.5 < box.x0 < box.x1
    documents, ((record),) = split(read_source(path, ocr="no"))
    assert documents == [] and "clincite[ocr]" in record.reason


def test_a_file_that_takes_too_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7")
    program = tmp_path / "slow.py"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(pdf_file.pdf_pages, "__file__", str(program))
    monkeypatch.setattr(pdf_file, "TIME_LIMIT_S", 0.5)
    began = time.monotonic()
    with pytest.raises(InputError, match="not read within"):
        read_source(tmp_path / "x.pdf")
    assert time.monotonic() - began < 20


def test_a_decoder_that_dies_takes_nobody_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7")
    program = tmp_path / "dead.py"
    program.write_text("import os; os.abort()")
    monkeypatch.setattr(pdf_file.pdf_pages, "__file__", str(program))
    with pytest.raises(InputError, match="its decoder ended with -6"):
        read_source(tmp_path / "x.pdf")
    assert sys.exc_info() == (None, None, None)


BOXES = st.tuples(st.floats(0, 500), st.floats(0, 700), st.floats(1, 300), st.floats(1, 30))
RUNS = st.lists(st.tuples(st.text(max_size=12), BOXES), max_size=30)


@given(st.lists(RUNS, max_size=4))
def test_whatever_the_layout_every_line_is_where_it_says(drawn: list[list[tuple[str, tuple[float, ...]]]]) -> None:
    given_pages = [
        Sheet([PrintLine(text, n, (x, y, x + w, y + h)) for text, (x, y, w, h) in runs], 600.0, 800.0)
        for n, runs in enumerate(drawn, 1)
    ]
    flowed = flow(given_pages)
    assert len(flowed) == len(given_pages)
    for page in flowed:
        ends = 0
        for start, end, *_ in page.lines:
            assert ends <= start <= end <= len(page.text)
            ends = end


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_are_of_the_page_as_it_is_shown(tmp_path: Path, turn: int) -> None:
    """Turned and cut pages: the picture's ink is in the boxes, and nowhere else."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import RectangleObject

    writer = PdfWriter()
    (page,) = PdfReader(pdf_of(tmp_path / "plain.pdf", [["The lungs are clear.", "No effusion."]])).pages
    page.cropbox = RectangleObject((30, 500, 400, 790))
    writer.add_page(page).rotate(turn)
    writer.write(tmp_path / "turned.pdf")
    ((document,), _) = split(read_source(tmp_path / "turned.pdf"))
    picture = Image.open(io.BytesIO(pdf_file.page_picture(document, 1, 1000)))
    dark = np.asarray(picture.convert("L")) < 128
    height, width = dark.shape
    boxes = boxes_of(document.metadata, 0, len(document.text))
    assert (document.text, len(boxes)) == ("The lungs are clear.\nNo effusion.", 2)
    for box in boxes:
        across = slice(int(box.x0 * width) - 3, int(box.x1 * width) + 4)
        down = slice(int(box.y0 * height) - 3, int(box.y1 * height) + 4)
        assert dark[down, across].mean() > 0.03
        dark[down, across] = False
    assert not dark.any()
