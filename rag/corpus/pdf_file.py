"""PDF files in the hands of PDFium: what a file says of its pages, and a page as a picture.

The program that does it, :mod:`rag.corpus.pdf_pages`, is run in a process of its own with limits on time and memory,
for files from strangers can make any decoder run for hours.

Where a page was read from, its document remembers as ``metadata["original"]``: the file's path and the SHA-256 of the
PDF inside it. As with images, the file stays where it is, and a page is shown only while the file is what was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rag.corpus import pdf_pages
from rag.corpus.dicom import is_dicom, read_dataset, unquoted
from rag.corpus.files import File
from rag.errors import InputError, MissingDependencyError
from rag.types import Document

MAX_BYTES = 200_000_000
TIME_LIMIT_S = 300.0  # for one file; 2,000 dense pages take 18 on an idle machine
PICTURE_LIMIT_S = 20.0  # for the picture of one page
ORIGINAL = "original"  # of metadata


def rows_of(data: bytes, folder: str, pixels: int) -> list[dict[str, Any]]:
    """What ``pdf_pages`` tells of a file: its title first, then its pages; pictures of scanned pages lie in ``folder``.

    Raises InputError for a file that is locked, damaged or takes too long, MissingDependencyError without pypdfium2.
    """
    rows = _run(data, TIME_LIMIT_S, folder, str(pixels))
    if not rows:
        raise InputError("It is a damaged PDF file (its decoder told nothing).")
    return rows


def original_of(path: Path, data: bytes) -> dict[str, str]:
    """What a document remembers of the file that its page was read from, ``data`` being the PDF in it."""
    return {"path": str(path.resolve()), "sha256": hashlib.sha256(data).hexdigest()}


def page_picture(document: Document, page: int, edge: int) -> bytes:
    """A page of the file that a document was read from, as a PNG whose longer side has ``edge`` pixels.

    >>> page_picture(snapshot.document("guide#p3"), 3, 1024)[:4]                                # doctest: +SKIP
    b'\\x89PNG'

    Raises InputError if the document remembers no file, or the file is gone or changed, has no such page, or cannot be
    drawn within PICTURE_LIMIT_S.
    """
    original = document.metadata.get(ORIGINAL)
    if not isinstance(original, dict) or not original.keys() >= {"path", "sha256"}:
        raise InputError(f"no file of {document.id!r} is known of which a page could be shown")
    try:
        data = _pdf_in(Path(str(original["path"])))
    except (OSError, InputError) as error:
        raise InputError(f"the file of {document.id!r} is no longer where it was read") from error
    if hashlib.sha256(data).hexdigest() != original["sha256"]:
        raise InputError(f"the file of {document.id!r} is no longer what was read, so it is not shown")
    with tempfile.TemporaryDirectory(prefix="rag-page-") as folder:
        _run(data, PICTURE_LIMIT_S, folder, str(edge), str(page))
        picture = Path(folder) / f"page-{page}.png"
        if not picture.is_file():
            raise InputError(f"page {page} of the file of {document.id!r} cannot be drawn")
        return picture.read_bytes()


def _pdf_in(path: Path) -> bytes:
    """The PDF that a file is, or that is encapsulated in a DICOM file."""
    if path.is_file() and is_dicom(path):
        with unquoted():
            return bytes(read_dataset(path).EncapsulatedDocument)
    return File(path, path.name, "").read(MAX_BYTES)


def _run(data: bytes, limit_s: float, folder: str, *arguments: str) -> list[dict[str, Any]]:
    if find_spec("pypdfium2") is None:
        raise MissingDependencyError('Reading PDF needs pypdfium2: pip install "clincite[corpora]".')
    command = [sys.executable, "-I", pdf_pages.__file__, folder, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 our own program, and the file comes as its input
            command, input=data, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"It was not read within {limit_s:.0f} seconds; save it anew, or split it.") from error
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError):  # the last line may be cut where the process ended
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    if rows and (reason := rows[0].get("error")):
        raise InputError(reason)
    if done.returncode:
        raise InputError(f"It is a damaged PDF file (its decoder ended with {done.returncode}).")
    return rows
