"""Reports with the paths of their images, as MMed-RAG, RULE and R2Gen publish them: one JSON list, or one per split.

An entry has an ``id``, a ``report``, ``image_path`` (one or several, relative to the file or to ``images`` beside it)
and perhaps ``split``, ``study_id`` and ``subject_id`` (MIMIC-CXR), or a ``note`` and particulars (Harvard-FairVLMed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rag.corpus.files import File
from rag.corpus.json_lists import entries_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import checked_id, clean, clean_value
from rag.errors import InputError

SPLITS = ("train", "val", "test")
MAX_IMAGES = 100  # of one entry
_BEGINS = re.compile(r"\s*(?:\[|\{\s*\"(?:train|val|test)\"\s*:\s*\[)\s*\{")
_KNOWN = ("id", "report", "image_path", "study_id", "subject_id", "source", "licence", "gpt4_summary")
_PATIENT = re.compile(r"(?:^|/)(p\d{8}|CXR\d+)(?=[_/])")  # of MIMIC-CXR and of Open-i, as paths name them
FOLDERS = ("", "images", "imgs")


def recognise_annotations(file: File) -> float:
    start = file.start
    has_both = '"image_path"' in start and '"report"' in start
    return CERTAIN * (file.suffix == ".json" and has_both and _BEGINS.match(start) is not None)


def images_named(file: File) -> Iterable[Path]:
    """The images in folders of such names belong to the entries."""
    folders = (file.path.parent / name for name in FOLDERS if name)
    return (path for folder in folders if folder.is_dir() and not folder.is_symlink() for path in folder.rglob("*.*"))


def read_annotations(file: File, split: str | None = None, domain: str = "radiology") -> Iterator[Record]:
    """A report for each entry, and the images that are there, as one case; ``split`` keeps only that split's entries.

    The group is the patient, as the entry or the path of its image names one.
    """
    for number, (key, row) in enumerate(entries_of(file, SPLITS), start=1):
        try:
            if not isinstance(row, dict):
                raise InputError("It is not an object.")
            if split is None or (key or row.get("split") or row.get("use")) == split:
                yield from list(_records(clean_value(row), file, domain))
        except InputError as error:
            yield Quarantined(str(file.path), f"{file.name}, entry {number}", str(error))


def _records(row: dict[str, Any], file: File, domain: str) -> Iterator[Record]:
    identity = checked_id(row.get("id"))
    named = row.get("image_path") or ()
    paths = [named] if isinstance(named, str) else named
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
        raise InputError('Its "image_path" is neither a path nor a list of paths.')
    if len(paths) > MAX_IMAGES:
        raise InputError(f"It names {len(paths):,} images; at most {MAX_IMAGES} are read.")
    report = row.get("report") or ""
    if not isinstance(report, str):
        raise InputError('Its "report" is not text.')
    text = "\n".join(clean(line).strip() for line in report.splitlines())
    images = [(path, found) for path in paths if (found := image_of(file, path)) is not None]
    if not text.strip() and not images:
        yield Quarantined(str(file.path), identity, "empty report: it has no words.", empty=True)
        return
    shared: dict[str, Any] = {
        "source": str(row.get("source") or file.path.stem),
        "domain": domain,
        "group": patient_of(row, paths),
        "case": identity,
        "licence": str(row.get("licence") or "unknown"),
    }
    absent = [path for path in paths if path not in dict(images)]
    told = {name: value for name, value in row.items() if name not in _KNOWN}
    if text.strip():
        more = {"absent_images": absent} if absent else {}
        yield from documents_of(Pair(id=identity, text=text, metadata=told | more, **shared))
    for path, found in images:
        own = str(PurePosixPath(path).with_suffix(""))
        yield from documents_of(Pair(id=own, image=found, metadata={"file": path}, **shared))


def image_of(file: File, named: str) -> Path | None:
    """The image that a row names, beside its file or in a folder of images there; None where it is not there.

    Raises InputError for a path that is absolute or leads out.
    """
    for folder in FOLDERS:
        relative = f"{folder}/{named}" if folder else named
        if "\0" not in named and (file.path.parent / relative).is_file():
            return path_inside(file.path.parent, relative)
    return None


def patient_of(row: dict[str, Any], paths: Iterable[str]) -> str:
    """The patient, by the row's subject or as the path of an image names one; empty where neither does."""
    if subject := row.get("subject_id"):
        return f"p{subject}"
    return next((found[1] for path in paths if (found := _PATIENT.search(path))), "")


READER = Reader(
    "annotations",
    "reports with the paths of their images (MMed-RAG, RULE, R2Gen)",
    recognise_annotations,
    read_annotations,
    companions=images_named,
    ids="rows",
)
