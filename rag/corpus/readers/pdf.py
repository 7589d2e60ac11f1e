"""PDF files: one document per page, with the place of each line on it; scanned pages are recognised and read by OCR.

Text and places come from PDFium, by :mod:`rag.corpus.pdf_file`; what becomes of them is :mod:`rag.corpus.layout`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from rag.corpus import ocr
from rag.corpus.dicom import is_dicom_head
from rag.corpus.files import File, stem
from rag.corpus.layout import Flowed, Place, PrintLine, Sheet, Turned, as_shown, flow, rows_of_print
from rag.corpus.owners import owners_of
from rag.corpus.pdf_file import MAX_BYTES, ORIGINAL, original_of, rows_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import on_one_line
from rag.errors import InputError

_SCANNED = 'It is a scanned picture without text; install the extra ocr to read it: pip install "clincite[ocr]".'
OCR_PIXELS = 2000  # of a rendered page's longer side: 170 dpi of an A4 page


@dataclass(frozen=True, slots=True)
class PdfHead:
    """What a PDF file says of itself: its title, and the names of the files that are attached to it."""

    title: str
    attached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page: its running text with the lines' places, its size in points, and how sure OCR was if it read it.

    ``unread`` says why a page that shows something has no text, or not all of it; empty for one that was read whole,
    and for an empty one.
    """

    flowed: Flowed
    size: tuple[float, float]
    unread: str = ""
    ocr_score: float | None = None
    owner: int = 0  # the number from 0 of the page that first names the same patient


def recognise_pdf(file: File) -> float:
    if is_dicom_head(file.head):  # it may hold a PDF file
        return 0.0
    return CERTAIN if b"%PDF-" in file.head[:1024] else BY_NAME * (file.suffix == ".pdf")


def read_pdf(file: File, kind: str = "literature", domain: str = "general", ocr: str = "auto") -> Iterator[Record]:
    """Pages with text; ids are ``<path without suffix>#p<page>``, and ``metadata["page"]`` counts from 1.

    ``metadata["lines"]`` has a row for each line of print: start and end in the text, page, and box in points of
    ``metadata["page_size"]`` from the page's top left; see :func:`rag.corpus.print_boxes.boxes_of`, and
    :mod:`rag.corpus.pdf_file` for ``metadata["original"]``. ``kind`` is "literature" or "report". ``ocr`` is "auto"
    (scanned pages are read where the extra ``ocr`` is installed), "yes" or "no"; a scanned page that is not read comes
    as Quarantined. Raises InputError for a file that is locked, damaged, too large or takes too long.
    """
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use literature or report.")
    data = file.read(MAX_BYTES)
    head, pages = pages_of(data, ocr)
    work = Publication(
        id=stem(file.name, ".pdf"),
        title=head.title or file.path.stem,
        source=file.corpus,
        kind="report" if kind == "report" else "literature",
        domain=domain,
        metadata={"file": file.name, ORIGINAL: original_of(file.path, data)},
    )
    yield from documents_of_pages(work, pages, file)
    for name in head.attached:
        reason = "An attachment is not read; save it as a file of its own."
        yield Quarantined(str(file.path), f"{file.name}, attachment {name}", reason)


def documents_of_pages(work: Publication, pages: list[PdfPage], file: File) -> Iterator[Record]:
    """A document for each page with text; a Quarantined for each that is a picture.

    A report of several patients is a case for each of them, called after the first page that names them.
    """
    several = work.kind == "report" and not work.case and len({page.owner for page in pages}) > 1
    sizes = [page.size for page in pages]
    for number, page in enumerate(pages, start=1):
        if page.flowed.text:
            more: dict[str, Any] = {
                "page": number,
                "page_size": page.size,
                "lines": [_in_points_of(page.size, line, sizes) for line in page.flowed.lines],
            }
            if page.ocr_score is not None:
                more["ocr"] = round(page.ocr_score, 3)
            whose = replace(work, case=f"{work.id}#p{page.owner + 1}") if several else work
            yield whose.part(f"p{number}", f"page {number}", page.flowed.text, **more)
        if page.unread:
            yield Quarantined(str(file.path), f"{file.name}, page {number}", page.unread)


