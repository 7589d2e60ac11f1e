"""Bytes to bounded, clean text. Every reader passes what it reads through here."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.corpus.files import File
from rag.errors import InputError

MAX_TEXT_CHARS = 2_000_000
MAX_ID_CHARS = 500
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
# Between two letters stands a letter, a hyphen or an apostrophe; in cp850 read as cp1252 it would be a quotation mark.
_BROKEN_WORD = re.compile(
    r"[^\W\d_][\u201a-\u201e\u2020-\u203a\u20ac\u02c6\u02dc\u0192\u2122\xa1-\xac\xae-\xb6\xb8-\xbf\xd7\xf7][^\W\d_]"
)
_SIGNS = "µºª"  # letters that stand in measures, in any language
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x85]")
# Control characters and lone surrogates: the first garble a terminal, the second cannot be hashed or stored as UTF-8.
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Above the line: a power, references to a list, and a word too long for a unit or a chemical symbol.
_POWER = re.compile(r"[-\u2212\u2013+]?\d{1,3}")
_REFERENCES = re.compile(r"\d{1,3}(?:\s*[,\u2013-]\s*\d{1,3})*")
_WORD_ENDS = re.compile(r"[^\W\d_]{4}[.,;:)]?$")


def clean(text: str) -> str:
    """The text with line ends as ``\\n`` and without control characters; tabs stay."""
    return _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))


def clean_value(value: Any) -> Any:
    """A JSON value with every string in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_value(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_value(item) for key, item in value.items()}
    return value


def on_one_line(text: str) -> str:
    """The cleaned text on one line, with runs of whitespace as one space."""
    return " ".join(clean(text).split())


def raised(before: str, text: str) -> str:
    """What print sets above the line, as it reads on the line: a power after a caret, a reference after a space.

    >>> [raised(*pair) for pair in (("x 10", "9"), ("/1.73 m", "2"), ("as shown", "12,13"), ("Ca", "2+"))]
    ['^9', '2', ' 12,13', '2+']
    """
    said = text.strip()
    if _POWER.fullmatch(said) and before[-1:].isdigit():
        return f"^{said}"
    return f" {said}" if _REFERENCES.fullmatch(said) and _WORD_ENDS.search(before) else text


def decode(data: bytes) -> str:
    """UTF-8 bytes (a byte-order mark is dropped) as text. Raises InputError for any other encoding."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"It is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start}; save it as UTF-8."
        ) from error


def decode_any(data: bytes) -> tuple[str, str]:
    """Text of any common encoding, and the encoding's name.

    A byte-order mark decides, then UTF-8, then UTF-16 by its zeros. What is left is Western European (cp1252) where
    that gives words of mostly ASCII letters, and else what charset-normalizer finds: alone it takes Spanish in cp1252
    for Polish. Raises InputError for what is no text, and where no encoding is likely.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decoded(data, name), name.removesuffix("-sig")
    with contextlib.suppress(UnicodeDecodeError):
        if b"\0" not in data:
            return data.decode("utf-8"), "utf-8"
    if wide := _wide(data):
        return _decoded(data, wide), wide
    if b"\0" in data:
        raise InputError("It is not text: it has zero bytes in it.")
    if western := _western(data):
        return western, "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(data[:100_000]).best()
    if best is None or best.encoding.startswith("utf_16"):
        raise InputError("The encoding of its text cannot be told; save it as UTF-8.")
    return _decoded(data, best.encoding), best.encoding


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeError as error:
        raise InputError(f"It is not whole {encoding} text ({error}); save it as UTF-8.") from error


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of mostly ASCII text is zero."""
    sample = data[:4096]
    if len(sample) < 4 or len(data) % 2:
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    half = len(sample) / 2
    return "utf-16-le" if odd > 0.7 * half and not even else "utf-16-be" if even > 0.7 * half and not odd else ""


def _western(data: bytes) -> str:
    """The text as cp1252, if it then reads like a Western European language; else empty."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    foreign = sum(c.isalpha() and not c.isascii() and c not in _SIGNS for c in text)
    plain = sum(c.isalpha() and c.isascii() for c in text)
    return text if foreign <= 0.4 * (plain + foreign) and not _BROKEN_WORD.search(text) else ""


def bounded(text: str) -> str:
    """The cleaned text. Raises InputError if it is longer than a document may be."""
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(
            f"Its text has {len(text):,} characters; a document may have {MAX_TEXT_CHARS:,}, so split it first."
        )
    return clean(text)


def read_text(file: File) -> str:
    """A whole UTF-8 text file, cleaned. Raises InputError if it is unreadable, too long or not UTF-8."""
    return bounded(decode(file.read(4 * MAX_TEXT_CHARS)))


def checked_id(value: Any) -> str:
    """A record's id as text. Raises InputError if it is missing or cannot serve as an id."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError('It has no "id": give each record a unique, non-empty text or whole number.')
    text = str(value).strip()
    if len(text) > MAX_ID_CHARS or clean(text) != text or "\n" in text:
        raise InputError(f"Its id is longer than {MAX_ID_CHARS} characters or has control characters in it.")
    return text


def bounded_lines(file: File | Path, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines of a file with their 1-based numbers; a line of more than ``limit`` bytes comes as None, unread."""
    with file.open() if isinstance(file, File) else file.open("rb") as lines:
        number = 0
        while line := lines.readline(limit + 1):
            number += 1
            if len(line) <= limit or line.endswith(b"\n"):
                yield number, line.rstrip(b"\r\n")
                continue
            while line and not line.endswith(b"\n"):
                line = lines.readline(limit)
            yield number, None
