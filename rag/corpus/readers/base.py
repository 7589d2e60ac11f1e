"""What a reader is: how it recognises a file, and how it reads one.

A reader is one module with one value of this type, and one entry in ``rag.plugins.PARTS``; an installed package adds
its own under the entry point group ``clincite.reader``.

>>> Reader("memo", "a memo", lambda file: 0.9 * file.start.startswith("MEMO"), lambda file: iter(()))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag.corpus.files import File
from rag.corpus.marks import Marked
from rag.corpus.quarantine import Quarantined, Withdrawn
from rag.types import Document

Record = Document | Quarantined | Withdrawn | Marked

# How sure a reader is that a file is of its format.
CERTAIN = 0.9  # its content says so, and hardly anything else could
LIKELY = 0.6  # its content fits, and so does its name
BY_NAME = 0.2  # its name says so, its content does not contradict (or is damaged)


def _alone(file: File) -> Iterable[Path]:
    return ()


def _at_an_unknown_time(file: File) -> str:
    return ""


@dataclass(frozen=True)
class Reader:
    """A format.

    Attributes:
        name: what ``--format`` calls it.
        description: what such a file is, as a phrase that fits after "It looks like".
        recognises: how sure it is, from 0 (not mine) to 1, that a file is of its format; looks at the file's name and
            first bytes only, and never raises. The surest reader gets the file.
        read: the file's records; keyword options follow the file. What cannot be used comes as Quarantined; an
            InputError means the whole file.
        companions: files that are read together with this one, and therefore not on their own.
        ids: what an id means. ``path``: a place within its source; ``rows``: one of its file's own. In another source
            (another file, for rows) the same id is another document.
            ``world``: the same everywhere (a term of an ontology); from another source it is a new edition.
            ``editions``: so, and within one source, too, the last record counts (updates of MEDLINE).
        edition: where a file stands among those of its format: a greater word came later; empty where that is unknown.
    """

    name: str
    description: str
    recognises: Callable[[File], float]
    read: Callable[..., Iterator[Record]]
    companions: Callable[[File], Iterable[Path]] = _alone
    ids: Literal["path", "rows", "world", "editions"] = "path"
    edition: Callable[[File], str] = _at_an_unknown_time
