"""Corpora that come in: uploaded files, unpacked within bounds, or paths under the folders that were allowed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rag.corpus.dicom import is_dicom
from rag.corpus.images import SUFFIXES
from rag.server.web.problems import Problem
from rag.settings import ServingSettings

_PART = re.compile(r"[^/\\\0-\x1f\x7f]{1,200}")
_CHUNK = 1 << 20
_DEPTH = 20
_RATIO = 200  # of unpacked to packed size beyond which an archive of any size to speak of is taken for a bomb


class Budget:
    """What an upload may still write."""

    def __init__(self, settings: ServingSettings) -> None:
        self._mib = settings.max_upload_mib
        self._most = settings.max_upload_files
        self.bytes = settings.max_upload_mib << 20
        self.files = settings.max_upload_files

    def spend(self, size: int, files: int = 0) -> None:
        self.bytes -= size
        self.files -= files
        if self.bytes < 0:
            raise Problem(413, f"the upload is larger than {self._mib} MiB when it is unpacked")
        if self.files < 0:
            raise Problem(413, f"the upload has more than {self._most:,} files")


def receive(files: Iterable[tuple[str, BinaryIO]], folder: Path, settings: ServingSettings) -> Path:
    """Write uploaded files into a new ``folder``; zip archives are unpacked there.

    Returns the corpus: the file if there is one, else the folder.

    Raises:
        Problem: 413 beyond the bounds, 422 for a name or an archive that cannot be used; then nothing is left.
    """
    budget = Budget(settings)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        written: list[Path] = []
        for name, stream in files:
            if name.lower().endswith(".zip"):
                written += _unpack(stream, folder, budget)
            else:
                budget.spend(0, files=1)
                written.append(_write(stream, _target(folder, name), budget))
        if not written:
            raise Problem(422, "file: nothing was uploaded; send at least one file")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return written[0] if len(written) == 1 else folder


def allowed(path: str, roots: Iterable[Path]) -> Path:
    """The path under one of the allowed folders that a caller names.

    Raises:
        Problem: 403 if it lies outside, or leads out by a link; 404 if there is nothing.
    """
    refused = Problem(403, "path: it does not lie in a folder that this server may ingest from")
    if "\0" in path:
        raise refused
    for root in (r.resolve() for r in roots):
        try:
            found = (root / path).resolve()
            if not found.is_relative_to(root):
                continue
            if not found.exists():
                raise Problem(
                    404, "path: there is nothing of this name in the folders that this server may ingest from"
                )
            _no_way_out(found, root)
        except (OSError, RuntimeError) as error:
            raise refused from error
        return found
    raise refused


def _no_way_out(path: Path, root: Path) -> None:
    """Refuse links that leave the root, wherever below ``path`` they are."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            entry = Path(folder, name)
            if entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise Problem(403, "path: it holds a link that leads out of the allowed folder")


def discard(folder: Path) -> None:
    """Remove an upload."""
    shutil.rmtree(folder, ignore_errors=True)


def keep_what_is_shown(folder: Path, *, pages: bool) -> None:
    """Remove what an index no longer needs once it has read it: texts are in its catalogue, images are not.

    ``pages``: PDF files are kept, too, so that the pages of quotes can be shown.
    """
    shown = SUFFIXES | {".pdf"} if pages else SUFFIXES
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.suffix.lower() not in shown and not is_dicom(path):
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _target(folder: Path, name: str) -> Path:
    """Where a file of this name goes: inside the folder, or nowhere."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    good = parts and len(parts) <= _DEPTH and all(p not in ("..", ".") and _PART.fullmatch(p) for p in parts)
    if not good or name.startswith("/") or ":" in parts[0]:
        raise Problem(422, "file: a name in the upload cannot be used (it is absolute, leads out, or is no name)")
    target = folder.joinpath(*parts)
    try:
        if target.exists():
            raise Problem(422, f"file: two files of the upload have the name {PurePosixPath(name).name!r}")
        for parent in reversed(target.relative_to(folder).parents):
            (folder / parent).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Problem(422, "file: a name in the upload cannot be used on this server") from error
    return target


def _write(stream: BinaryIO, target: Path, budget: Budget) -> Path:
    try:
        with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            while chunk := stream.read(_CHUNK):
                budget.spend(len(chunk))
                out.write(chunk)
    except (OSError, UnicodeError) as error:
        if isinstance(error, zipfile.BadZipFile):
            raise
        raise Problem(422, "file: a file of the upload cannot be stored under its name") from error
    return target


def _unpack(stream: BinaryIO, folder: Path, budget: Budget) -> list[Path]:
    """Members of a zip archive; sizes are counted as they are unpacked, whatever the archive says of itself."""
    written = []
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            budget.spend(0, files=len(members))
            packed = sum(m.compress_size for m in members)
            unpacked = sum(m.file_size for m in members)
            if unpacked > (64 << 20) and unpacked > _RATIO * max(packed, 1):
                raise Problem(413, "file: the archive unpacks to far more than it holds, so it was refused")
            for member in members:
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG) or member.flag_bits & 0x1:
                    raise Problem(422, "file: the archive holds links, devices or encrypted files; pack plain files")
                with archive.open(member) as inner:
                    written.append(_write(inner, _target(folder, member.filename), budget))  # type: ignore[arg-type]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise Problem(422, "file: the zip archive is damaged or of a kind that is not read") from error
    return written
