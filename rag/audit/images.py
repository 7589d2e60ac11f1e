"""Images that questions came with, kept under the hash of their bytes so that an answer can be replayed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import time
from collections.abc import Container
from pathlib import Path

from rag.corpus.images import load_image
from rag.errors import InputError, StorageError

FOLDER = "images"
_NAME = re.compile(r"[0-9a-f]{64}")
_STALE_S = 3600.0  # a temporary file this old belongs to nobody any more


def small_jpeg(path: Path, side: int) -> bytes:
    """The image as a reader would see it, its longer side at most ``side`` pixels, as the bytes of a JPEG file.

    Raises:
        InputError: it is missing or cannot be decoded.
    """
    image = load_image(path)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


class ImageStore:
    """A folder of files named by the SHA-256 of their bytes; the folder and the files are their owner's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the bytes of this hash lie, if they are kept."""
        return self.folder / sha256

    def keep(self, source: Path) -> str:
        """Copy the file's bytes, durably; returns their SHA-256. Bytes that are here already are not written twice.

        Raises:
            InputError: the source cannot be read.
            StorageError: the copy cannot be written.
        """
        try:
            data = source.read_bytes()
        except OSError as error:
            raise InputError(f"the image {source} cannot be read any more ({error.strerror}); ask again") from error
        sha256 = hashlib.sha256(data).hexdigest()
        if self.path(sha256).exists():
            return sha256
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            descriptor, aside = tempfile.mkstemp(dir=self.folder, prefix=".new-")  # readable by its owner alone
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(aside).replace(self.path(sha256))
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StorageError(f"the question's image cannot be kept in {self.folder}: {error.strerror}") from error
        return sha256

    def holds(self, sha256: str) -> bool:
        """Whether the bytes are here and still hash to their name."""
        try:
            with self.path(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def sweep(self, wanted: Container[str]) -> int:
        """Remove every image that is not ``wanted``, and what a crash left; returns how many images went."""
        removed = 0
        for file in self.folder.glob("*") if self.folder.is_dir() else ():
            image = bool(_NAME.fullmatch(file.name))
            left = file.name.startswith(".new-") and time.time() - file.stat().st_mtime > _STALE_S
            if left or (image and file.name not in wanted):
                file.unlink(missing_ok=True)
                removed += image
        return removed
