"""PadChest: chest radiographs with Spanish reports, a row an image; a report is read once, however many images it has.

Its ids of patients and studies are pseudonyms, and are kept. Years of birth are not taken over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import checked_id, clean, on_one_line
from rag.errors import InputError

_COLUMNS = ("ImageID", "StudyID", "PatientID", "Report", "Labels")
_CUI = re.compile(r"C\d{7}")
_WORDS = re.compile(r"'([^']*)'")


def recognise_padchest(file: File) -> float:
    first = file.start.partition("\n")[0]
    return CERTAIN * (file.suffix in (".csv", ".tsv") and all(name in first for name in _COLUMNS))


def read_padchest(file: File) -> Iterator[Record]:
    """A report for each study that has words, and the images that are there: in ``<ImageDir>/`` or beside the table."""
    seen = set[str]()
    with file.open() as stream:
        reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", "replace", newline=""))
        try:
            for number, row in enumerate(reader, start=2):
                try:
                    yield from _records(file, row, seen)
                except InputError as error:
                    yield Quarantined(str(file.path), f"{file.name}, row {number}", str(error))
        except csv.Error as error:
            raise InputError(f"Its line {reader.line_num} is not CSV ({error}).") from error


def _records(file: File, row: dict[str, str], seen: set[str]) -> list[Record]:
    study, patient = checked_id((row.get("StudyID") or "").strip()), (row.get("PatientID") or "").strip()
    image = _image(file, row)
    text = on_one_line(clean(row.get("Report") or "")) if study not in seen else ""
    if text in ("", ".", "None"):
        text = ""
        if study not in seen and image is None:
            seen.add(study)
            return [Quarantined(str(file.path), study, "empty report: it has no words.", empty=True)]
    seen.add(study)
    shared = {"group": patient or study, "case": study, "source": "padchest", "domain": "radiology"}
    told = {
        "language": ["es"],
        "text_language": "es",  # stems, in which nobody finds a language
        "labels": _WORDS.findall(row.get("Labels") or ""),
        "cuis": _CUI.findall(row.get("labelCUIS") or ""),
        "labelled_by": row.get("MethodLabel") or "",
    }
    records: list[Record] = []
    if text:
        records += documents_of(Pair(id=study, text=text, title="", metadata=told, **shared))  # type: ignore[arg-type]
    if image is not None:
        projection = {"projection": row.get("Projection") or ""} | told
        pair = Pair(id=checked_id(Path(row["ImageID"]).stem), image=image, metadata=projection, **shared)  # type: ignore[arg-type]
        records += documents_of(pair)
    return records


def _image(file: File, row: dict[str, str]) -> Path | None:
    name, folder = (row.get("ImageID") or "").strip(), (row.get("ImageDir") or "").strip()
    for relative in (f"{folder}/{name}" if folder else name, name, f"images/{name}"):
        if name and (file.path.parent / relative).is_file():
            return path_inside(file.path.parent, relative)
    return None


READER = Reader("padchest", "the table of PadChest", recognise_padchest, read_padchest, ids="rows")
