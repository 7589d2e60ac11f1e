"""PowerPoint files: one document per slide, with its tables and notes; by python-pptx."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rag.corpus.files import File, stem
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import clean, on_one_line
from rag.corpus.zips import check_zip
from rag.errors import InputError, MissingDependencyError

MAX_BYTES = 200_000_000
MAX_DEPTH = 20  # of groups within groups


def recognise_slides(file: File) -> float:
    if not file.head.startswith(b"PK"):
        return BY_NAME * (file.suffix == ".pptx")
    return CERTAIN * (b"ppt/" in file.head or file.suffix == ".pptx")


def read_slides(file: File, kind: str = "literature") -> Iterator[Record]:
    """Slides with text; ids are ``<path without suffix>#s<slide>``, and ``metadata["slide"]`` counts from 1."""
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use literature or report.")
    try:
        from pptx import Presentation
        from pptx.exc import PythonPptxError
    except ImportError as error:
        raise MissingDependencyError('Reading slides needs python-pptx: pip install "clincite[corpora]".') from error
    data = io.BytesIO(file.read(MAX_BYTES))
    check_zip(data)
    try:
        deck = Presentation(data)
        title = on_one_line(deck.core_properties.title or "")
        slides = [(_heading(slide), "\n".join(_lines(slide.shapes)), _notes(slide)) for slide in deck.slides]
    except (PythonPptxError, KeyError, ValueError, TypeError, AttributeError, SyntaxError, OSError) as error:
        raise InputError(f"It is a damaged PowerPoint file ({type(error).__name__}: {error}).") from error
    work = Publication(
        id=stem(file.name, file.suffix),
        title=title or file.path.stem,
        source=file.corpus,
        kind="report" if kind == "report" else "literature",
        metadata={"file": file.name},
    )
    if not any(text or notes for _, text, notes in slides):
        yield Quarantined(str(file.path), file.name, "empty presentation: its slides have no text.", empty=True)
    for number, (heading, text, notes) in enumerate(slides, start=1):
        if whole := "\n".join(filter(None, (text, f"Notes: {notes}" if notes else ""))):
            more = {"slide": number} | ({"section": heading} if heading else {})
            yield work.part(f"s{number}", f"slide {number}", whole, **more)


def _heading(slide: Any) -> str:
    shape = slide.shapes.title
    return on_one_line(shape.text_frame.text) if shape is not None and shape.has_text_frame else ""


def _notes(slide: Any) -> str:
    frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    return on_one_line(frame.text) if frame is not None else ""


def _lines(shapes: Any, depth: int = 0) -> Iterator[str]:
    """The texts of shapes, a line a paragraph and a row of a table."""
    for shape in shapes:
        if shape.has_text_frame:
            yield from filter(None, (clean(p.text).strip() for p in shape.text_frame.paragraphs))
        elif getattr(shape, "has_table", False) and shape.has_table:
            rows = ([on_one_line(cell.text) for cell in row.cells] for row in shape.table.rows)
            yield from (" | ".join(cells) for cells in rows if any(cells))
        elif hasattr(shape, "shapes") and depth < MAX_DEPTH:
            yield from _lines(shape.shapes, depth + 1)


READER = Reader("pptx", "a PowerPoint file (.pptx)", recognise_slides, read_slides)
