"""Reports in DICOM: structured reports as text, and encapsulated PDF files by their pages.

A structured report is read with pydicom alone: highdicom builds and checks objects of single templates and refuses
others, while for reading, every template is the same tree of named items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rag.corpus.dicom import REPORTS, read_dataset, study_in, unquoted
from rag.corpus.files import File
from rag.corpus.own import MAKER, REASON
from rag.corpus.pdf_file import ORIGINAL, original_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pdf import documents_of_pages, pages_of
from rag.corpus.readers.sections import Publication
from rag.corpus.text import on_one_line
from rag.errors import InputError

MAX_ITEMS = 20_000
MAX_DEPTH = 50
_NAMES = ("121008", "121009", "121029", "121030", "121031")  # an observer's name and place; a subject's name, id, birth


def recognise_report(file: File) -> float:
    return CERTAIN * (file.head[128:132] == b"DICM" and any(uid in file.head for uid in REPORTS))


def read_report(file: File, salt: str = "") -> Iterator[Record]:
    """The report; its case is the study and its group the patient, as pseudonyms by ``salt``."""
    with unquoted():
        dataset = read_dataset(file.path)
        if str(dataset.get("Manufacturer", "")) == MAKER and dataset.get("Modality") == "SR":
            raise InputError(REASON)
        study = study_in(dataset, salt)
        work = Publication(
            id=file.name,
            title=on_one_line(_meaning(dataset, "ConceptNameCodeSequence") or str(dataset.get("DocumentTitle") or ""))
            or file.path.stem,
            source=file.corpus,
            kind="report",
            domain="radiology",
            case=study.study,
            group=study.patient,
            metadata=study.told,
        )
        if "EncapsulatedDocument" in dataset:
            data = bytes(dataset.EncapsulatedDocument)
            _, pages = pages_of(data)
            work = replace(work, metadata=work.metadata | {ORIGINAL: original_of(file.path, data)})
            yield from documents_of_pages(work, pages, file)
            return
        lines = list(_lines(dataset))
    if not lines:
        yield Quarantined(str(file.path), file.name, "empty report: it has no text, codes or numbers.", empty=True)
        return
    yield work.part("", "", "\n".join(lines))


def _lines(dataset: Any) -> Iterator[str]:
    """Each item of the content tree that says something, as ``name: value``; names of persons are left out."""
    stack, seen = [(item, 1) for item in reversed(dataset.get("ContentSequence") or ())], 0
    while stack:
        item, depth = stack.pop()
        seen += 1
        if seen > MAX_ITEMS or depth > MAX_DEPTH:
            raise InputError(f"It has more than {MAX_ITEMS:,} items or {MAX_DEPTH} levels, which is refused.")
        name, value = _meaning(item, "ConceptNameCodeSequence"), _value(item)
        if any(code.get("CodeValue") in _NAMES for code in item.get("ConceptNameCodeSequence") or ()):
            continue
        if value or (item.get("ValueType") == "CONTAINER" and name):
            yield on_one_line(f"{name}: {value}" if name and value else value or f"{name.upper()}:")
        stack.extend((inner, depth + 1) for inner in reversed(item.get("ContentSequence") or ()))


def _value(item: Any) -> str:
    kind = item.get("ValueType")
    if kind == "TEXT":
        return str(item.get("TextValue") or "")
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        measured = next(iter(item.get("MeasuredValueSequence") or ()), None)
        if measured is None:
            return ""
        unit = next(iter(measured.get("MeasurementUnitsCodeSequence") or ()), None)
        return f"{measured.get('NumericValue')} {unit.get('CodeValue', '') if unit is not None else ''}".strip()
    return str(item.get("Date") or item.get("DateTime") or "") if kind in ("DATE", "DATETIME") else ""


def _meaning(item: Any, sequence: str) -> str:
    code = next(iter(item.get(sequence) or ()), None)
    return str(code.get("CodeMeaning") or "") if code is not None else ""


READER = Reader("dicom-report", "a DICOM structured report or encapsulated PDF", recognise_report, read_report)
