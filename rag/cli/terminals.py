"""Where output goes: any encoding, a pipe that nobody reads, a window that is narrow.

What is shown is never a reason to fail: characters that an encoding lacks are spelt out. And what nobody would see is
not asked, since an answer is recorded before it is shown.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rag.errors import InputError, StorageError

NARROW = 60  # columns below which help is plain: tables would cut the names of options
_LEGIBLE = "rag-legible"
_PLAIN = {
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2010": "-",
    "\u2011": "-", "\u2026": "...", "\u00b7": "-", "\u2022": "-", "\u2192": "->", "\u2264": "<=", "\u2265": ">=",
    "\u00b1": "+/-", "\u00d7": "x", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-",
}  # fmt: skip


def prepare() -> None:
    """Let nothing that is written fail for its encoding; see ``_legible``. A stream that is closed swallows all."""
    codecs.register_error(_LEGIBLE, _legible)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_LEGIBLE)


def _legible(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks: signs by their like in ASCII, others by name, so that none is mistaken."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_spelt, error.object[error.start : error.end])), error.end


def _spelt(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    if unicodedata.category(character) == "So":  # frames and bars
        return "*"
    name = unicodedata.name(character, "")
    return f"\\N{{{name}}}" if name else f"\\u{ord(character):04x}"


def is_utf8() -> bool:
    """Whether standard output can say everything."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def is_narrow() -> bool:
    return shutil.get_terminal_size().columns < NARROW


def words(text: str) -> str:
    """Text of the command line as it was meant: where the locale has no UTF-8, Python has kept the bytes apart.

    Raises:
        InputError: the bytes are not UTF-8.
    """
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    with suppress(UnicodeError):
        return os.fsencode(text).decode("utf-8")
    raise InputError(
        "the command line is not UTF-8: set the terminal to UTF-8, or send the question over REST or Python"
    )


def check_heard() -> None:
    """See that somebody could read what is going to be written.

    Raises:
        StorageError: standard output is closed, or a pipe whose reader has gone.
    """
    stream, heard = sys.__stdout__, sys.__stdout__ is not None
    with suppress(AttributeError, OSError, ValueError):  # whoever replaced it reads it
        if stream is not None:
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            heard = not any(happened & (select.POLLERR | select.POLLNVAL) for _, happened in poll.poll(0))
    if not heard:
        raise StorageError("standard output is closed, so nobody would see the answer; nothing was asked or recorded")


@contextmanager
def shown(audit_id: str) -> Iterator[None]:
    """Write a recorded answer out, to the last byte; if that fails, its id is told, so that it can be looked up."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        raise StorageError(
            f"the answer could not be written to standard output ({error.strerror}); it is recorded: see it with: rag "
            f"audit show {audit_id}"
        ) from error


def discard_output() -> None:
    """Send what is still to come nowhere, so that the end of the process does not fail once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
