"""The vocabulary by which an index is read."""

from __future__ import annotations

from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon, Term


def lexicon_of(snapshot: Snapshot, known: Lexicon | None = None) -> Lexicon:
    """The lexicon by which an index is read: the findings that we know, and the terms of its ontologies.

    ``known`` is the one of another version, which is shared where the terms are the same.
    """
    terms = tuple(Term(d.id, d.title, tuple(d.metadata.get("synonyms", ())), d.domain) for d in snapshot.terms())
    return known if known is not None and known.terms == terms else Lexicon.load(terms=terms)
