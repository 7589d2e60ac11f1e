"""Free text with ``[n]`` markers, as language models write it, becomes draft sentences that point at exact spans.

A marker belongs to the sentence that it stands in, or that it follows: "… is enlarged [1].", "… is enlarged. [1]",
"… [1][2]", "[1, 3]", "[2-4]" and "【1】" are all read. What is pointed at is the span of the cited passage that
supports the sentence best: one sentence of it, or a few that follow each other. Numbers that no evidence has are kept
as quotes of nothing, so that the verifier can repair or refuse them. "[image]" points at no text: what only the image
says cites nothing, and stands if some passage says it, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rag.corpus.sentences import sentence_spans
from rag.language.clinical_text import Texts
from rag.types import DraftSentence, Evidence, Quote
from rag.verification.rules.quoting import best_quote

_NUMBERS = r"\d{1,6}(?:\s*(?:[,;&\-\u2010-\u2015]|and|to)\s*(?:and\s+)?[#^]?\d{1,6})*"
_NAME = (
    r"(?:(?:evidence|passage|source|sources|document|doc|ref|refs|reference|references|citation|cite)s?\.?\s*:?\s*)?"
)
_MARKER = re.compile(rf"[ \t]*[\[\u3010]\s*(?:{_NAME}[#^]?({_NUMBERS})|image)\s*[\]\u3011]", re.I)
_RANGE = re.compile(r"(\d{1,6})\s*(?:[-\u2010-\u2015]|to)\s*[#^]?(\d{1,6})", re.I)
_EMPHASIS = re.compile(r"\*\*|__|(?<![A-Za-z0-9])\*(?=\S)|(?<=\S)\*(?![A-Za-z0-9])|`+")
_LINE_OPENS = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|[-*\u2022][ \t]+|>[ \t]*)+", re.M)
_LIST_OF_SOURCES = re.compile(r"^[ \t]*(?:references?|sources?|citations?|bibliography)[ \t]*:?[ \t]*$", re.I | re.M)
_MANY = 64  # numbers read from one marker: "[1-999999]" is no reason to work for long


def parse(text: str, evidence: Sequence[Evidence], texts: Texts) -> tuple[DraftSentence, ...]:
    """Sentences of ``text`` without their markers, each with a quote for every number that it cites.

    ``quote == document.text[start:end]`` for every number of ``evidence``; other numbers give an empty span
    (``start == end == 0``). A number is kept once for a sentence. Markdown emphasis, bullets and a closing list of
    references are taken off. Sentences come in their order; one that cites nothing has no quotes.
    """
    plain, markers = _without_markers(_tidied(text))
    by_number = {e.number: e for e in evidence}
    spans = sentence_spans(plain)
    cited: list[list[int]] = [[] for _ in spans]
    for position, numbers in markers:
        if (owner := _owner(spans, position, plain)) is not None:
            cited[owner] += numbers
    return tuple(
        DraftSentence(
            text=" ".join(plain[start:end].split()),
            quotes=tuple(
                best_quote(plain[start:end], by_number[n], texts) if n in by_number else Quote(number=n, start=0, end=0)
                for n in dict.fromkeys(numbers)
            ),
        )
        for (start, end), numbers in zip(spans, cited, strict=True)
        if any(c.isalnum() for c in plain[start:end])
    )


def _tidied(text: str) -> str:
    """Without characters that are not seen, Markdown, and the list of sources at the end."""
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cf", "Cc"))
    if listed := _LIST_OF_SOURCES.search(text):
        text = text[: listed.start()]
    return _EMPHASIS.sub("", _LINE_OPENS.sub("", text)).strip()


def _without_markers(text: str) -> tuple[str, list[tuple[int, list[int]]]]:
    """The text without its markers, and (where each stood in what is left, its numbers)."""
    pieces: list[str] = []
    markers: list[tuple[int, list[int]]] = []
    length = done = 0
    for match in _MARKER.finditer(text):
        piece = text[done : match.start()]
        if done and piece[:1].isalnum():
            piece = " " + piece  # "enlarged.[1]The lungs"
        pieces.append(piece)
        length += len(piece)
        markers.append((length, _numbers(match[1] or "")))
        done = match.end()
    rest = text[done:]
    pieces.append(" " + rest if done and rest[:1].isalnum() else rest)
    return "".join(pieces), markers


def _numbers(inside: str) -> list[int]:
    found: list[int] = []
    for low, high in ((int(m[1]), int(m[2])) for m in _RANGE.finditer(inside)):
        found += range(low, min(high, low + _MANY - 1) + 1)
    return (found + [int(n) for n in re.findall(r"\d+", _RANGE.sub(" ", inside))])[:_MANY]


def _owner(spans: Sequence[tuple[int, int]], position: int, text: str) -> int | None:
    """The sentence that a marker at ``position`` is in or follows; at a line's start, the next one."""
    before = [i for i, (start, _) in enumerate(spans) if start < position]
    after = [i for i, (start, _) in enumerate(spans) if start >= position]
    opens_line = not text[text.rfind("\n", 0, position) + 1 : position].strip()
    if before and not (opens_line and after):
        return before[-1]
    return after[0] if after else None