def _in_points_of(size: tuple[float, float], line: Place, sizes: list[tuple[float, float]]) -> list[float]:
    """A line's row; one that stands on the next page, which may have another size, in points of this one."""
    start, end, page, *box = line
    scale = [mine / its if its else 1.0 for mine, its in zip(size, sizes[page - 1], strict=True)]
    return [start, end, page, *(round(at * scale[n % 2], 1) for n, at in enumerate(box))]


def pages_of(data: bytes, ocr: str = "auto") -> tuple[PdfHead, list[PdfPage]]:
    """The head and the pages of a PDF file. Raises InputError as ``read_pdf`` does."""
    if ocr not in ("auto", "yes", "no"):
        raise InputError(f"The option ocr is {ocr!r}; use auto, yes or no.")
    with tempfile.TemporaryDirectory(prefix="rag-pdf-") as folder:
        head, *rows = rows_of(data, folder, OCR_PIXELS if _reads_pictures(ocr) else 0)
        sheets, frames, scores, unread = list[Sheet](), list[Turned](), list[float | None](), list[str]()
        for number, row in enumerate(rows, start=1):
            turned = Turned(row["runs"], *row["size"])
            lines, aside = (
                [PrintLine(text, number, turned.upright(box)) for text, *box in row[which]]
                for which in ("lines", "aside")
            )
            picture = Path(folder) / f"page-{number}.png"
            seen, score = _recognised(picture, number, row["size"]) if picture.is_file() else ([], None)
            if row["picture"]:  # the picture shows the text upon it, too
                lines = [*seen, *(line for line in lines if seen and not any(_covers(one, line) for one in seen))]
                aside = []
            sheets.append(Sheet(lines, turned.across, turned.along, aside))
            frames.append(turned)
            scores.append(score)
            unread.append(
                _cut(row) if lines or aside else _why(row, pictures=_reads_pictures(ocr), read=picture.is_file())
            )
    owners = owners_of([rows_of_print(sheet) for sheet in sheets])
    pages = [
        PdfPage(as_shown(flowed, frames), (row["size"][0], row["size"][1]), why, score, owner)
        for flowed, row, why, score, owner in zip(flow(sheets), rows, unread, scores, owners, strict=True)
    ]
    return PdfHead(
        on_one_line(str(head.get("title") or "")), tuple(map(on_one_line, head.get("attached") or ()))
    ), pages


def _cut(row: dict[str, Any]) -> str:
    """What is missing of a page with text."""
    return "It has more text than a page may have, and its end is not read; split it." if row.get("cut") else ""


def _why(row: dict[str, Any], *, pictures: bool, read: bool) -> str:
    """Why a page has no text."""
    if "fault" in row:
        return f"It is a damaged page ({row['fault']})."
    if row["picture"] and read:
        return "It is a picture in which no text was recognised."
    if row.get("unknown"):
        return f"Its fonts do not say which letters they are; print it to PDF anew. As a picture: {_SCANNED}"
    if row["picture"] and pictures:
        return "It is a scanned picture beyond those that are read of one file; split the file."
    return _SCANNED if row["picture"] else ""


def _reads_pictures(wanted: str) -> bool:
    if wanted == "yes":
        ocr.need_ocr()
    return wanted != "no" and ocr.is_there()


def _recognised(picture: Path, page: int, size: list[float]) -> tuple[list[PrintLine], float | None]:
    """The lines of a scanned page in points, and how sure the recogniser was on average; None where it saw nothing."""
    with Image.open(picture, formats=("PNG",)) as image:
        seen = ocr.recognise(image)
        scale = size[0] / image.width if image.width else 1.0
    lines = [PrintLine(one.text, page, tuple(scale * at for at in one.box)) for one in seen]  # type: ignore[arg-type]
    return lines, sum(one.score for one in seen) / len(seen) if seen else None


def _covers(one: PrintLine, other: PrintLine) -> bool:
    """Whether the middle of ``other`` lies in ``one``."""
    x, y = (other.box[0] + other.box[2]) / 2, (other.box[1] + other.box[3]) / 2
    return one.box[0] <= x <= one.box[2] and one.box[1] <= y <= one.box[3]


READER = Reader("pdf", "a PDF file", recognise_pdf, read_pdf)
