"""A reader of one's own: dictations in one text file, each below a line that begins with three equals signs.

    PYTHONPATH=examples rag ingest dictations.txt --index mine --format add_reader:READER

    === d17 group p4
    The heart is enlarged. No effusion.

A reader says how sure it is that a file is of its format, and gives the file's records one by one. What cannot be used
comes as ``Quarantined``, with the reason in a sentence: it is listed in the report, and the build goes on. Sizes,
encodings and compression are the file's business (``read_text``), not the reader's. With an entry point
``clincite.reader`` a package makes its format known to every ingest, without ``--format``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader
from rag.corpus.text import checked_id, read_text
from rag.errors import InputError
from rag.types import Document

_HEAD = re.compile(r"^=== *", re.M)
_NAMED = re.compile(r"(\S+) +group +(\S+)")


def recognise(file: File) -> float:
    """Looks at the first bytes alone, and never raises."""
    return CERTAIN if file.start.startswith("=== ") else 0.0


def read(file: File) -> Iterator[Document | Quarantined]:
    """A report for each dictation; ``group_id`` is the patient, the unit of exclusion and of statistics."""
    for number, part in enumerate(_HEAD.split(read_text(file))[1:], start=1):
        head, _, text = part.partition("\n")
        try:
            named = _NAMED.fullmatch(head.strip())
            if named is None:
                raise InputError("Its first line is not of the form '=== ID group PATIENT'.")
            if not text.strip():
                raise InputError("It has no text.")
            yield Document(
                id=checked_id(named[1]),
                kind="report",
                text=text.strip(),
                case_id=named[1],
                group_id=named[2],
                source=file.corpus,
            )
        except InputError as problem:
            yield Quarantined(str(file.path), f"dictation {number}", str(problem))


# An id counts within its own file: d17 of another file is another dictation.
READER = Reader("dictations", "dictations below lines of '==='", recognise, read, ids="rows")
