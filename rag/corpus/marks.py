"""What others' records say of a document that stands elsewhere: retracted, corrected, doubted.

A publisher takes an article back in a notice, which is a record of its own. The article's own record may come again
and say so, in another file, on another day, or never: so the notice itself marks what an index has of the article.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rag.types import Document

_NOTICES = "notices"  # metadata: status → the record that says it
RETRACTED = "[Retracted] "  # how a retracted article's title begins


@dataclass(frozen=True, slots=True)
class Marked:
    """A document's id, what is said of it ("retracted", "erratum"), and the record that says so."""

    id: str
    status: str
    by: str


def marks_of(document: Document) -> dict[str, str]:
    """What other records have said of it so far: status → by whom."""
    marks = document.metadata.get(_NOTICES)
    return marks if isinstance(marks, dict) else {}


def with_marks(document: Document, marks: Mapping[str, str]) -> Document:
    """The document with what is said of it (status → by whom); itself where it says all of it already.

    >>> article = Document(id="PMID:1", kind="literature", case_id="a", group_id="a", source="pubmed", title="A trial.")
    >>> marked = with_marks(article, {"retracted": "PMID:2"})
    >>> marked.title, marked.metadata["status"], with_marks(marked, {"retracted": "PMID:2"}) is marked
    ('[Retracted] A trial.', ['retracted'], True)
    """
    known = marks_of(document)
    if marks.keys() <= known.keys():
        return document
    status = list(dict.fromkeys([*(document.metadata.get("status") or ()), *sorted(marks)]))
    title = document.title
    if "retracted" in status and not title.startswith(RETRACTED):
        title = RETRACTED + title
    metadata = document.metadata | {"status": status, _NOTICES: {**marks, **known}}
    return document.model_copy(update={"title": title, "metadata": metadata})
