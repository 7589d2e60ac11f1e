"""What a long work becomes: one document per section or page, so that a citation says where in the work it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rag.corpus.marks import RETRACTED
from rag.corpus.text import bounded, checked_id
from rag.types import Document, Kind


@dataclass(frozen=True)
class Publication:
    """An article, a book, a report; its id is the group and the case of all its parts unless others are given."""

    id: str
    title: str
    source: str
    kind: Kind = "literature"
    domain: str = "general"
    licence: str = "unknown"
    case: str = ""
    group: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def part(self, mark: str, label: str, text: str, **more: Any) -> Document:
        """A part of the work: ``<id>#<mark>``, called "<title>, <label>". Raises InputError if it is too long."""
        identity = checked_id(self.id)
        return Document(
            id=f"{identity}#{mark}" if mark else identity,
            kind=self.kind,
            domain=self.domain,
            text=bounded(text),
            image=None,
            image_sha256=None,
            title=f"{self.title}, {label}" if label else self.title,
            case_id=self.case or identity,
            group_id=self.group or self.case or identity,
            source=self.source,
            licence=self.licence,
            metadata=self.metadata | more,
        )


def published_in(title: str, journal: str, year: str, *, retracted: bool = False) -> str:
    """How an article is called where it is cited: title, journal and year, and first of all that it was retracted."""
    where = ", ".join(filter(None, (journal, year)))
    return f"{RETRACTED if retracted else ''}{title or 'Untitled'}{f' ({where})' if where else ''}"


def named_parts(sections: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Mark, label and text of titled sections that have text; marks are s1, s2, … in the order of the work."""
    for number, (label, text) in enumerate(sections, start=1):
        if text.strip():
            yield f"s{number}", label, text
