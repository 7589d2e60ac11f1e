"""Sample images that come inside other packages, listed in a TOML file with the text that belongs to each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli

from rag.corpus.files import File
from rag.corpus.packaged import packaged_file
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import clean, read_text
from rag.errors import InputError
from rag.types import Document

_FOLDERS = {"skimage": ("data",), "pydicom": ("data", "test_files")}
_REQUIRED = ("package", "file", "domain", "title", "text", "licence", "notice")


def recognise_samples(file: File) -> float:
    """A TOML file with ``[[image]]`` tables."""
    return CERTAIN * (file.suffix == ".toml" and "[[image]]" in file.start)


def read_samples(file: File) -> Iterator[Document | Quarantined]:
    """Documents of the ``[[image]]`` tables; the id is "sample/<file name without suffix>".

    Raises InputError if the file is not TOML with such tables, MissingDependencyError if a package is not installed.
    """
    path = file.path
    try:
        tables = tomli.loads(read_text(file)).get("image")
    except tomli.TOMLDecodeError as error:
        raise InputError(f"{str(path)!r} is not valid TOML ({error}).") from error
    if not isinstance(tables, list):
        raise InputError(f"{str(path)!r} lists no [[image]] tables.")
    seen: set[str] = set()
    for number, table in enumerate(tables, start=1):
        try:
            pair = _pair(table)
            if pair.id in seen:
                raise InputError(f"Another sample has the id {pair.id!r}; file names must differ.")
            yield from list(documents_of(pair))
        except InputError as error:
            if type(error) is not InputError:
                raise
            yield Quarantined(str(path), f"image {number}", str(error))
            continue
        seen.add(pair.id)


def _pair(table: Any) -> Pair:
    if not isinstance(table, dict):
        raise InputError("It is not a table.")
    if wrong := [name for name in _REQUIRED if not isinstance(table.get(name), str) or not table[name].strip()]:
        raise InputError(f"It lacks {', '.join(wrong)}.")
    if table["package"] not in _FOLDERS:
        raise InputError(f"Its package is {table['package']!r}; samples come from {' and '.join(_FOLDERS)}.")
    fields = {name: clean(table[name]).strip() for name in _REQUIRED}
    folder = packaged_file(fields["package"], *_FOLDERS[fields["package"]])
    return Pair(
        id=f"sample/{Path(fields['file']).stem}",
        source=f"{fields['package']} sample images",
        text=fields["text"],
        image=path_inside(folder, fields["file"]),
        title=fields["title"],
        domain=fields["domain"],
        licence=fields["licence"],
        metadata={"notice": fields["notice"], "package": fields["package"], "file": fields["file"]},
    )


READER = Reader(
    "samples", "a TOML list of sample images inside installed packages", recognise_samples, read_samples, ids="world"
)
