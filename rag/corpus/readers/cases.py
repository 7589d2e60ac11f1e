"""Cases as JSON lines: one object per line with an id and an image, a text, or both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from rag.corpus.files import File
from rag.corpus.images import SUFFIXES
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import bounded_lines, checked_id, clean_value, decode
from rag.errors import InputError
from rag.types import Document

MAX_LINE_BYTES = 1_000_000
_NAME = "cases.jsonl"
_HAS_ID = re.compile(r'"id"\s*:')
_HAS_CONTENT = re.compile(r'"(?:text|image)"\s*:')
_TEXT_FIELDS = ("image", "text", "kind", "title", "domain", "group", "split", "source", "licence")


def recognise_cases(file: File) -> float:
    """Sure of a cases.jsonl, and of JSON lines that begin with an id and a text or an image."""
    if file.suffix not in (".jsonl", ".ndjson"):
        return 0.0
    line = file.start.lstrip().partition("\n")[0]
    if '"resourceType"' in line:  # a bulk export of FHIR
        return 0.0
    rows = file.path.name == _NAME or (line.startswith("{") and _HAS_ID.search(line) and _HAS_CONTENT.search(line))
    return CERTAIN if rows else BY_NAME


def images_below(file: File) -> Iterable[Path]:
    """The images in the folder of a cases.jsonl belong to its rows, also those whose rows are not wanted."""
    if file.path.name != _NAME:
        return ()
    return (path for path in file.path.parent.rglob("*") if path.suffix.lower() in SUFFIXES)


def read_cases(file: File, split: str | None = None) -> Iterator[Document | Quarantined]:
    """Documents of a JSONL file; image paths are relative to its folder.

    ``split`` keeps only the rows whose "split" says so. Fields beyond the known ones become metadata.
    """
    path = file.path
    seen: set[str] = set()
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is not None and not line.strip():
            continue
        try:
            row = row_of(line)
            identifier = checked_id(row.get("id"))
            if identifier in seen:
                raise InputError(f"The id {identifier!r} was used before in this file; ids must be unique.")
            seen.add(identifier)
            if split is None or row.get("split") == split:
                # A list, so that a row whose text is refused does not leave its image behind.
                yield from list(documents_of(_pair(row, identifier, path)))
        except InputError as error:
            yield Quarantined(str(path), f"line {number}", str(error))


def row_of(line: bytes | None) -> dict[str, Any]:
    """The object on a line, cleaned, without nulls. Raises InputError if there is none."""
    if line is None:
        raise InputError(f"It is longer than {MAX_LINE_BYTES:,} bytes.")
    try:
        row = json.loads(decode(line), parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"It is not valid JSON ({error}).") from error
    if not isinstance(row, dict):
        raise InputError("It is JSON but not an object in braces.")
    return {key: clean_value(value) for key, value in row.items() if value is not None}


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _refuse(number)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number that can be kept")


def _pair(row: dict[str, Any], identifier: str, path: Path) -> Pair:
    group = row.get("group", "")
    values = row | {"group": str(group) if isinstance(group, int) and not isinstance(group, bool) else group}
    for name in _TEXT_FIELDS:
        if not isinstance(values.get(name, ""), str):
            raise InputError(f'Its "{name}" is not text.')
    image, text = values.get("image", ""), values.get("text", "")
    if not image and not text.strip():
        raise InputError('It has neither "image" nor "text"; give at least one.')
    if (kind := values.get("kind") or "report") not in ("report", "literature"):
        raise InputError(f'Its "kind" is {kind!r}; use "report" or "literature" (the image is told by its path).')
    return Pair(
        id=identifier,
        source=values.get("source") or path.stem,
        text=text,
        image=path_inside(path.parent, image) if image else None,
        kind="literature" if kind == "literature" else "report",
        title=values.get("title", ""),
        domain=values.get("domain") or "general",
        group=values["group"],
        licence=values.get("licence") or "unknown",
        metadata={key: value for key, value in row.items() if key == "split" or key not in ("id", *_TEXT_FIELDS)},
    )


READER = Reader(
    "cases",
    "JSON lines, each with an id and an image, a text or both (image paths relative to the file)",
    recognise_cases,
    read_cases,
    companions=images_below,
    ids="rows",
)
