"""The files of a source: every one of them is found, looked into, and either read or named with the reason why not."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from rag.corpus.quarantine import Quarantined
from rag.errors import InputError

HEAD = 8192  # bytes that are looked at to tell what a file is
MAX_EXPANDED = 8_000_000_000  # bytes of a compressed file when it is unpacked; a yearly MEDLINE file has 0.3 GB
MAX_RATIO = 500  # a gzip bomb reaches 1000, XML and JSON about 20
_GZIP = b"\x1f\x8b"
_ROOT = re.compile(r"<(?![?!])(?:[\w.-]+:)?([A-Za-z_][\w.-]*)([^<>]*)")
_NOT_ROOT = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL)
# What files say of themselves; for messages about those that no reader takes.
_MARKS = (
    (0, b"%PDF-", "a PDF file"),
    (0, b"PK\x03\x04", "a ZIP archive (or an Office file); unpack it"),
    (128, b"DICM", "a DICOM file"),
    (257, b"ustar", "a tar archive"),
    (0, b"\xd0\xcf\x11\xe0", "an Office file of before 2007; save it as .docx, .xlsx or .pptx"),
    (0, b"{\\rtf", "an RTF file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"\x5c\x01\x00\x00", "a NIfTI volume"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"Rar!", "a RAR archive"),
)


@dataclass(frozen=True)
class File:
    """One file of a source.

    ``name`` is its path within the source, with slashes; ``corpus`` is what the source is called: the folder's name, or
    the name of the folder around a single file.
    """

    path: Path
    name: str
    corpus: str

    @cached_property
    def head(self) -> bytes:
        """Its first bytes, unpacked if it is a gzip file; at most 8 kB. Raises OSError if it cannot be read."""
        with self.path.open("rb") as file:
            data = file.read(HEAD)
        if not data.startswith(_GZIP):
            return data
        try:
            return zlib.decompressobj(31).decompress(data, HEAD)
        except zlib.error:
            return data

    @cached_property
    def suffix(self) -> str:
        """The suffix in lower case, of the file inside if it is a gzip file: ``.xml`` of ``a.XML.gz``."""
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        if suffixes and suffixes[-1] == ".gz" and len(suffixes) > 1:
            return suffixes[-2]
        return suffixes[-1] if suffixes else ""

    @cached_property
    def start(self) -> str:
        """The first bytes as text, as far as they are text; for telling formats apart, not for reading."""
        head = self.head
        for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
            if head.startswith(mark):
                return head[: len(head) // 2 * 2].decode(encoding, "ignore")
        return (
            head.decode("utf-8-sig", "ignore") if head.startswith(b"\xef\xbb\xbf") else head.decode("utf-8", "ignore")
        )

    @cached_property
    def root(self) -> tuple[str, str]:
        """Name of the outermost XML element without its prefix, and its attributes as written; empty if none."""
        text = self.start.lstrip()
        if not text.startswith("<"):
            return "", ""
        found = _ROOT.search(_NOT_ROOT.sub("", text))
        return (found[1], found[2]) if found else ("", "")

    @property
    def is_text(self) -> bool:
        """Whether it looks like text: no NUL in its beginning, unless it is UTF-16."""
        return bool(self.head) and (
            b"\0" not in self.head or self.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        )

    @property
    def kind(self) -> str:
        """What it is by the mark in its first bytes, as a phrase; empty if it has no known one."""
        return next((what for at, mark, what in _MARKS if self.head[at : at + len(mark)] == mark), "")

    def open(self) -> BinaryIO:
        """Its bytes from the start, unpacked if it is a gzip file; a bomb raises InputError while it is read."""
        file = self.path.open("rb")
        if file.peek(2)[:2] != _GZIP:
            return cast(BinaryIO, file)
        return io.BufferedReader(_Unpacked(file, self.path.stat().st_size))

    def read(self, limit: int) -> bytes:
        """All its bytes. Raises InputError if there are more than ``limit``, or they cannot be read."""
        try:
            with self.open() as file:
                data = file.read(limit + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"It cannot be read: {getattr(error, 'strerror', None) or error}.") from error
        if len(data) > limit:
            raise InputError(f"It is larger than the {limit:,} bytes allowed here; split it first.")
        return data


class _Unpacked(io.RawIOBase):
    """A gzip file's content, refused once it is larger than any honest one would be."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._gzip = gzip.GzipFile(fileobj=file)
        self._limit = min(MAX_EXPANDED, max(size * MAX_RATIO, 10_000_000))
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._gzip.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"Its gzip compression is damaged ({error}); copy it again.") from error
        self._given += len(data)
        if self._given > self._limit:
            raise InputError(f"It unpacks to more than {self._limit:,} bytes, which is refused; unpack it yourself.")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._gzip.close()
        self._file.close()
        super().close()


def files_of(path: Path) -> Iterator[File | Quarantined]:
    """The files of a folder and its sub-folders in the order of their names, or the one file that ``path`` is.

    Links that lead out of the folder, what is no regular file, and what may not be read come as Quarantined; hidden
    files come like all others, so that they can be counted.
    """
    if not path.is_dir():
        yield File(path, printable(path.name), printable(path.resolve().parent.name))
        return
    root, corpus = path.resolve(), printable(path.resolve().name) or "folder"
    problems: list[OSError] = []
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=problems.append):
        links = (name for name in folders if (Path(folder) / name).is_symlink())
        found.extend(Path(folder) / name for name in (*names, *links))
    for error in problems:
        inner = printable(Path(error.filename).relative_to(path).as_posix())
        yield Quarantined(str(path), inner, f"The folder cannot be read: {error.strerror}.")
    for file in sorted(found):
        inner = file.relative_to(path).as_posix()
        if reason := _refused(file, root):
            yield Quarantined(str(path), printable(inner), reason)
        else:
            yield File(file, inner, corpus)


def stem(name: str, suffix: str) -> str:
    """The name without the suffix, as it is part of ids; a name that is all digits and dots (a UID) is kept whole."""
    return name[: -len(suffix)] if suffix and name.lower().endswith(suffix) and len(name) > len(suffix) else name


def printable(name: str) -> str:
    """A file name that can be printed: bytes that are not UTF-8 show as question marks."""
    return name.encode("utf-8", "replace").decode()


def _refused(file: Path, root: Path) -> str:
    """Why this entry of a folder is not looked into; empty if it is."""
    if printable(str(file)) != str(file):
        return "Its name has bytes that are not UTF-8; rename it."
    try:
        if file.is_symlink():
            target = file.resolve(strict=True)
            if not target.is_relative_to(root):
                return "It is a link that leads out of the folder, which is refused."
            if target.is_dir():
                return "It is a link to a folder, which is not followed."
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            return "It is not a regular file (a pipe, socket or device)."
        with file.open("rb"):
            return ""
    except RuntimeError:
        return "It is a link to itself."
    except OSError as error:
        return f"It cannot be read: {error.strerror or error}."
