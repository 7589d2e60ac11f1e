"""ROCO and ROCOv2: figures of radiology with their captions, a row each.

ROCOv2 is ``train_captions.csv`` (ID, Caption) beside a folder ``train`` of images and ``train_concepts.csv``.
ROCO is ``…data.csv`` (id, name, caption) or ``captions.txt`` (an id, a tab, the caption) beside a folder ``images``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.pairs import Pair, documents_of
from rag.corpus.text import checked_id, clean, on_one_line
from rag.errors import InputError

MAX_ROW_CHARS = 100_000
_V2 = ["id", "caption"]
_V1 = ["id", "name", "caption"]
_TABBED = re.compile(r"ROCO_\d{3,}\s*\t")
_ARTICLE = re.compile(r"(PMC\d+)_")
_SUFFIXES = (".jpg", ".png", ".jpeg")


def recognise_roco(file: File) -> float:
    first = file.start.partition("\n")[0]
    header = [name.strip().strip('"').lower() for name in first.split(",")]
    is_csv = file.suffix == ".csv" and header in (_V2, _V1) and "caption" in first.lower()
    return CERTAIN * (is_csv or (file.suffix == ".txt" and _TABBED.match(first) is not None))


def concepts_beside(file: File) -> Iterable[Path]:
    """ROCOv2's concepts of the same split, and the images, which belong to the rows."""
    concepts = file.path.with_name(file.path.name.replace("_captions", "_concepts"))
    beside = [concepts] if concepts != file.path and concepts.is_file() else []
    return [*beside, *(path for folder in _folders(file) for path in _images_in(folder))]


def read_roco(file: File) -> Iterator[Record]:
    """A caption as a report and, where its image is there, that image; figures of one article are one group."""
    concepts = _concepts(file)
    folders = _folders(file)
    for number, (identity, name, caption) in enumerate(_rows(file), start=1):
        try:
            if not caption.strip():
                raise InputError("It has no caption.")
            image = _image(folders, name or identity)
            article = _ARTICLE.match(name)
            more = {"cuis": concepts[identity]} if identity in concepts else {}
            pair = Pair(
                id=checked_id(identity),
                source="rocov2" if identity.startswith("ROCOv2") else "roco",
                text=clean(caption).strip(),
                image=image,
                domain="general" if "non-radiology" in file.path.parts else "radiology",
                group=article[1] if article else "",
                metadata=more | ({} if image else {"absent_image": name or identity}),
            )
            yield from list(documents_of(pair))
        except InputError as error:
            yield Quarantined(str(file.path), f"{file.name}, row {number}", str(error))


def _rows(file: File) -> Iterator[tuple[str, str, str]]:
    """Id, file name of the image (empty: like the id) and caption."""
    with file.open() as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", "replace", newline="")
        if file.suffix == ".txt":
            for line in text:
                identity, _, caption = line.partition("\t")
                if identity.strip():
                    yield identity.strip(), "", caption[:MAX_ROW_CHARS]
            return
        reader = csv.DictReader(text)
        try:
            for row in reader:
                cells = {str(key).strip().lower(): str(value or "") for key, value in row.items() if key}
                name = on_one_line(cells.get("name", ""))
                yield on_one_line(cells.get("id") or Path(name).stem), name, cells.get("caption", "")[:MAX_ROW_CHARS]
        except csv.Error as error:
            raise InputError(f"Its line {reader.line_num} is not CSV ({error}).") from error


def _concepts(file: File) -> dict[str, list[str]]:
    path = file.path.with_name(file.path.name.replace("_captions", "_concepts"))
    if path == file.path or not path.is_file():
        return {}
    with path.open("r", encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv.reader(stream)
        next(rows, None)
        return {row[0].strip(): row[1].split(";") for row in rows if len(row) >= 2 and row[1]}


def _folders(file: File) -> list[Path]:
    """Where the images of this split can be: its own folder, ``images``, or ``<split>`` and ``<split>_images``."""
    split = file.path.name.partition("_")[0]
    here = file.path.parent
    folders = [here / name for name in ("images", split, f"{split}_images")]
    return [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _image(folders: list[Path], name: str) -> Path | None:
    plain = Path(name).name  # a name with folders in it would lead out of here
    names = [plain] if Path(plain).suffix.lower() in _SUFFIXES else [plain + suffix for suffix in _SUFFIXES]
    found = (folder / one for folder in folders for one in names)
    return next((path.resolve() for path in found if path.is_file() and not path.is_symlink()), None)


READER = Reader(
    "roco", "captions of ROCO or ROCOv2", recognise_roco, read_roco, companions=concepts_beside, ids="rows"
)  # fmt: skip
