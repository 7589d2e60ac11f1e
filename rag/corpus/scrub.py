"""Removal of obvious identifiers before anything is indexed."""

from __future__ import annotations

import re

from rag.types import Document

REMOVED = "[REMOVED]"
_DATE = (
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
    r"|\d{1,2}\s{1,3}[A-Za-z]{3,9}\.?,?\s{1,3}\d{4}"
    r"|[A-Za-z]{3,9}\.?\s{1,3}\d{1,2},?\s{1,3}\d{4})"
)
# Repetitions are bounded: a text of nothing but spaces must not take hours.
# Each pattern's group "id" is what goes; a label before it ("MRN:") stays, so that the reader sees what was there.
_IDENTIFIERS = re.compile(
    "|".join(
        (
            r"(?P<email>\b[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+\b)",
            r"\b(?:MRN|patient id|(?:medical record|patient|accession|NHS) (?:number|no\.?))"
            r"\s{0,3}[:#=]?\s{0,3}(?P<record>(?=[A-Z-]{0,6}\d)[A-Z0-9]+(?:[- ]\d+)*\b)",
            r"\b(?:DOB|D\.O\.B\.|date of birth|born(?: on)?)\s{0,3}[:=]?\s{0,3}(?P<birth>" + _DATE + r")(?!\d)",
            r"(?<![\w.-])(?P<ssn>\d{3}-\d{2}-\d{4})(?![\w-])",
            r"\b(?:tel|phone|telephone|fax|mobile|pager|call)\.?\s{0,3}[:#]?\s{0,3}"
            r"(?P<labelled>\+?\(?\d[\d() .-]{5,18}\d)(?!\w)",
            r"(?<![\w.+-])(?P<phone>(?:\+?\d{1,2}[-. ])?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4})(?![\w-])",
            r"(?<![\w+])(?P<international>\+\d{1,3}(?:[ -]?\(?\d{1,4}\)?){2,5})(?!\w)",
        )
    ),
    re.IGNORECASE,
)


def deidentify(document: Document) -> Document:
    """The document with phone numbers, e-mail addresses, labelled record numbers, US social security numbers and
    labelled dates of birth in its title and text replaced by ``[REMOVED]``; section offsets in its metadata follow.

    This is a net for the obvious, not a de-identification: names, addresses, other dates, identifiers without a label
    and anything burnt into an image pass through. De-identify at the source.
    """
    removals = _removals(document.text)
    title = _without(document.title, _removals(document.title))
    if not removals and title == document.title:
        return document
    metadata = dict(document.metadata)
    if sections := metadata.get("sections"):
        metadata["sections"] = {
            label: [_moved(start, removals), _moved(end, removals)] for label, (start, end) in sections.items()
        }
    return document.model_copy(update={"text": _without(document.text, removals), "title": title, "metadata": metadata})


def _removals(text: str) -> list[tuple[int, int]]:
    return [match.span(match.lastgroup or 0) for match in _IDENTIFIERS.finditer(text)]


def _without(text: str, removals: list[tuple[int, int]]) -> str:
    for start, end in reversed(removals):
        text = text[:start] + REMOVED + text[end:]
    return text


def _moved(offset: int, removals: list[tuple[int, int]]) -> int:
    """Where an offset of the old text lies in the new one; an offset inside a removal moves to the removal's end."""
    shift = 0
    for start, end in removals:
        if end <= offset:
            shift += len(REMOVED) - (end - start)
        elif start < offset:
            return start + shift + len(REMOVED)
    return offset + shift
