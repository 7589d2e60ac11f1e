"""RTF as text, by striprtf."""

from __future__ import annotations

import re

from rag.corpus.text import clean
from rag.errors import InputError, MissingDependencyError

_BLANK_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def is_rtf(data: bytes) -> bool:
    return data.lstrip()[:5] == b"{\\rtf"


def text_of_rtf(data: bytes) -> str:
    """The words of a letter, a paragraph a line and cells parted by bars.

    Raises InputError if it is damaged, MissingDependencyError without striprtf.
    """
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError as error:
        raise MissingDependencyError('Reading RTF needs striprtf: pip install "clincite[corpora]".') from error
    try:
        # Bytes above ASCII are written as escapes; where they are not, they are of the usual code page.
        text: str = rtf_to_text(  # type: ignore[no-untyped-call]
            data.decode("cp1252", "replace"), errors="replace"
        )
    except (ValueError, LookupError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"It is damaged RTF ({type(error).__name__}).") from error
    return _BLANK_LINES.sub("\n", clean(text)).strip()
