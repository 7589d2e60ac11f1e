"""The lines of a PDF file with their places, by PDFium; a program of its own, so that a hostile file has bounds.

``python pdf_pages.py FOLDER PIXELS < file.pdf`` prints one JSON object a page: ``size`` [width, height] in points, and
``lines`` [text, x0, y0, x1, y1] from the top left, of the page as it is shown: turned and cut as the file says.
``runs`` is where most of its text runs to: 0 right, 1 down, 2 left, 3 up. A page without text that shows a picture has
``picture``, and its rendering in FOLDER as ``page-<n>.png`` with its longer side of PIXELS (0: none is made). First
comes the ``title``; a file that cannot be read gives ``error``. With a third argument, the number of a page, that page
is rendered in colour and nothing else is done. Run by :mod:`rag.corpus.pdf_file` with limits on time and memory; it
imports nothing of this package, so that it starts at once.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from ctypes import byref, c_double, c_int
from typing import Any

MAX_PAGES = 5000
MAX_LINES = 5000  # of one page
MAX_RENDERED = 300
MAX_MEMORY = 4_000_000_000
_FINE = 100  # steps of a point in which places are told
_SAMPLED = 400  # characters of a page that say where its text runs to


def main(folder: str, pixels: int, wanted: int | None = None) -> None:
    import resource

    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_PAGEOBJ_IMAGE

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) == FPDF_ERR_PASSWORD
        _say(error="It is locked with a password; save it without one." if locked else "It is a damaged PDF file.")
        return
    if len(document) > MAX_PAGES:
        _say(error=f"It has {len(document):,} pages; at most {MAX_PAGES:,} are read, so split it.")
        return
    if wanted is not None:
        if not 1 <= wanted <= len(document):
            _say(error=f"It has {len(document):,} pages, and no page {wanted:,}.")
            return
        _render(document[wanted - 1], pixels, f"{folder}/page-{wanted}.png")
        return
    _say(title=document.get_metadata_value("Title"))
    rendered = 0
    for number in range(len(document)):
        try:
            page = document[number]
            size, (lines, runs) = page.get_size(), _lines(page)
            objects = page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3)
            has_picture = not lines and next(iter(objects), None) is not None
            if has_picture and pixels and rendered < MAX_RENDERED:
                _render(page, pixels, f"{folder}/page-{number + 1}.png", grayscale=True)
                rendered += 1
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            _say(size=[0, 0], lines=[], runs=0, picture=False, fault=type(error).__name__)
            continue
        _say(size=list(size), lines=lines, runs=runs, picture=has_picture)


def _lines(page: Any) -> tuple[list[list[Any]], int]:
    from pypdfium2.raw import FPDF_PageToDevice, FPDFText_GetCharOrigin

    width, height = (round(_FINE * side) for side in page.get_size())
    text = page.get_textpage()

    def shown(x: float, y: float) -> tuple[float, float]:
        across, down = c_int(), c_int()
        FPDF_PageToDevice(page, 0, 0, width, height, 0, x, y, byref(across), byref(down))
        return across.value / _FINE, down.value / _FINE

    lines = []
    for n in range(min(text.count_rects(), MAX_LINES)):
        left, low, right, high = text.get_rect(n)
        if (said := text.get_text_bounded(left, low, right, high)).strip():
            corners = shown(left, low), shown(right, high)
            (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(*corners, strict=True))
            lines.append([said, x0, y0, x1, y1])
    steps = Counter[int]()
    before: tuple[float, float] | None = None
    for n in range(min(text.count_chars(), _SAMPLED)):
        x, y = c_double(), c_double()
        at = shown(x.value, y.value) if FPDFText_GetCharOrigin(text, n, byref(x), byref(y)) else None
        if at is not None and before is not None and at != before:
            right, down = at[0] - before[0], at[1] - before[1]
            steps[(0 if right > 0 else 2) if abs(right) >= abs(down) else (1 if down > 0 else 3)] += 1
        before = at
    return lines, max(steps, key=steps.__getitem__, default=0)


def _render(page: Any, pixels: int, file: str, **options: Any) -> None:
    page.render(scale=pixels / max(*page.get_size(), 1), **options).to_pil().save(file)


def _say(**row: Any) -> None:
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
