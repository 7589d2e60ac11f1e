"""PDF files: one document per page, with the place of each line on it; scanned pages are recognised and read by OCR.

Text and places come from PDFium, in a process of its own with limits on time and memory, for files from strangers can
make any decoder run for hours; what becomes of them is :mod:`rag.corpus.layout`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from rag.corpus import ocr, pdf_pages
from rag.corpus.files import File, stem
from rag.corpus.layout import Flowed, PrintLine, flow
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import on_one_line
from rag.errors import InputError, MissingDependencyError

MAX_BYTES = 200_000_000
MAX_PAGE_CHARS = 200_000
TIME_LIMIT_S = 120.0  # for one file
_SCANNED = 'It is a scanned picture without text; install the extra ocr to read it: pip install "clincite[ocr]".'
OCR_PIXELS = 2000  # of a rendered page's longer side: 170 dpi of an A4 page


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page: its running text with the lines' places, its size in points, and how sure OCR was if it read it.

    ``unread`` says why a page that shows something has no text; empty for a page with text, and for an empty one.
    """

    flowed: Flowed
    size: tuple[float, float]
    unread: str = ""
    ocr_score: float | None = None


def recognise_pdf(file: File) -> float:
    if file.head[128:132] == b"DICM":  # it may hold a PDF file
        return 0.0
    return CERTAIN if b"%PDF-" in file.head[:1024] else BY_NAME * (file.suffix == ".pdf")


def read_pdf(file: File, kind: str = "literature", domain: str = "general", ocr: str = "auto") -> Iterator[Record]:
    """Pages with text; ids are ``<path without suffix>#p<page>``, and ``metadata["page"]`` counts from 1.

    ``metadata["lines"]`` has a row for each line of print: start and end in the text, page, and box in points from the
    page's top left; see :func:`rag.corpus.layout.boxes_of`. ``kind`` is "literature" or "report". ``ocr`` is "auto"
    (scanned pages are read where the extra ``ocr`` is installed), "yes" or "no"; a scanned page that is not read comes
    as Quarantined. Raises InputError for a file that is locked, damaged, too large or takes too long.
    """
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use literature or report.")
    title, pages = pages_of(file.read(MAX_BYTES), ocr)
    work = Publication(
        id=stem(file.name, ".pdf"),
        title=title or file.path.stem,
        source=file.corpus,
        kind="report" if kind == "report" else "literature",
        domain=domain,
        metadata={"file": file.name},
    )
    yield from documents_of_pages(work, pages, file)


def documents_of_pages(work: Publication, pages: list[PdfPage], file: File) -> Iterator[Record]:
    """A document for each page with text; a Quarantined for each that is a picture."""
    for number, page in enumerate(pages, start=1):
        if page.flowed.text:
            more: dict[str, Any] = {
                "page": number,
                "page_size": page.size,
                "lines": [list(r) for r in page.flowed.lines],
            }
            if page.ocr_score is not None:
                more["ocr"] = round(page.ocr_score, 3)
            yield work.part(f"p{number}", f"page {number}", page.flowed.text, **more)
        elif page.unread:
            yield Quarantined(str(file.path), f"{file.name}, page {number}", page.unread)


def pages_of(data: bytes, ocr: str = "auto") -> tuple[str, list[PdfPage]]:
    """The title and the pages of a PDF file. Raises InputError as ``read_pdf`` does."""
    if ocr not in ("auto", "yes", "no"):
        raise InputError(f"The option ocr is {ocr!r}; use auto, yes or no.")
    with tempfile.TemporaryDirectory(prefix="rag-pdf-") as folder:
        title, *rows = _rows(data, folder, _reads_pictures(ocr))
        runs, scores, unread = [], [], []
        for number, row in enumerate(rows, start=1):
            lines = [PrintLine(text, number, (x0, y0, x1, y1)) for text, x0, y0, x1, y1 in row["lines"]]
            picture = Path(folder) / f"page-{number}.png"
            seen, score = _recognised(picture, number, row["size"]) if picture.is_file() else ([], None)
            runs.append((_bounded([*lines, *seen]), float(row["size"][0])))
            scores.append(score)
            unread.append("" if lines or seen else _why(row, read=picture.is_file()))
    pages = [
        PdfPage(flowed, (row["size"][0], row["size"][1]), why, score)
        for flowed, row, why, score in zip(flow(runs), rows, unread, scores, strict=True)
    ]
    return on_one_line(str(title.get("title") or "")), pages


def _why(row: dict[str, Any], *, read: bool) -> str:
    """Why a page has no text."""
    if "fault" in row:
        return f"It is a damaged page ({row['fault']})."
    if row["picture"] and read:
        return "It is a picture in which no text was recognised."
    return _SCANNED if row["picture"] else ""


def _reads_pictures(wanted: str) -> bool:
    if wanted == "yes":
        ocr.need_ocr()
    return wanted != "no" and ocr.is_there()


def _rows(data: bytes, folder: str, rendered: bool) -> list[dict[str, Any]]:
    """What pdf_pages.py prints of the file: its title first, then its pages."""
    if find_spec("pypdfium2") is None:
        raise MissingDependencyError('Reading PDF needs pypdfium2: pip install "clincite[corpora]".')
    command = [sys.executable, "-I", pdf_pages.__file__, folder, str(OCR_PIXELS if rendered else 0)]
    try:
        done = subprocess.run(  # noqa: S603 our own program, and the file comes as its input
            command, input=data, capture_output=True, timeout=TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"It was not read within {TIME_LIMIT_S:.0f} seconds; save it anew, or split it.") from error
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError):  # the last line may be cut where the process ended
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    if rows and (reason := rows[0].get("error")):
        raise InputError(reason)
    if done.returncode or not rows:
        raise InputError(f"It is a damaged PDF file (its decoder ended with {done.returncode}).")
    return rows


def _recognised(picture: Path, page: int, size: list[float]) -> tuple[list[PrintLine], float | None]:
    """The lines of a scanned page in points, and how sure the recogniser was on average; None where it saw nothing."""
    with Image.open(picture, formats=("PNG",)) as image:
        seen = ocr.recognise(image)
        scale = size[0] / image.width if image.width else 1.0
    lines = [PrintLine(one.text, page, tuple(scale * at for at in one.box)) for one in seen]  # type: ignore[arg-type]
    return lines, sum(one.score for one in seen) / len(seen) if seen else None


def _bounded(lines: list[PrintLine]) -> list[PrintLine]:
    total = 0
    for number, line in enumerate(lines):
        total += len(line.text)
        if total > MAX_PAGE_CHARS:
            return lines[:number]
    return lines


READER = Reader("pdf", "a PDF file", recognise_pdf, read_pdf)
