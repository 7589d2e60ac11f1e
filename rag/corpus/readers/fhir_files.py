"""What is in a file of FHIR: a resource, a bundle, a list or a bulk export, in JSON or XML, as plain JSON values.

Read as plain JSON: ``fhir.resources`` refuses a whole resource over one field that a hospital's server fills freely.
Numbers stay as they are written, for in FHIR 7.20 says more than 7.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from rag.corpus.files import File
from rag.corpus.text import bounded_lines, clean_value, decode_any
from rag.corpus.xml import parse_xml
from rag.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 200_000_000
MAX_LINE_BYTES = 30_000_000
_AT_ONCE = 50_000_000  # bytes of a bulk export whose resources may refer to one another
_SPACE = "{http://hl7.org/fhir}"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_PEEKED = 100  # bytes of a second line
# What R4 repeats, of the fields that are read: in XML a single one looks like one that may not repeat.
_LISTS = {
    *("entry", "contained", "result", "component", "referenceRange", "note", "section", "content", "presentedForm"),
    *("series", "identifier", "coding", "category", "conclusionCode", "codedDiagnosis", "interpretation"),
    *("imagingStudy", "tag"),
}

Json = Mapping[str, Any]


def recognises_fhir(file: File) -> bool:
    """Whether a file begins as one of FHIR."""
    start = file.start.lstrip("\ufeff \t\r\n")
    if file.root[0]:
        return 'xmlns="http://hl7.org/fhir"' in file.root[1] or "xmlns='http://hl7.org/fhir'" in file.root[1]
    return start.startswith(("{", "[")) and '"resourceType"' in start


def values_of(file: File) -> Iterator[list[Any] | tuple[int, str]]:
    """The values of a file, in lists whose members may refer to one another; a bad line as its number and the reason.

    Raises InputError if the file is damaged or too large; a bulk export (a resource a line) may have any size.
    """
    if file.root[0]:
        yield [_of_xml(parse_xml(file.read(MAX_BYTES)))]
    elif _has_lines(file):
        yield from _of_lines(file)
    else:
        loaded = _of_json(decode_any(file.read(MAX_BYTES))[0])
        yield loaded if isinstance(loaded, list) else [loaded]


def _has_lines(file: File) -> bool:
    """Whether its first line is a whole value and another follows."""
    with file.open() as stream:
        first, second = stream.readline(MAX_LINE_BYTES), stream.readline(_PEEKED)
    if not second.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(_of_json(decode_any(first)[0]), dict)
    except InputError:
        return file.suffix == ".ndjson"


def _of_lines(file: File) -> Iterator[list[Any] | tuple[int, str]]:
    some: list[Any] = []
    size = 0
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is not None and not line.strip():
            continue
        try:
            if line is None:
                raise InputError(f"It is longer than {MAX_LINE_BYTES:,} bytes.")
            some.append(_of_json(decode_any(line)[0]))
            size += len(line)
        except InputError as error:
            yield number, str(error)
        if size > _AT_ONCE:
            yield some
            some, size = [], 0
    yield some


def _of_json(text: str) -> Any:
    try:
        return clean_value(json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise InputError(f"It is not valid JSON ({error}).") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _of_xml(root: Element) -> Any:
    """A resource in FHIR's XML as its JSON: https://hl7.org/fhir/R4/xml.html. The depth of ``root`` is bounded."""
    return clean_value({"resourceType": root.tag.removeprefix(_SPACE)} | _fields(root))


def _fields(element: Element) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for child in element:
        name = str(child.tag).removeprefix(_SPACE).removeprefix(_XHTML)
        value = _value(child, name)
        if name in _LISTS or name in fields:
            before = fields.get(name, [])
            fields[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            fields[name] = value
    return fields


def _value(element: Element, name: str) -> Any:
    from xml.etree.ElementTree import tostring

    if str(element.tag).startswith(_XHTML):  # the narrative
        return tostring(element, encoding="unicode")
    if name in ("resource", "contained"):
        return next((_of_xml(inner) for inner in element), {})
    if "value" in element.attrib:
        value = element.attrib["value"]
        return {"true": True, "false": False}.get(value, value)
    return _fields(element)
