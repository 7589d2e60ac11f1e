"""Word files, RTF letters and web pages: one document per section, headings as the names of sections.

Text comes from :mod:`rag.corpus.word`, striprtf and the standard library's HTML parser; what is done here is cutting it
at headings.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from rag.corpus.files import File, stem
from rag.corpus.html import text_of_html
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, LIKELY, Reader, Record
from rag.corpus.readers.sections import Publication, named_parts
from rag.corpus.rtf import is_rtf, text_of_rtf
from rag.corpus.text import decode_any, on_one_line
from rag.corpus.word import blocks_of
from rag.corpus.zips import check_zip
from rag.errors import InputError, MissingDependencyError

MAX_BYTES = 100_000_000
_HEADING = re.compile(r"<h([1-6])\b[^>]*>(.*?)</h\1\s*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_REFERENCES = re.compile(r"(?:\d+\.?\s*)?(?:references|bibliography|literature cited)", re.IGNORECASE)


def recognise_word(file: File) -> float:
    if not file.head.startswith(b"PK"):
        return BY_NAME * (file.suffix == ".docx")
    return CERTAIN if b"word/" in file.head or file.suffix == ".docx" else 0.0


def recognise_html(file: File) -> float:
    start = file.start.lstrip().lower()
    is_page = start.startswith(("<!doctype html", "<html")) or file.root[0].lower() == "html"
    return CERTAIN if is_page else LIKELY * (file.suffix in (".html", ".htm") and file.is_text)


def read_word(file: File, kind: str = "literature") -> Iterator[Record]:
    """The sections of a .docx file, tables as text; ids are ``<path without suffix>#s<section>``."""
    try:
        import docx
        from docx.opc.exceptions import OpcError
    except ImportError as error:
        raise MissingDependencyError('Reading Word needs python-docx: pip install "clincite[corpora]".') from error
    data = io.BytesIO(file.read(MAX_BYTES))
    check_zip(data)
    try:
        word = docx.Document(data)
        sections = _word_sections(word)
        title = on_one_line(word.core_properties.title or "")
    except (OpcError, KeyError, ValueError, TypeError, AttributeError, SyntaxError, OSError) as error:
        raise InputError(f"It is a damaged Word file ({type(error).__name__}: {error}).") from error
    yield from _parts(file, title, sections, kind)


def read_html(file: File, kind: str = "literature") -> Iterator[Record]:
    """The sections of a page, without scripts and navigation; ids as those of Word files."""
    html, _ = decode_any(file.read(MAX_BYTES))
    title = text_of_html(found[1]) if (found := _TITLE.search(html)) else ""
    marks = [("", 0, 0), *((text_of_html(m[2]), m.start(), m.end()) for m in _HEADING.finditer(html))]
    ends = [*(start for _, start, _ in marks[1:]), len(html)]
    pieces = ((label, text_of_html(html[begin:end])) for (label, _, begin), end in zip(marks, ends, strict=True))
    yield from _parts(file, on_one_line(title), list(pieces), kind)


def recognise_rtf(file: File) -> float:
    return CERTAIN * is_rtf(file.head)


def read_rtf(file: File, kind: str = "literature") -> Iterator[Record]:
    """The letter as one document; its id is that of a Word file's first section."""
    yield from _parts(file, "", [("", text_of_rtf(file.read(MAX_BYTES)))], kind)


def _parts(file: File, title: str, sections: list[tuple[str, str]], kind: str) -> Iterator[Record]:
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use literature or report.")
    work = Publication(
        id=stem(file.name, file.suffix),
        title=title or file.path.stem,
        source=file.corpus,
        kind="report" if kind == "report" else "literature",
        metadata={"file": file.name},
    )
    kept = [(label, "" if _REFERENCES.fullmatch(label) else text) for label, text in sections]
    parts = list(named_parts(kept))
    for mark, label, text in parts:
        yield work.part(mark, label, text, **({"section": label} if label else {}))
    if not parts:
        yield Quarantined(str(file.path), file.name, "empty document: it has no text.", empty=True)


def _word_sections(word: Any) -> list[tuple[str, str]]:
    sections: list[tuple[str, list[str]]] = [("", [])]
    for block in blocks_of(word):
        if block.style.startswith(("Heading", "Title")):
            sections.append((on_one_line(block.text), []))
        else:
            sections[-1][1].append(block.text)
    return [(label, "\n".join(lines)) for label, lines in sections]


WORD = Reader("docx", "a Word file (.docx)", recognise_word, read_word)
RTF = Reader("rtf", "an RTF letter", recognise_rtf, read_rtf)
HTML = Reader("html", "a web page (HTML)", recognise_html, read_html)
