"""Spreadsheets: CSV, TSV, Excel and Parquet, a row a case, with a mapping of columns that is guessed and shown.

Rows are read one at a time (openpyxl in read-only mode, pyarrow by batches), so memory does not grow with the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, time
from itertools import islice
from typing import Any

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, LIKELY, Reader, Record
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import checked_id, clean, decode_any, on_one_line
from rag.corpus.zips import check_zip
from rag.errors import InputError, MissingDependencyError

MAX_BYTES = 500_000_000
MAX_CELL = 1_000_000
MAX_COLUMNS = 1000
MAX_ROWS = 2_000_000
Row = Iterable[Any] | InputError  # its cells, or why they cannot be told
FIELDS = ("id", "text", "image", "title", "group", "domain", "licence", "kind")
# Names of columns by what they mean, without case, spaces and punctuation; the first that is there counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "studyid", "reportid", "caseid", "uid", "accessionnumber", "accession", "imageid", "dicomid"),
    "text": (
        "text",
        "report",
        "reporttext",
        "fulltext",
        "radiologyreport",
        "caption",
        "description",
        "abstract",
        "note",
    ),
    "image": ("image", "imagepath", "imagefile", "filename"),
    "title": ("title", "name"),
    "group": ("group", "groupid", "patientid", "patient", "subjectid", "pid"),
    "domain": ("domain",),
    "licence": ("licence", "license"),
}
_SECTIONS = ("indication", "history", "comparison", "technique", "findings", "impression", "conclusion")
_NOTHING = frozenset(("n/a", "nan", "null", "#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!"))
_HIDDEN = "The sheet is hidden, so it is not read; show it, or delete it."
_SEPARATOR = re.compile(r"\ufeff?sep=([,;|\t])\r?\n")
_QUOTED = re.compile(r'"[^"]*"')
_PLAIN = re.compile(r"[\W_]+")
_SUFFIXES = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".parquet")


def recognise_table(file: File) -> float:
    """Sure of Parquet, and of an Excel file; a text with a suffix of tables likely is one."""
    if file.kind == "a Parquet file" or (file.suffix in (".xlsx", ".xlsm") and file.head.startswith(b"PK")):
        return CERTAIN
    is_text = file.suffix in (".csv", ".tsv", ".tab") and file.is_text
    return LIKELY * is_text or BY_NAME * (file.suffix in _SUFFIXES)


def read_table(file: File, map: tuple[str, ...] | str = (), kind: str = "report") -> Iterator[Record]:
    """The rows of a table; image paths are relative to its folder.

    ``map`` names columns, as ``text=Report``, where the guess is wrong; several columns joined by ``+`` become one
    text with their names as headings. Columns that are not mapped become metadata, and the mapping itself stands under
    ``metadata["columns"]``. Raises InputError if no column with text or image can be told.
    """
    if kind not in ("report", "literature"):
        raise InputError(f"The option kind is {kind!r}; use report or literature.")
    given = (map,) if isinstance(map, str) else map
    for sheet, rows in _sheets(file):
        try:
            yield from _records(file, sheet, iter(rows), given, kind)
        except InputError as error:
            if not sheet:
                raise
            yield Quarantined(str(file.path), f"{file.name}, sheet {sheet}", str(error))


def _records(file: File, sheet: str, rows: Iterator[Row], given: tuple[str, ...], kind: str) -> Iterator[Record]:
    first = next(rows, [])
    if isinstance(first, InputError):
        raise first
    header = _numbered([str(name or "").strip() for name in first])
    if not any(header) or len(header) > MAX_COLUMNS:
        raise InputError(f"Its first row must name the columns, at most {MAX_COLUMNS} of them.")
    columns = _mapping(header, given)
    place = f"{sheet}!" if sheet else ""
    for number, row in enumerate(rows, start=2):
        try:
            if isinstance(row, InputError):
                raise row
            values = [_printed(value) for value in row]
            if not any(values):
                continue
            if any(values[len(header) :]):
                raise InputError(
                    f"It has {len(values)} cells under {len(header)} names: quote a cell that has the separator in it."
                )
            cells = {name: value for name, value in zip(header, values, strict=False) if value}
            if any(len(cell) > MAX_CELL for cell in cells.values()):
                raise InputError(f"A cell has more than {MAX_CELL:,} characters.")
            yield from list(documents_of(_pair(file, f"{place}{number}", cells, columns, kind)))
        except InputError as error:
            yield Quarantined(str(file.path), f"{file.name}, row {place}{number}", str(error))


def _pair(file: File, place: str, cells: Mapping[str, str], columns: Mapping[str, str], kind: str) -> Pair:
    values = {field: cells.get(column, "") for field, column in columns.items() if field != "text"}
    parts = [part for part in columns.get("text", "").split("+") if cells.get(part)]
    text = "\n".join(cells[part] if len(parts) == 1 else f"{part.upper()}: {cells[part]}" for part in parts)
    image = values.get("image", "")
    if not text and not image:
        raise InputError("It has neither a text nor an image.")
    used = {name for column in columns.values() for name in column.split("+")}
    kind = values.get("kind") or kind
    return Pair(
        id=checked_id(values.get("id") or (f"{file.path.stem}#{place}" if "id" not in columns else None)),
        source=file.path.stem,
        text=text,
        image=path_inside(file.path.parent, image) if image else None,
        kind="literature" if kind == "literature" else "report",
        title=values.get("title", ""),
        domain=values.get("domain") or "general",
        group=values.get("group", ""),
        licence=values.get("licence") or "unknown",
        metadata={name: value for name, value in cells.items() if name not in used and value}
        | {"columns": dict(columns)},
    )


def _mapping(header: list[str], given: Iterable[str]) -> dict[str, str]:
    """Columns by field: as given, and for the rest as their names suggest."""
    columns: dict[str, str] = {}
    for one in given:
        field, _, column = (part.strip() for part in one.partition("="))
        if field not in FIELDS or not all(part in header for part in column.split("+")):
            raise InputError(
                f"map {one!r}: write it as field=column; fields: {', '.join(FIELDS)}; columns: {', '.join(header)}."
            )
        columns[field] = column
    plain = {_PLAIN.sub("", name).lower(): name for name in reversed(header)}
    for field, names in _NAMES.items():
        found = next((plain[name] for name in names if name in plain), None)
        if found and field not in columns and found not in columns.values():
            columns[field] = found
    if "text" not in columns and (sections := [plain[name] for name in _SECTIONS if name in plain]):
        columns["text"] = "+".join(sections)
    if "text" not in columns and "image" not in columns:
        raise InputError(
            f"No column with texts can be told; name it with --map text=COLUMN. Columns: {', '.join(header)}."
        )
    return columns


def _numbered(header: list[str]) -> list[str]:
    """The names of columns; those of one name are told apart, and none of them is taken for the other."""
    seen = Counter[str]()
    numbered = []
    for name in header:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if name and header.count(name) > 1 else name)
    return numbered


def _printed(value: Any) -> str:
    """A cell as it is seen; empty for what says that nothing is there."""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    text = "" if value is None else clean(str(value)).strip()
    return "" if text.lower() in _NOTHING else text


def _sheets(file: File) -> Iterator[tuple[str, Iterable[Row]]]:
    """Tables and their names; that of a file's only table is empty."""
    if file.kind == "a Parquet file":
        yield "", _parquet(file)
    elif file.head.startswith(b"PK"):
        yield from _excel(file)
    else:
        text, _ = decode_any(file.read(MAX_BYTES))
        yield "", _csv(file, text)


