"""Mailboxes (.mbox): each message as :mod:`rag.corpus.readers.mail` reads one.

The standard library's ``mailbox`` reads lines of any length into memory and no packed files; here a line and a message
have bounds. A message begins at a line "From …" after an empty line (RFC 4155); ">From " inside one is its "From ".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from rag.corpus.files import File, stem
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.mail import MAX_BYTES, Letter, header_names, read_letter
from rag.corpus.text import bounded_lines
from rag.errors import InputError

MAX_LINE_BYTES = 1_000_000  # RFC 5322 allows 998
_BEGINS = re.compile(rb"From \S.*\d{4}\s*$")
_QUOTED = re.compile(rb">+From ")


def recognise_mbox(file: File) -> float:
    """Sure of a line "From …" with headers after it; surer than the reader of single messages, which may have one."""
    first, _, rest = file.start.replace("\r\n", "\n").partition("\n")
    if _BEGINS.match(first.encode()) and len(header_names(rest)) >= 3:
        return CERTAIN + 0.05
    return BY_NAME * (file.suffix == ".mbox")


def read_mbox(file: File, kind: str = "report") -> Iterator[Record]:
    """A document a message; its id is ``<path without suffix>#<hash of its Message-ID>``, wherever it stands."""
    for number, message in enumerate(_messages(file), start=1):
        where = f"{file.name}, message {number}"
        if message is None:
            reason = f"It has more than {MAX_BYTES:,} bytes, or a line of more than {MAX_LINE_BYTES:,}."
            yield Quarantined(str(file.path), where, reason)
            continue
        try:
            yield from list(read_letter(_letter(file, message, where), kind))
        except InputError as error:
            yield Quarantined(str(file.path), where, str(error))


def _letter(file: File, message: bytes, where: str) -> Letter:
    head = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    named = re.search(rb"^message-id:\s*(\S+)", head, re.IGNORECASE | re.MULTILINE)
    mark = hashlib.sha256(named[1] if named else message).hexdigest()[:12]
    return Letter(f"{stem(file.name, file.suffix)}#{mark}", where, message, file)


def _messages(file: File) -> Iterator[bytes | None]:
    """The messages, without the lines that divide them; None for one that is too large."""
    lines: list[bytes] = []
    size, begun, after_empty = 0, False, True
    for _, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is not None and after_empty and _BEGINS.match(line):
            if begun:
                yield _joined(lines, size)
            lines, size, begun, after_empty = [], 0, True, False
            continue
        after_empty = not line and line is not None
        size = MAX_BYTES + 1 if line is None else size + len(line) + 1
        if size <= MAX_BYTES and line is not None:
            lines.append(line[1:] if _QUOTED.match(line) else line)
    if not begun:
        raise InputError("It has no line that begins a message, as mailboxes have.")
    yield _joined(lines, size)


def _joined(lines: list[bytes], size: int) -> bytes | None:
    return None if size > MAX_BYTES else b"\n".join(lines)


READER = Reader("mbox", "a mailbox (.mbox)", recognise_mbox, read_mbox)
