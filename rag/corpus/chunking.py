"""Documents to passages: windows of whole sentences, the unit of retrieval and of citation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.corpus.sentences import sentence_spans
from rag.errors import InputError
from rag.types import Document, Passage

_WORD = re.compile(r"\S+")


def passages_of(document: Document, max_chars: int = 1000) -> list[Passage]:
    """The document's passages, in order, each at most ``max_chars`` characters (Unicode code points) long.

    Together they cover every character that is not whitespace, exactly once. A sentence is split only if it is longer
    than ``max_chars`` itself, then at whitespace, and inside a word only if the word is that long. An image is one
    passage with an empty span. Raises InputError if ``max_chars`` is less than 1.
    """
    if max_chars < 1:
        raise InputError(f"A passage of at most {max_chars} characters holds nothing; use 1 or more.")
    spans = [(0, 0)] if document.kind == "image" else _windows(document.text, max_chars)
    return [
        Passage(
            id=f"{document.id}#{number}", document_id=document.id, start=start, end=end, text=document.text[start:end]
        )
        for number, (start, end) in enumerate(spans)
    ]


def _windows(text: str, max_chars: int) -> Iterator[tuple[int, int]]:
    units = (unit for span in sentence_spans(text) for unit in _fitting(text, *span, max_chars))
    return _packed(units, max_chars)


def _fitting(text: str, start: int, end: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """The sentence itself, or if it is too long, pieces of it that fit."""
    if end - start <= max_chars:
        yield start, end
        return
    words = (word.span() for word in _WORD.finditer(text, start, end))
    pieces = ((at, min(at + max_chars, stop)) for begin, stop in words for at in range(begin, stop, max_chars))
    yield from _packed(pieces, max_chars)


def _packed(units: Iterator[tuple[int, int]], max_chars: int) -> Iterator[tuple[int, int]]:
    """Neighbouring units joined greedily into spans of at most ``max_chars``."""
    current: tuple[int, int] | None = None
    for start, end in units:
        if current and end - current[0] <= max_chars:
            current = (current[0], end)
            continue
        if current:
            yield current
        current = (start, end)
    if current:
        yield current