def _csv(file: File, text: str) -> Iterator[Row]:
    """The rows; one whose quotes do not close, and so may hold others' rows, as the error that it is."""
    csv.field_size_limit(MAX_BYTES)  # what is too long is one row's fault, not the file's
    stated = _SEPARATOR.match(text)  # as Excel writes it
    text = text[stated.end() :] if stated else text
    first = _QUOTED.sub("", text.partition("\n")[0])
    usual = "\t" if file.suffix in (".tsv", ".tab") else max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=stated[1] if stated else usual, strict=True)
    while True:
        begun = reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = f"line {begun}" if reader.line_num <= begun else f"lines {begun} to {reader.line_num}"
            yield InputError(f"At {lines} its quotes do not close as those of CSV do ({error}); mend them.")


def _excel(file: File) -> Iterator[tuple[str, Iterable[Row]]]:
    """The sheets that have anything in them."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingDependencyError('Reading Excel needs openpyxl: pip install "clincite[corpora]".') from error
    with file.path.open("rb") as stream:
        check_zip(stream)
        with _damage_named():
            book = load_workbook(stream, read_only=True, data_only=True)
            sheets = [sheet for sheet in book.worksheets if next(sheet.iter_rows(), None)]
        for sheet in sheets:
            rows = _sheet_rows(sheet) if sheet.sheet_state == "visible" else iter((InputError(_HIDDEN),))
            yield on_one_line(sheet.title) if len(sheets) > 1 else "", rows


def _sheet_rows(sheet: Any) -> Iterator[Row]:
    with _damage_named():
        yield from islice(sheet.iter_rows(values_only=True), MAX_ROWS)


@contextmanager
def _damage_named() -> Iterator[None]:
    """Whatever openpyxl raises over a hostile file, as one sentence."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, SyntaxError) as error:
        raise InputError(f"It is a damaged Excel file ({type(error).__name__}: {error}).") from error


def _parquet(file: File) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingDependencyError('Reading Parquet needs pyarrow: pip install "clincite[corpora]".') from error
    try:
        table = ParquetFile(file.path)
        yield list(table.schema_arrow.names)
        for batch in table.iter_batches(1000):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"It is a damaged Parquet file ({error}).") from error


READER = Reader(
    "tables", "a table (CSV, TSV, Excel, Parquet) with a row per case", recognise_table, read_table, ids="rows"
)
