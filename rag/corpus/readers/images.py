"""Images with side-car files: scan.png, its text in scan.txt, its particulars in scan.json; and texts alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rag.corpus.dicom import REPORTS, Study, is_dicom, is_dicom_head, sop_class, study_of
from rag.corpus.files import File, stem
from rag.corpus.images import SUFFIXES, shown_frame
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader
from rag.corpus.readers.pairs import Pair, documents_of
from rag.corpus.text import bounded, checked_id, clean_value, decode, decode_any
from rag.errors import InputError
from rag.types import Document

MAX_JSON_BYTES = 1_000_000
MAX_TEXT_BYTES = 8_000_000
_PARTICULARS = ("title", "domain", "group", "licence", "source")
_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8", b"RIFF")


def recognise_image(file: File) -> float:
    """Sure of what Pillow and pydicom decode, whatever it is called; a text stands for an image's side-car."""
    head = file.head
    if head.startswith(_MAGIC[:-1]) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return CERTAIN * (not head.startswith(b"BM") or file.suffix == ".bmp")
    if is_dicom_head(head):
        return CERTAIN * (file.path.name.upper() != "DICOMDIR" and not sop_class(head).startswith(REPORTS))
    return BY_NAME * (file.suffix in SUFFIXES or file.suffix == ".txt")


def side_cars(file: File) -> Iterable[Path]:
    """The .txt and .json of the same name beside an image."""
    if file.suffix == ".txt":
        return [side for side in [file.path.with_suffix(".json")] if side.is_file() and not side.is_symlink()]
    base = _base(file.path)
    sides = (base.with_name(base.name + suffix) for suffix in (".json", ".txt"))
    return [side for side in sides if side != file.path and side.is_file() and not side.is_symlink()]


def read_image(file: File, salt: str = "") -> Iterator[Document | Quarantined]:
    """The document of an image and, if there is a text beside it, of that text; or of a text alone.

    The id is the file's name within the source, without its suffix. A DICOM image's case is its study and its group
    its patient, both as pseudonyms by ``salt``; a group named in the .json counts more. Of several frames the title
    says which one is taken for the image.
    """
    if twin := _earlier_twin(file):
        reason = f"{twin!r} beside it gives the same id {stem(file.name, file.suffix)!r}; rename one of them."
        yield Quarantined(str(file.path.parent), file.name, reason)
        return
    yield from list(documents_of(_pair(file, salt)))


def _pair(file: File, salt: str) -> Pair:
    sides = {side.suffix: File(side, side.name, file.corpus) for side in side_cars(file)}
    is_text = file.suffix == ".txt"
    written = file if is_text else sides.get(".txt")
    text, encoding = decode_any(written.read(MAX_TEXT_BYTES)) if written else ("", "utf-8")
    if is_text and not text.strip():
        raise InputError("It is a text file with nothing in it.")
    row = _particulars(sides[".json"]) if ".json" in sides else {}
    told: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    study, frame = Study(), ""
    if not is_text and is_dicom(file.path):
        study = study_of(file.path, salt)
        shown, frames = shown_frame(file.path)
        frame = f"frame {shown} of {frames}" if frames > 1 else ""
        told |= {"frame": shown, "frames": frames} if frames > 1 else {}
    return Pair(
        id=checked_id(_base_name(file)),
        source=row.get("source") or file.corpus or "images",
        text=bounded(text),
        image=None if is_text else file.path.resolve(),
        title=", ".join(filter(None, (row.get("title", ""), frame))),
        domain=row.get("domain") or "general",
        group=row.get("group", "") or study.patient,
        case=study.study,
        licence=row.get("licence") or "unknown",
        metadata={key: value for key, value in row.items() if key not in _PARTICULARS} | told | study.told,
    )


def _base(path: Path) -> Path:
    """The path without the suffix of an image; a DICOM file named by its UID has none."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def _base_name(file: File) -> str:
    return stem(file.name, file.suffix) if file.suffix in SUFFIXES or file.suffix == ".txt" else file.name


def _earlier_twin(file: File) -> str:
    """The image beside this one that has its name but for the suffix and comes first; empty if there is none."""
    if file.suffix not in SUFFIXES:
        return ""
    names = (f"{file.path.stem}{suffix}" for suffix in sorted(SUFFIXES))
    return next((n for n in names if n < file.path.name and file.path.with_name(n).is_file()), "")


def _particulars(file: File) -> dict[str, Any]:
    try:
        row = json.loads(decode(file.read(MAX_JSON_BYTES)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Its side-car {file.path.name!r} is not valid JSON ({error}).") from error
    if not isinstance(row, dict) or not all(isinstance(row.get(name, ""), str) for name in _PARTICULARS):
        raise InputError(f"Its side-car {file.path.name!r} must be an object whose {', '.join(_PARTICULARS)} are text.")
    cleaned: dict[str, Any] = clean_value(row)
    return cleaned


READER = Reader(
    "images",
    "an image (PNG, JPEG, TIFF, BMP, WebP, GIF, DICOM), with an optional .txt and .json beside it",
    recognise_image,
    read_image,
    companions=side_cars,
)
