"""Reports in DICOM: structured reports as text, and encapsulated PDF files by their pages.

A structured report is read with pydicom alone: highdicom builds and checks objects of single templates and refuses
others, while for reading, every template is the same tree of named items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rag.corpus.dicom import REPORTS, is_dicom_head, read_dataset, sop_class, study_in, unquoted
from rag.corpus.files import File
from rag.corpus.own import MAKER, REASON
from rag.corpus.pdf_file import ORIGINAL, original_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pdf import documents_of_pages, pages_of
from rag.corpus.readers.sections import Publication
from rag.corpus.text import on_one_line
from rag.corpus.ucum import printed_unit
from rag.errors import InputError

MAX_ITEMS = 20_000
MAX_DEPTH = 50
_NAMES = ("121008", "121009", "121029", "121030", "121031")  # an observer's name and place; a subject's name, id, birth
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
# Values of modifiers, such as those of "presence of finding" and "certainty".
_ABSENT = {"absent", "not present", "not seen", "negative", "no", "none", "known absent"}
_UNSURE = {"possible", "probable", "suspected", "uncertain", "questionable", "equivocal", "indeterminate"}


def recognise_report(file: File) -> float:
    return CERTAIN * (is_dicom_head(file.head) and sop_class(file.head).startswith(REPORTS))


def read_report(file: File, salt: str = "") -> Iterator[Record]:
    """The report; its case is the study and its group the patient, as pseudonyms by ``salt``."""
    with unquoted():
        dataset = read_dataset(file.path)
        if str(dataset.get("Manufacturer", "")) == MAKER and dataset.get("Modality") == "SR":
            raise InputError(REASON)
        study = study_in(dataset, salt)
        work = Publication(
            id=file.name,
            title=_title(dataset) or file.path.stem,
            source=file.corpus,
            kind="report",
            domain="radiology",
            case=study.study,
            group=study.patient,
            metadata=study.told | _told(dataset),
        )
        if "EncapsulatedDocument" in dataset:
            data = bytes(dataset.EncapsulatedDocument)
            _, pages = pages_of(data)
            work = replace(work, metadata=work.metadata | {ORIGINAL: original_of(file.path, data)})
            yield from documents_of_pages(work, pages, file)
            return
        if "ContentSequence" not in dataset:
            raise EOFError  # every structured report has one
        lines = list(_lines(dataset))
    if not lines:
        yield Quarantined(str(file.path), file.name, "empty report: it has no text, codes or numbers.", empty=True)
        return
    yield work.part("", "", "\n".join(lines))


def _title(dataset: Any) -> str:
    title = on_one_line(_meaning(dataset, "ConceptNameCodeSequence") or _text(dataset.get("DocumentTitle")))
    return f"{title} ({status})" if title and (status := _status(dataset)) else title


def _status(dataset: Any) -> str:
    """What keeps a report from being final; empty if nothing does."""
    if dataset.get("PreliminaryFlag") == "PRELIMINARY":
        return "preliminary"
    return "partial" if dataset.get("CompletionFlag") == "PARTIAL" else ""


def _told(dataset: Any) -> dict[str, Any]:
    day = str(dataset.get("ContentDate") or dataset.get("StudyDate") or "")
    dated = {"date": f"{day[:4]}-{day[4:6]}-{day[6:8]}"} if _DAY.fullmatch(day) else {}
    return dated | ({"status": [status]} if (status := _status(dataset)) else {})


def _lines(dataset: Any) -> Iterator[str]:
    """Each item of the content tree that says something, as ``name: value (modifiers)``, without names of persons."""
    stack, seen = [(item, 1) for item in reversed(dataset.get("ContentSequence") or ())], 0
    while stack:
        item, depth = stack.pop()
        seen += 1
        if seen > MAX_ITEMS or depth > MAX_DEPTH:
            raise InputError(f"It has more than {MAX_ITEMS:,} items or {MAX_DEPTH} levels, which is refused.")
        name, value = _meaning(item, "ConceptNameCodeSequence"), _value(item)
        if any(code.get("CodeValue") in _NAMES for code in item.get("ConceptNameCodeSequence") or ()):
            continue
        inside = list(item.get("ContentSequence") or ())
        modifiers = [one for one in inside if value and one.get("RelationshipType") == "HAS CONCEPT MOD"]
        if value:
            value = _modified(value, modifiers)
        if value or (item.get("ValueType") == "CONTAINER" and name):
            lines = [line for line in map(on_one_line, value.split("\n")) if line]
            lines[:1] = [f"{name}: {lines[0]}" if name else lines[0]] if lines else [f"{name.upper()}:"]
            yield "\n".join(lines)
        stack.extend((inner, depth + 1) for inner in reversed(inside) if inner not in modifiers)


def _modified(value: str, modifiers: list[Any]) -> str:
    """A value with what is said of it: a "Pneumothorax" whose presence is "absent" must not stand alone on a line."""
    said = [(_meaning(one, "ConceptNameCodeSequence"), _value(one)) for one in modifiers]
    words = {word.lower() for _, word in said}
    if words & _ABSENT:
        value = f"{value}: absent"
    elif words & _UNSURE:
        value = f"Possible {value}"
    told = "; ".join(f"{name}: {word}" if name else word for name, word in said if word)
    return f"{value} ({told})" if told else value


def _value(item: Any) -> str:
    kind = item.get("ValueType")
    if kind == "TEXT":
        return _text(item.get("TextValue")).replace("\r\n", "\n").replace("\r", "\n").strip()
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        measured = next(iter(item.get("MeasuredValueSequence") or ()), None)
        if measured is None:
            why = _meaning(item, "NumericValueQualifierCodeSequence")
            return f"no value ({why})" if why else ""
        unit = next(iter(measured.get("MeasurementUnitsCodeSequence") or ()), None)
        printed = printed_unit(_text(unit.get("CodeValue"))) if unit is not None else ""
        return f"{measured.get('NumericValue')} {printed}".strip()
    return str(item.get("Date") or item.get("DateTime") or "") if kind in ("DATE", "DATETIME") else ""


def _meaning(item: Any, sequence: str) -> str:
    """What a code means; the code itself where that is left out."""
    code = next(iter(item.get(sequence) or ()), None)
    if code is None:
        return ""
    return _text(next((code.get(n) for n in ("CodeMeaning", "CodeValue", "LongCodeValue") if code.get(n)), ""))


def _text(value: Any) -> str:
    """A text; UTF-8 whose character set was not declared, or as Latin-1, is read as what it is."""
    text = str(value or "")
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


READER = Reader("dicom-report", "a DICOM structured report or encapsulated PDF", recognise_report, read_report)
