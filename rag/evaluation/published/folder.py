"""A folder in which a collection lies as it was published: which file it is, and its rows."""

from __future__ import annotations

import atexit
import csv
import json
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple, Protocol, TypeVar

from rag.errors import InputError, MissingDependencyError
from rag.evaluation.questions import json_lines

MOST_BYTES = 2**30  # of a file that is read whole
MAX_FIELD = 10_000_000  # characters of a cell


class LayoutRow(NamedTuple):
    """A row with the place it stands at, for messages."""

    place: str
    values: Mapping[str, Any]

    def text(self, *names: str, default: str | None = None) -> str:
        """The first of these fields that there is, as text.

        Raises:
            InputError: there is none and no default, or it is no text or number.
        """
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value == value:
                return str(value)
        if default is not None:
            return default
        raise InputError(f"{self.place}: a row needs the field {' or '.join(map(repr, names))}")


class Folder:
    """Where a collection lies: its folder, or one file of it.

    >>> Folder(Path("vqa_rad"), "VQA-RAD").find("VQA_RAD Dataset Public.json", "*.jsonl")    # doctest: +SKIP
    """

    def __init__(self, path: Path, collection: str) -> None:
        """Raises InputError where there is no such folder or file."""
        if not path.exists():
            raise InputError(f"there is no folder {path}; give --data the folder in which {collection} lies")
        self.given = path
        self.path = path if path.is_dir() else path.parent
        self._one = None if path.is_dir() else path
        self._collection = collection

    def find(self, *patterns: str) -> Path:
        """The first file of the first pattern that there is.

        Raises:
            InputError: there is none; the message names what was looked for.
        """
        if (found := self.maybe(*patterns)) is not None:
            return found
        looked = ", ".join(patterns)
        raise InputError(f"{self.path} does not look like {self._collection}: it holds no file {looked}")

    def maybe(self, *patterns: str) -> Path | None:
        """The same, or None."""
        if self._one is not None:
            return self._one
        for pattern in patterns:
            if found := sorted(p for p in self.path.glob(pattern) if p.is_file()):
                return found[0]
        return None

    def all(self, *patterns: str) -> list[Path]:
        """All files of the first pattern that has any, by name.

        Raises:
            InputError: there is none.
        """
        self.find(*patterns)
        if self._one is not None:
            return [self._one]
        return next(some for p in patterns if (some := sorted(f for f in self.path.glob(p) if f.is_file())))

    def image(self, *names: str) -> str | None:
        """The path of the first of these images that is there; names are relative to the folder."""
        root = self.path.resolve()
        for name in names:
            path = (root / name).resolve()
            if path.is_relative_to(root) and path.is_file():
                return str(path)
        return None


def rows_of(path: Path) -> Iterator[LayoutRow]:
    """The rows of a .jsonl, .json (a list, or an object of objects, whose keys become 'id'), .csv, .tsv or .parquet.

    Raises:
        InputError: it cannot be read as what its name says; pickled files are never opened, for they run code.
        MissingDependencyError: it is Parquet and pyarrow is not installed.
    """
    kind = path.suffix.lower()
    if kind == ".jsonl":
        for number, values in json_lines(path):
            yield LayoutRow(f"{path}, line {number}", values)
    elif kind == ".json":
        yield from _of_json(path)
    elif kind in (".csv", ".tsv"):
        yield from _of_table(path, "," if kind == ".csv" else "\t")
    elif kind == ".parquet":
        yield from _of_parquet(path)
    else:
        raise InputError(f"{path} is not read: give the collection as .json, .jsonl, .csv, .tsv or .parquet")


def json_of(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: it is too large, or not JSON.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB; split it")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})") from error


def _of_json(path: Path) -> Iterator[LayoutRow]:
    held = json_of(path)
    rows = (
        [{"id": key, **row} for key, row in held.items() if isinstance(row, dict)] if isinstance(held, dict) else held
    )
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} holds neither a list of objects nor an object of objects")
    for number, row in enumerate(rows, start=1):
        yield LayoutRow(f"{path}, entry {number}", row)


def _of_table(path: Path, delimiter: str) -> Iterator[LayoutRow]:
    csv.field_size_limit(min(MAX_FIELD, sys.maxsize))
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream, delimiter=delimiter), start=2):
                yield LayoutRow(
                    f"{path}, row {number}", {k: v for k, v in row.items() if k is not None and v is not None}
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error


def _of_parquet(path: Path) -> Iterator[LayoutRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingDependencyError('Parquet needs pyarrow: pip install "clincite[corpora]"') from error
    try:
        number = 0
        for batch in ParquetFile(path).iter_batches(batch_size=64):
            for row in batch.to_pylist():
                number += 1
                yield LayoutRow(f"{path}, row {number}", row)
    except ArrowException as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error


def scratch_folder() -> Path:
    """A new folder for what a collection holds packed, such as images; it goes when the process ends."""
    folder = mkdtemp(prefix="clincite-suite-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class _Grouped(Protocol):
    """What is sampled: rows of one group go together."""

    @property
    def group(self) -> str: ...


_G = TypeVar("_G", bound=_Grouped)


def sample_of(items: Sequence[_G], limit: int, seed: int) -> list[_G]:
    """About ``limit`` items of whole groups, drawn by ``seed``, in their order; all of them where limit is 0."""
    if not limit or len(items) <= limit:
        return list(items)
    groups = list(dict.fromkeys(item.group for item in items))
    random.Random(seed).shuffle(groups)  # noqa: S311 - a sample, no secret
    sizes: dict[str, int] = {}
    for item in items:
        sizes[item.group] = sizes.get(item.group, 0) + 1
    taken, n = set[str](), 0
    for group in groups:
        if n and n + sizes[group] > limit:
            continue
        taken.add(group)
        n += sizes[group]
        if n >= limit:
            break
    return [item for item in items if item.group in taken]
