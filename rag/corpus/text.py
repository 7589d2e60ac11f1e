"""Bytes to bounded, clean text. Every reader passes what it reads through here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.errors import InputError

MAX_TEXT_CHARS = 2_000_000
MAX_ID_CHARS = 500
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x85]")
# Control characters and lone surrogates: the first garble a terminal, the second cannot be hashed or stored as UTF-8.
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


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


def decode(data: bytes) -> str:
    """UTF-8 bytes (a byte-order mark is dropped) as text. Raises InputError for any other encoding."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"It is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start}; save it as UTF-8."
        ) from error


def bounded(text: str) -> str:
    """The cleaned text. Raises InputError if it is longer than a document may be."""
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(
            f"Its text has {len(text):,} characters; a document may have {MAX_TEXT_CHARS:,}, so split it first."
        )
    return clean(text)


def read_text(path: Path) -> str:
    """A whole text file, cleaned. Raises InputError if it is unreadable, too long or not UTF-8."""
    return bounded(decode(read_bytes(path, 4 * MAX_TEXT_CHARS)))


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file of at most ``limit`` bytes. Raises InputError if it is larger or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"It cannot be read: {error.strerror or error}.") from error
    if len(data) > limit:
        raise InputError(f"It is larger than the {limit:,} bytes allowed here; split it first.")
    return data


def checked_id(value: Any) -> str:
    """A record's id as text. Raises InputError if it is missing or cannot serve as an id."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError('It has no "id": give each record a unique, non-empty text or whole number.')
    text = str(value).strip()
    if len(text) > MAX_ID_CHARS or clean(text) != text or "\n" in text:
        raise InputError(f"Its id is longer than {MAX_ID_CHARS} characters or has control characters in it.")
    return text


def bounded_lines(path: Path, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines of a file with their 1-based numbers; a line of more than ``limit`` bytes comes as None, unread."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(limit + 1):
            number += 1
            if len(line) <= limit or line.endswith(b"\n"):
                yield number, line.rstrip(b"\r\n")
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(limit)
            yield number, None
