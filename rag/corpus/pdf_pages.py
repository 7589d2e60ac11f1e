"""The lines of a PDF file with their places, by PDFium; a program of its own, so that a hostile file has bounds.

``python pdf_pages.py FOLDER PIXELS < file.pdf`` prints one JSON object a page: ``size`` [width, height] in points, and
``lines`` [text, x0, y0, x1, y1] from the top left; a page without text that shows a picture has ``picture``, and its
rendering in FOLDER as ``page-<n>.png`` with its longer side of PIXELS (0: none is made). First comes the ``title``; a
file that cannot be read gives ``error``. Run by :mod:`rag.corpus.readers.pdf` with limits on time and memory; it
imports nothing of this package, so that it starts at once.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_PAGES = 5000
MAX_LINES = 5000  # of one page
MAX_RENDERED = 300
MAX_MEMORY = 4_000_000_000


def main(folder: str, pixels: int) -> None:
    import resource

    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_PAGEOBJ_IMAGE

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))

    def say(**row: Any) -> None:
        sys.stdout.write(json.dumps(row) + "\n")

    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) == FPDF_ERR_PASSWORD
        say(error="It is locked with a password; save it without one." if locked else "It is a damaged PDF file.")
        return
    if len(document) > MAX_PAGES:
        say(error=f"It has {len(document):,} pages; at most {MAX_PAGES:,} are read, so split it.")
        return
    say(title=document.get_metadata_value("Title"))
    rendered = 0
    for number in range(len(document)):
        try:
            page = document[number]
            size, text = page.get_size(), page.get_textpage()
            top = page.get_mediabox()[3]
            lines = []
            for n in range(min(text.count_rects(), MAX_LINES)):
                left, low, right, high = text.get_rect(n)
                if (said := text.get_text_bounded(left, low, right, high)).strip():
                    lines.append([said, left, top - high, right, top - low])
            objects = page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3)
            has_picture = not lines and next(iter(objects), None) is not None
            if has_picture and pixels and rendered < MAX_RENDERED:
                page.render(scale=pixels / max(*size, 1), grayscale=True).to_pil().save(
                    f"{folder}/page-{number + 1}.png"
                )
                rendered += 1
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            say(size=[0, 0], lines=[], picture=False, fault=type(error).__name__)
            continue
        say(size=list(size), lines=lines, picture=has_picture)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
