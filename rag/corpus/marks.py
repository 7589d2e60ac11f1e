"""What others' records say of a document that stands elsewhere: retracted, corrected, doubted; and where it is, too.

A publisher takes an article back in a notice, which is a record of its own. The article's own record may come again
and say so, in another file, on another day, or never: so the notice itself marks what an index has of the article.
Likewise where another source has the same text or picture and the index keeps one of them. Both hold for every later
edition of the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rag.types import Document

_NOTICES = "notices"  # metadata: status → the record that says it
RETRACTED = "[Retracted] "  # how a retracted article's title begins


@dataclass(frozen=True, slots=True)
class Marked:
    """A document's id or another name of it, what is said of it ("retracted"), and the record that says so."""

    id: str
    status: str
    by: str


class Reputation(NamedTuple):
    """What was said of a name: the edition of the file that withdrew it (None: none did), and status → by whom."""

    withdrawn: str | None = None
    marks: Mapping[str, str] = {}


def aliases_of(document: Document) -> tuple[str, ...]:
    """A document's id and, of an article, the names that the world knows it by.

    >>> article = Document(id="PMC7#s1", kind="literature", case_id="PMC7", group_id="PMC7", source="pmc",
    ...                    metadata={"doi": "10.1/A", "pmid": "12", "pmcid": "PMC7"})
    >>> aliases_of(article)
    ('PMC7#s1', 'PMID:12', 'DOI:10.1/a', 'PMC7')
    """
    told = document.metadata if document.kind == "literature" else {}
    pmid, doi, pmcid = (str(told.get(name) or "") for name in ("pmid", "doi", "pmcid"))
    named = (f"PMID:{pmid}" * bool(pmid), f"DOI:{doi.lower()}" * bool(doi), pmcid.upper())
    return tuple(dict.fromkeys(filter(None, (document.id, *named))))


_ELSEWHERE = "elsewhere"  # metadata: where other sources have it


@dataclass(frozen=True, slots=True)
class Told:
    """What has been said of a document: status → the record that says it, and which other sources have it."""

    notices: Mapping[str, str] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Told:
        """What a document's metadata say; fields of these names that are somebody's own say nothing."""
        notices, elsewhere = metadata.get(_NOTICES), metadata.get(_ELSEWHERE)
        return cls(
            notices if isinstance(notices, dict) else {},
            tuple(one for one in elsewhere if isinstance(one, str)) if isinstance(elsewhere, list) else (),
        )


def with_copies(document: Document, places: Sequence[str], field_name: str = _ELSEWHERE) -> Document:
    """The document with the places of its copies among its references; itself where they are there already."""
    known = document.metadata.get(field_name)
    known = known if isinstance(known, list) else []
    new = [place for place in places if place not in known]
    if not new:
        return document
    references = list(dict.fromkeys([*(document.metadata.get("references") or ()), *new]))
    metadata = document.metadata | {"references": references, field_name: [*known, *new]}
    return document.model_copy(update={"metadata": metadata})


def with_marks(document: Document, marks: Mapping[str, str]) -> Document:
    """The document with what is said of it (status → by whom); itself where it says all of it already.

    >>> article = Document(id="PMID:1", kind="literature", case_id="a", group_id="a", source="pubmed", title="A trial.")
    >>> marked = with_marks(article, {"retracted": "PMID:2"})
    >>> marked.title, marked.metadata["status"], with_marks(marked, {"retracted": "PMID:2"}) is marked
    ('[Retracted] A trial.', ['retracted'], True)
    """
    known = Told.of(document.metadata).notices
    if marks.keys() <= known.keys():
        return document
    status = list(dict.fromkeys([*(document.metadata.get("status") or ()), *sorted(marks)]))
    title = document.title
    if "retracted" in status and not title.startswith(RETRACTED):
        title = RETRACTED + title
    metadata = document.metadata | {"status": status, _NOTICES: {**marks, **known}}
    return document.model_copy(update={"title": title, "metadata": metadata})
