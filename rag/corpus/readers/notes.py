"""Literature notes: Markdown files with a front matter of ``key: value`` lines."""

from __future__ import annotations

from collections.abc import Iterator

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader
from rag.corpus.text import checked_id, read_text
from rag.errors import InputError
from rag.types import Document

SOURCE = "clincite notes (project-written)"
_FENCE = "---"
_REQUIRED = ("id", "title", "domain", "kind", "author", "licence")
_OPTIONAL = ("references", "notice")


def recognise_note(file: File) -> float:
    """Markdown; sure where a front matter opens it. A README is not a note."""
    if file.suffix != ".md" or file.path.stem.upper() == "README":
        return 0.0
    return CERTAIN if file.start.startswith(_FENCE) else BY_NAME


def read_note(file: File) -> Iterator[Document | Quarantined]:
    """The one document of a note."""
    yield _note(read_text(file))


def _note(text: str) -> Document:
    fields, body = _split(text)
    if missing := [name for name in _REQUIRED if not fields.get(name)]:
        raise InputError(f"Its front matter lacks {', '.join(missing)}.")
    if unknown := sorted(fields.keys() - {*_REQUIRED, *_OPTIONAL}):
        raise InputError(f"Its front matter has unknown fields: {', '.join(unknown)}.")
    if fields["kind"] != "literature":
        raise InputError(f"Its kind is {fields['kind']!r}; a note's kind is 'literature'.")
    if not body:
        raise InputError("It has no text after its front matter.")
    identifier = checked_id(fields["id"])
    listed = fields.get("references", "").strip("[]").replace(";", ",").split(",")
    return Document(
        id=identifier,
        kind="literature",
        domain=fields["domain"],
        text=body,
        title=fields["title"],
        case_id=identifier,
        group_id=identifier,
        source=SOURCE,
        licence=fields["licence"],
        metadata={
            "author": fields["author"],
            "notice": fields.get("notice", ""),
            "references": [reference.strip() for reference in listed if reference.strip()],
        },
    )


def _split(text: str) -> tuple[dict[str, str], str]:
    """Front matter as a dictionary, and the body. Raises InputError if either cannot be told apart."""
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise InputError("It has no front matter: its first line must be '---'.")
    fields: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line.rstrip() == _FENCE:
            return fields, "\n".join(lines[number:]).strip()
        key, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise InputError(f"Line {number} of its front matter is not of the form 'key: value'.")
        if colon:
            fields[key.strip().lower()] = _unquoted(value.strip())
    raise InputError("Its front matter is not closed by a second '---' line.")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


READER = Reader("notes", "a Markdown note with a front matter", recognise_note, read_note, ids="rows")
