"""The lines of a PDF file with their places, by PDFium; a program of its own, so that a hostile file has bounds.

``python pdf_pages.py FOLDER PIXELS < file.pdf`` prints one JSON object a page: ``size`` [width, height] in points, and
``lines`` [text, x0, y0, x1, y1] from the top left, of the page as it is shown: turned and cut as the file says. What
nobody sees (invisible, or off the page) is left out; what is filled into a form is there. ``runs`` is where most of its
text runs to: 0 right, 1 down, 2 left, 3 up; ``aside`` are the lines that run elsewhere. A page that is a picture, with
a stamp of text at most, has ``picture``, and its rendering in FOLDER as ``page-<n>.png`` with its longer side of PIXELS
(0: none is made). First comes the ``title``, with the names of ``attached`` files; a file that cannot be read gives
``error``. With a third argument, the number of a page, that page is rendered in colour and nothing else is done. Run by
:mod:`rag.corpus.pdf_file` with limits on time and memory; it imports nothing of this package, to start at once.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from ctypes import POINTER, byref, c_int, c_uint, cast, create_string_buffer
from dataclasses import dataclass
from math import pi
from typing import Any

MAX_PAGES = 5000
MAX_LINES = 5000  # of one page
MAX_RENDERED = 300
MAX_ATTACHED = 100
MAX_MEMORY = 4_000_000_000
_FINE = 100  # steps of a point in which places are told
_STAMP = 200  # characters on a page that is otherwise a picture
_PICTURE = 0.7  # of a page's area, where the picture is the page
_UNKNOWN = 0.3  # of a page's characters, where its fonts do not say which letters they are
_APART = 0.9  # of a line's height: no wider is the space between words
_HIDDEN = 2 | 32  # flags of an annotation that is not shown
_CHECKED, _UNCHECKED = "\u2611", "\u2610"


def main(folder: str, pixels: int, wanted: int | None = None) -> None:
    import resource

    import pypdfium2
    from pypdfium2.raw import FORMTYPE_NONE, FORMTYPE_XFA_FOREGROUND, FORMTYPE_XFA_FULL, FPDF_ERR_PASSWORD

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) == FPDF_ERR_PASSWORD
        _say(
            error="It is locked with a password; save it without one."
            if locked
            else "It is a damaged PDF file; copy it again."
        )
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
    if len(document) == 0:
        _say(error="It is a PDF file without pages.")
        return
    if document.get_formtype() in (FORMTYPE_XFA_FULL, FORMTYPE_XFA_FOREGROUND):
        _say(error="It is a form of a kind (XFA) that shows nothing here; print it to a PDF file first.")
        return
    if document.get_formtype() != FORMTYPE_NONE:
        document.init_forms()
    attached = [document.get_attachment(n).get_name() for n in range(min(document.count_attachments(), MAX_ATTACHED))]
    _say(title=document.get_metadata_value("Title"), attached=attached)
    rendered = 0
    for number in range(len(document)):
        try:
            page = document[number]
            row = _row(page)
            if row["picture"] and pixels and rendered < MAX_RENDERED:
                _render(page, pixels, f"{folder}/page-{number + 1}.png", grayscale=True)
                rendered += 1
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            _say(size=[0, 0], lines=[], aside=[], runs=0, picture=False, fault=type(error).__name__)
            continue
        _say(**row)


@dataclass(slots=True)
class _Run:
    """Characters that follow one another on one line, in one size; their box as their own direction sees it."""

    turned: float  # clockwise quarters of a turn by which the characters stand
    left: float
    low: float
    right: float
    high: float
    text: str = ""
    is_seen: bool = True
    leftward: bool = False
    last: tuple[float, float, float, float] | None = None  # of its characters: one of two letters is told twice

    def takes(self, box: tuple[float, float, float, float]) -> bool:
        """Whether a character is the next of this run."""
        if box == self.last:
            return True
        left, low, right, high = box
        height = self.high - self.low
        if abs(low - self.low) > 0.1 * height or abs(high - self.high) > 0.1 * height:
            return False
        after, before = left - self.right, self.left - right
        return -0.5 * height <= after <= _APART * height or (self.leftward and max(after, before) <= _APART * height)


def _row(page: Any) -> dict[str, Any]:
    """What is said of a page."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    width, height = page.get_size()
    text = page.get_textpage()
    shown = _Shown(page)
    runs, unknown = _runs(text)
    letters = sum(len(run.text) for run in runs)
    picture = False
    if letters <= _STAMP or unknown:
        bounds = [image.get_bounds() for image in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3)]
        covered = max(((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in bounds), default=0.0)
        picture = unknown or (bool(bounds) and (not letters or covered >= _PICTURE * width * height))
    seen = [run for run in runs if run.is_seen or picture]  # the invisible text over a picture is what it shows
    quarter = page.get_rotation() // 90
    counts = Counter[int]()
    for run in seen:
        if run.turned == int(run.turned):
            counts[(int(run.turned) + quarter) % 4] += len(run.text)
    main = max(counts, key=counts.__getitem__, default=0)
    lines, aside = list[list[Any]](), list[list[Any]]()
    for run in seen[:MAX_LINES]:
        x0, y0, x1, y1 = shown.box(*_unturned(run))
        if run.text.strip() and 0 <= (x0 + x1) / 2 <= width and 0 <= (y0 + y1) / 2 <= height:
            is_main = run.turned == int(run.turned) and (int(run.turned) + quarter) % 4 == main
            (lines if is_main else aside).append([run.text, x0, y0, x1, y1])
    lines += [[said, *shown.box(*box)] for said, box in _filled(page)]
    row = {"size": [width, height], "lines": lines, "aside": aside, "runs": main, "picture": picture}
    return row | ({"cut": True} if len(seen) > MAX_LINES else {}) | ({"unknown": True} if unknown else {})


def _runs(text: Any) -> tuple[list[_Run], bool]:
    """The runs of a page in the file's order, and whether most of its letters cannot be told."""
    from pypdfium2.raw import FS_RECTF, FPDFText_GetLooseCharBox, FPDFText_GetUnicode

    runs: list[_Run] = []
    run: _Run | None = None
    rect, unknown, total = FS_RECTF(), 0, text.count_chars()
    for n in range(total):
        letter = FPDFText_GetUnicode(text, n)
        if letter in (10, 13):
            run = None
            continue
        if letter == 32 or letter == 160:
            if run is not None:
                run.text += " "
            continue
        if letter == 0 or 0xE000 <= letter <= 0xF8FF or letter == 0xFFFD:
            unknown += 1
            continue
        FPDFText_GetLooseCharBox(text, n, byref(rect))
        box = (rect.left, rect.bottom, rect.right, rect.top)
        said = chr(letter) if not 0xD800 <= letter <= 0xDFFF else "\ufffd"
        if run is None or not run.takes(_turned(box, run.turned)):
            run = _begun(text, n, box, run)
            if not runs or runs[-1] is not run:
                runs.append(run)
        left, low, right, high = run.last = _turned(box, run.turned)
        run.left, run.right = min(run.left, left), max(run.right, right)
        run.low, run.high = min(run.low, low), max(run.high, high)
        run.text += said
        if letter > 0x590 and unicodedata.bidirectional(said) in ("R", "AL"):
            run.leftward = True
    return runs, total > 0 and unknown > _UNKNOWN * total


def _begun(text: Any, n: int, box: tuple[float, float, float, float], before: _Run | None) -> _Run:
    """A new run at a character; the one before where both stand aslant alike, and their boxes say little."""
    from pypdfium2.raw import (
        FPDF_TEXTRENDERMODE_INVISIBLE,
        FPDFText_GetCharAngle,
        FPDFText_GetFillColor,
        FPDFText_GetTextObject,
        FPDFTextObj_GetTextRenderMode,
    )

    quarters = FPDFText_GetCharAngle(text, n) / (pi / 2)
    turned = float(round(quarters) % 4) if abs(quarters - round(quarters)) < 0.05 else round(quarters, 2)
    if before is not None and before.turned == turned != int(turned):
        return before
    made = FPDFText_GetTextObject(text, n)
    mode = FPDFTextObj_GetTextRenderMode(made) if made else 0
    red, green, blue, opaque = c_uint(), c_uint(), c_uint(), c_uint()
    is_painted = (
        not FPDFText_GetFillColor(text, n, byref(red), byref(green), byref(blue), byref(opaque)) or opaque.value
    )
    seen = mode != FPDF_TEXTRENDERMODE_INVISIBLE and bool(is_painted)
    return _Run(turned, *_turned(box, turned), is_seen=seen)


def _turned(box: tuple[float, float, float, float], quarters: float) -> tuple[float, float, float, float]:
    """A box as text that stands turned clockwise by these quarters sees it; aslant, as it is."""
    left, low, right, high = box
    if quarters == 1:
        return -high, left, -low, right
    if quarters == 2:
        return -right, -high, -left, -low
    return (low, -right, high, -left) if quarters == 3 else box


def _unturned(run: _Run) -> tuple[float, float, float, float]:
    back = {1: 3.0, 3: 1.0}.get(int(run.turned), run.turned) if run.turned == int(run.turned) else 0.0
    return _turned((run.left, run.low, run.right, run.high), back)


class _Shown:
    """Places of a page as it is shown, in points from the top left."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._width, self._height = (round(_FINE * side) for side in page.get_size())

    def box(self, left: float, low: float, right: float, high: float) -> tuple[float, float, float, float]:
        corners = self._at(left, low), self._at(right, high)
        (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(*corners, strict=True))
        return x0, y0, x1, y1

    def _at(self, x: float, y: float) -> tuple[float, float]:
        from pypdfium2.raw import FPDF_PageToDevice

        across, down = c_int(), c_int()
        FPDF_PageToDevice(self._page, 0, 0, self._width, self._height, 0, x, y, byref(across), byref(down))
        return across.value / _FINE, down.value / _FINE


def _filled(page: Any) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """What is written or ticked in the fields of a form, and in notes upon the page, line by line with their boxes."""
    from pypdfium2 import raw

    form = page.formenv
    for n in range(min(raw.FPDFPage_GetAnnotCount(page), MAX_LINES)):
        annotation = raw.FPDFPage_GetAnnot(page, n)
        kind, rect, said = raw.FPDFAnnot_GetSubtype(annotation), raw.FS_RECTF(), ""
        if not raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN and raw.FPDFAnnot_GetRect(annotation, byref(rect)):
            if kind == raw.FPDF_ANNOT_WIDGET and form is not None:
                field = raw.FPDFAnnot_GetFormFieldType(form, annotation)
                if field in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
                    said = (_CHECKED if raw.FPDFAnnot_IsChecked(form, annotation) else _UNCHECKED) + " "
                elif field in (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX):
                    said = _wide(lambda *to, it=annotation: raw.FPDFAnnot_GetFormFieldValue(form, it, *to))
            elif kind == raw.FPDF_ANNOT_FREETEXT:
                said = _wide(lambda *to, it=annotation: raw.FPDFAnnot_GetStringValue(it, b"Contents", *to))
        lines = [line for line in said.replace("\r", "\n").split("\n") if line.strip()]
        step = (rect.top - rect.bottom) / len(lines) if lines else 0.0
        for number, line in enumerate(lines):
            top = rect.top - number * step
            yield line, (rect.left, top - step, rect.right, top)
        raw.FPDFPage_CloseAnnot(annotation)


def _wide(tell: Any) -> str:
    """A text of PDFium's, which tells its length in bytes first, as UTF-16."""
    from pypdfium2.raw import FPDF_WCHAR

    size = tell(None, 0)
    buffer = create_string_buffer(min(size, 1_000_000))
    tell(cast(buffer, POINTER(FPDF_WCHAR)), len(buffer))
    return buffer.raw.decode("utf-16-le", "replace").rstrip("\0")


def _render(page: Any, pixels: int, file: str, **options: Any) -> None:
    page.render(scale=pixels / max(*page.get_size(), 1), **options).to_pil().save(file)


def _say(**row: Any) -> None:
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
