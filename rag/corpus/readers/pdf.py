"""PDF files: one document per page, with what print has done to the words undone.

Text comes from pypdf. Ours is what it leaves to its callers: running heads and page numbers are recognised by their
repetition, words hyphenated at line ends are joined, ligatures become letters, a sentence that runs over the page end
stays whole on the page where it begins, and the list of references at the end is left out.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator

from rag.corpus.files import File, stem
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import clean, on_one_line
from rag.errors import InputError, MissingDependencyError

MAX_BYTES = 200_000_000
MAX_PAGES = 5000
MAX_PAGE_CHARS = 200_000
_EDGE = 3  # lines at the top and at the bottom of a page among which running heads are looked for
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""}
)
_HYPHENATED = re.compile(r"(?<=[^\W\d_]{2})[-\u2010]\n(?=[a-zà-ÿ]{2})")
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?", re.IGNORECASE)
_REFERENCES = re.compile(r"(?:\d+\.?\s*)?(?:references|bibliography|literature cited|works cited)\s*:?", re.IGNORECASE)
_END = re.compile(r"[.!?][\"')\]]?\s")


def recognise_pdf(file: File) -> float:
    if file.head[128:132] == b"DICM":  # it may hold a PDF file
        return 0.0
    return CERTAIN if b"%PDF-" in file.head[:1024] else BY_NAME * (file.suffix == ".pdf")


def read_pdf(file: File, kind: str = "literature", domain: str = "general") -> Iterator[Record]:
    """Pages with text; ids are ``<path without suffix>#p<page>``, and ``metadata["page"]`` counts from 1.

    A page that is only a picture comes as Quarantined. ``kind`` is "literature" or "report". Raises InputError for a
    file that is locked, damaged or too large.
    """
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use literature or report.")
    title, texts, scanned = pages_of(file.read(MAX_BYTES))
    work = Publication(
        id=stem(file.name, ".pdf"),
        title=title or file.path.stem,
        source=file.corpus,
        kind="report" if kind == "report" else "literature",
        domain=domain,
        metadata={"file": file.name},
    )
    for number, (text, is_scanned) in enumerate(zip(texts, scanned, strict=True), start=1):
        if text:
            yield work.part(f"p{number}", f"page {number}", text, page=number)
        elif is_scanned:
            reason = "It is a scanned picture without text; recognise its text first (OCR)."
            yield Quarantined(str(file.path), f"{file.name}, page {number}", reason)


def pages_of(data: bytes) -> tuple[str, list[str], list[bool]]:
    """The title, each page's running text, and whether it is only a picture. Raises InputError as ``read_pdf`` does."""
    title, pages = _pages(data)
    return title, *_mended(pages)


def _pages(data: bytes) -> tuple[str, list[tuple[str, bool]]]:
    """The title, and each page's text with whether the page shows a picture."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingDependencyError('Reading PDF needs pypdf: pip install "clincite[corpora]".') from error
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("It is locked with a password; save it without one.")
        if len(reader.pages) > MAX_PAGES:
            raise InputError(f"It has {len(reader.pages):,} pages; at most {MAX_PAGES:,} are read, so split it.")
        title = on_one_line(str(reader.metadata.title or "")) if reader.metadata else ""
        return title, [(_text(page), _has_picture(page)) for page in reader.pages]
    except (PyPdfError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"It is a damaged PDF file ({type(error).__name__}: {error}).") from error


def _text(page: object) -> str:
    return clean(page.extract_text())[:MAX_PAGE_CHARS].translate(_LIGATURES)  # type: ignore[attr-defined]


def _has_picture(page: object) -> bool:
    resources = page.get("/Resources")  # type: ignore[attr-defined]
    objects = resources.get_object().get("/XObject") if resources is not None else None
    return any(
        o.get_object().get("/Subtype") == "/Image"
        for o in (objects.get_object().values() if objects is not None else ())
    )


def _mended(pages: list[tuple[str, bool]]) -> tuple[list[str], list[bool]]:
    """The pages' running text, and whether each is a picture without text."""
    lines = [[line.strip() for line in text.split("\n") if line.strip()] for text, _ in pages]
    scanned = [not one and picture for one, (_, picture) in zip(lines, pages, strict=True)]
    repeated = _running(lines)
    kept = [
        [
            line
            for place, line in enumerate(one)
            if not (_is_edge(place, len(one)) and (_shape(line) in repeated or _PAGE_NUMBER.fullmatch(line)))
        ]
        for one in lines
    ]
    texts = [_HYPHENATED.sub("", "\n".join(one)) for one in _without_references(kept)]
    for number in range(len(texts) - 1):
        texts[number], texts[number + 1] = _joined(texts[number], texts[number + 1])
    return texts, scanned


def _running(pages: list[list[str]]) -> set[str]:
    """Lines at page edges that come on more than half of the pages, numbers aside; at least three times."""
    counts = Counter(
        shape for page in pages for shape in {_shape(x) for i, x in enumerate(page) if _is_edge(i, len(page))}
    )
    return {shape for shape, n in counts.items() if n >= 3 and n > len(pages) / 2}


def _is_edge(place: int, lines: int) -> bool:
    return place < _EDGE or place >= lines - _EDGE


def _shape(line: str) -> str:
    return _DIGITS.sub("0", line)


def _without_references(pages: list[list[str]]) -> list[list[str]]:
    """What comes before the last heading "References", if that stands in the second half."""
    for number in range(len(pages) - 1, -1, -1):
        for place in range(len(pages[number]) - 1, -1, -1):
            if _REFERENCES.fullmatch(pages[number][place]):
                is_late = number >= len(pages) // 2 and (len(pages) > 1 or place > len(pages[0]) // 2)
                return (
                    [*pages[:number], pages[number][:place], *([[]] * (len(pages) - number - 1))] if is_late else pages
                )
    return pages


def _joined(page: str, following: str) -> tuple[str, str]:
    """A sentence that a page end cuts in two stays whole on the page where it begins."""
    if not page or not following or page.rstrip()[-1] in '.!?:"”)' or not following[0].islower():
        return page, following
    end = _END.search(following + "\n")
    if end is None or end.end() > 1000:
        return page, following
    whole = _HYPHENATED.sub("", f"{page}\n{following[: end.end()]}").rstrip()
    return whole, following[end.end() :].lstrip()


READER = Reader("pdf", "a PDF file", recognise_pdf, read_pdf)
