"""Radiology reports of the Open-i collection (Indiana University chest X-rays): XML, one file per report."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, LIKELY, Reader
from rag.corpus.text import bounded, checked_id, on_one_line
from rag.corpus.xml import parse_xml, words_in
from rag.errors import InputError
from rag.types import Document

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_XML_BYTES = 1_000_000  # the largest real report has 9 kB
_SUFFIXES = (".xml", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")
_SECTIONS = ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")
_LICENCES = {"byncnd": "CC BY-NC-ND 4.0", "bync": "CC BY-NC 4.0", "byncsa": "CC BY-NC-SA 4.0", "by": "CC BY 4.0"}
_DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error, LZMAError)


def recognise_openi(file: File) -> float:
    """Sure of its XML; an archive may hold such reports."""
    if file.root[0] == "eCitation":
        return CERTAIN
    if file.kind == "a tar archive":
        return LIKELY
    return BY_NAME * (file.suffix in _SUFFIXES and file.kind in ("", "an xz file", "a bzip2 file") and not file.root[0])


def read_openi(file: File) -> Iterator[Document | Quarantined]:
    """Reports of a tar archive or of one XML file.

    A report with neither findings nor impression comes as Quarantined with ``empty`` set. Raises InputError if an
    archive cannot be opened.
    """
    path = file.path
    seen: set[str] = set()
    for name, xml in _files(file):
        if isinstance(xml, Quarantined):
            yield xml
            continue
        try:
            document = _report(xml)
            if document.id in seen:
                raise InputError(f"A report with the id {document.id!r} was read before; ids must be unique.")
        except InputError as error:
            yield Quarantined(str(path), name, str(error))
            continue
        seen.add(document.id)
        if document.metadata["sections"].keys() & {"FINDINGS", "IMPRESSION"}:
            yield document
        else:
            reason = f"empty report: {document.id} has neither findings nor an impression."
            yield Quarantined(str(path), name, reason, empty=True)


def _files(file: File) -> Iterator[tuple[str, bytes | Quarantined]]:
    if file.suffix != ".xml" and file.root[0] != "eCitation":
        yield from _members(file.path)
        return
    yield file.name, file.read(MAX_XML_BYTES)


def _members(path: Path) -> Iterator[tuple[str, bytes | Quarantined]]:
    """XML members of a tar archive, read front to back in memory. Nothing is extracted and no link is followed."""
    try:
        archive = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below; only opening it is the user's error
    except _DAMAGED as error:
        raise InputError(f"{str(path)!r} is not a readable tar archive ({error}); download it again.") from error
    name, reports, others = path.name, 0, 0
    with archive:
        try:
            for member in archive:
                name = on_one_line(member.name)
                if not member.isfile() or not name.lower().endswith(".xml"):
                    others += member.isfile()
                    continue
                reports += 1
                if member.size > MAX_XML_BYTES:
                    reason = f"It has {member.size:,} bytes; a report may have {MAX_XML_BYTES:,}."
                    yield name, Quarantined(str(path), name, reason)
                    continue
                file = archive.extractfile(member)
                yield name, file.read() if file else b""
        except _DAMAGED as error:
            reason = f"The archive is damaged after {name!r} ({error}), so the rest was not read; download it again."
            yield name, Quarantined(str(path), name, reason)
    if others and not reports:
        raise InputError(f"Of its {others:,} files none is an XML report; unpack it, and give the folder.")


def _report(xml: bytes) -> Document:
    root = parse_xml(xml)
    uid = root.find("uId")
    identifier = checked_id(uid.get("id") if uid is not None else None)
    text, sections = _body(root)
    return Document(
        id=identifier,
        kind="report",
        domain="radiology",
        text=bounded(text),
        title=f"Chest X-ray report {identifier}",
        case_id=identifier,
        group_id=identifier,
        source="open-i",
        licence=_licence(root),
        metadata={
            "mesh": _texts(root, "MeSH/major"),
            "mesh_automatic": _texts(root, "MeSH/automatic"),
            "images": [on_one_line(image.get("id", "")) for image in root.iter("parentImage") if image.get("id")],
            "sections": sections,
        },
    )


def _body(root: Element) -> tuple[str, dict[str, list[int]]]:
    """The report's text, and where in it each section's body starts and ends."""
    bodies: dict[str, list[str]] = {}
    for element in root.iter("AbstractText"):
        if body := words_in(element):
            bodies.setdefault(element.get("Label", "").strip().upper(), []).append(body)
    text, sections = "", {}
    for label in _SECTIONS:
        if label in bodies:
            text += f"{chr(10) if text else ''}{label}: "
            start = len(text)
            text += " ".join(bodies[label])
            sections[label] = [start, len(text)]
    return text, sections


def _licence(root: Element) -> str:
    code = on_one_line(root.findtext("ccLicense") or "").lower()
    return _LICENCES.get(code) or on_one_line(root.findtext("licenseURL") or "") or "unknown"


def _texts(root: Element, path: str) -> list[str]:
    return [text for element in root.iterfind(path) if (text := words_in(element))]


READER = Reader(
    "open-i", "Open-i radiology reports (XML, or a tar archive of them)", recognise_openi, read_openi, ids="world"
)
