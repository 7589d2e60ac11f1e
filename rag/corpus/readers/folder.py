"""A folder of images with side-car files: scan.png, its text in scan.txt, its particulars in scan.json."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.corpus.images import SUFFIXES
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import checked_id, clean_value, decode, read_bytes, read_text
from rag.errors import InputError
from rag.types import Document

MAX_JSON_BYTES = 1_000_000
_PARTICULARS = ("title", "domain", "group", "licence", "source")


def read_folder(path: Path) -> Iterator[Document | Quarantined]:
    """Documents of a folder and its sub-folders, or of one image or text file with its side-cars.

    The id is the path within the folder without its suffix. A text without an image is a report; hidden files and
    files of other kinds are passed over.
    """
    folder, cases = (path, _grouped(path)) if path.is_dir() else (path.parent, {path.stem: _beside(path)})
    for identifier, files in cases.items():
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        for file in images[1:]:
            reason = f"{images[0].name!r} beside it gives the same id {identifier!r}; rename one of them."
            yield Quarantined(str(path), file.relative_to(folder).as_posix(), reason)
        try:
            yield from list(documents_of(_pair(folder, identifier, files, images)))
        except InputError as error:
            yield Quarantined(str(path), _printable(files[0].relative_to(folder).as_posix()), str(error))


def _grouped(folder: Path) -> dict[str, list[Path]]:
    """Files by id, in the order of their paths; ids that have neither an image nor a text are left out."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        if _is_ours(file) and not any(part.startswith(".") for part in inner.parts):
            groups[inner.with_suffix("").as_posix()].append(file)
    return {identifier: files for identifier, files in groups.items() if any(map(_is_content, files))}


def _beside(path: Path) -> list[Path]:
    sides = [side for suffix in (".json", ".txt") if (side := path.with_suffix(suffix)) != path and side.is_file()]
    return [path, *sides]


def _is_content(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES or file.suffix.lower() == ".txt"


def _is_ours(file: Path) -> bool:
    return (_is_content(file) or file.suffix.lower() == ".json") and file.is_file()


def _pair(folder: Path, identifier: str, files: list[Path], images: list[Path]) -> Pair:
    inside = [path_inside(folder, file.relative_to(folder).as_posix()) for file in files]
    text = next((read_text(file) for file in inside if file.suffix.lower() == ".txt"), "")
    if not images and not text.strip():
        raise InputError("It is a text file with nothing in it.")
    row = next((_particulars(file) for file in inside if file.suffix.lower() == ".json"), {})
    return Pair(
        id=checked_id(identifier),
        source=row.get("source") or _printable(folder.resolve().name) or "images",
        text=text,
        image=next((file for file in inside if file.suffix.lower() in SUFFIXES), None),
        title=row.get("title", ""),
        domain=row.get("domain") or "general",
        group=row.get("group", ""),
        licence=row.get("licence") or "unknown",
        metadata={key: value for key, value in row.items() if key not in _PARTICULARS},
    )


def _particulars(file: Path) -> dict[str, Any]:
    try:
        row = json.loads(decode(read_bytes(file, MAX_JSON_BYTES)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Its side-car {file.name!r} is not valid JSON ({error}).") from error
    if not isinstance(row, dict) or not all(isinstance(row.get(name, ""), str) for name in _PARTICULARS):
        raise InputError(f"Its side-car {file.name!r} must be an object whose {', '.join(_PARTICULARS)} are text.")
    cleaned: dict[str, Any] = clean_value(row)
    return cleaned


def _printable(name: str) -> str:
    """A file name that can be printed: bytes that are not UTF-8 show as question marks."""
    return name.encode("utf-8", "replace").decode()
