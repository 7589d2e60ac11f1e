"""MedPix 2.0: cases with history, findings and diagnosis, and CT and MR images with captions.

``Case_topic.json`` is a list of cases, ``Descriptions.json`` one of images; the images lie in ``images`` as PNG.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import checked_id, clean, clean_value, decode, on_one_line
from rag.errors import InputError

MAX_BYTES = 200_000_000
_SECTIONS = ("History", "Exam", "Findings", "Differential Diagnosis", "Case Diagnosis", "Diagnosis By")
_NOTHING = ("", "n/a", "na", "none", "null")


def recognise_medpix(file: File) -> float:
    start = file.start
    has_parts = '"Case"' in start or '"Description"' in start or '"Topic"' in start
    return CERTAIN * (file.suffix == ".json" and start.lstrip().startswith("[") and '"U_id"' in start and has_parts)


def images_beside(file: File) -> Iterable[Path]:
    """The images belong to the rows."""
    folder = file.path.parent / "images"
    return folder.glob("*.png") if folder.is_dir() and not folder.is_symlink() else ()


def read_medpix(file: File) -> Iterator[Record]:
    """A case is a report and its topic a piece of literature; an image has its caption as its report."""
    try:
        rows = json.loads(decode(file.read(MAX_BYTES)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"It is not valid JSON ({error}).") from error
    if not isinstance(rows, list):
        raise InputError("It is not a list of cases or images, as MedPix 2.0 has it.")
    topics = set[str]()
    for number, row in enumerate(rows, start=1):
        try:
            if not isinstance(row, dict):
                raise InputError("It is not an object.")
            yield from list(_records(clean_value(row), file, topics))
        except InputError as error:
            yield Quarantined(str(file.path), f"{file.name}, entry {number}", str(error))


def _records(row: dict[str, Any], file: File, topics: set[str]) -> Iterator[Record]:
    case = checked_id(row.get("U_id"))
    if isinstance(row.get("Description"), dict):
        yield from documents_of(_described(case, row, file))
        return
    told, topic = _part(row, "Case"), _part(row, "Topic")
    text = "\n".join(f"{name.upper()}: {told[name]}" for name in _SECTIONS if name in told)
    if not text:
        raise InputError("It has neither a case nor the description of an image.")
    title = told.get("Title", "")
    yield from documents_of(Pair(id=case, source="medpix", text=text, title=title, domain="radiology"))
    discussion, name = topic.get("Disease Discussion", ""), on_one_line(topic.get("Title", "")) or title
    if discussion and name not in topics:
        topics.add(name)
        more = {key: value for key, value in topic.items() if key in ("ACR Code", "Category")}
        pair = Pair(
            id=f"{case}#topic", source="medpix", text=discussion, kind="literature", title=name, domain="radiology",
            metadata=more,
        )  # fmt: skip
        yield from documents_of(pair)


def _described(case: str, row: dict[str, Any], file: File) -> Pair:
    name, told = on_one_line(str(row.get("image") or "")), _part(row, "Description")
    image = f"images/{name if name.lower().endswith('.png') else name + '.png'}"
    there = bool(name) and (file.path.parent / image).is_file()
    location = row.get("Location") or row.get("location") or ""
    more = {"modality": row.get("Type"), "location": location, "plane": told.get("Plane")}
    return Pair(
        id=checked_id(name),
        source="medpix",
        text=told.get("Caption", ""),
        image=path_inside(file.path.parent, image) if there else None,
        domain="radiology",
        group=case,
        case=name,  # the caption is of this image alone
        metadata={key: value for key, value in more.items() if value} | ({} if there else {"absent_image": image}),
    )


def _part(row: dict[str, Any], name: str) -> dict[str, str]:
    """What a case, topic or description says, without what it leaves open."""
    part = row.get(name)
    if not isinstance(part, dict):
        return {}
    texts = {key: clean(str(value)).strip() for key, value in part.items() if value is not None}
    return {key: text for key, text in texts.items() if text.lower() not in _NOTHING}


READER = Reader(
    "medpix", "cases or images of MedPix 2.0", recognise_medpix, read_medpix, companions=images_beside, ids="world"
)
