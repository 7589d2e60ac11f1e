"""The vocabulary by which an index is read."""

from __future__ import annotations

from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon, Term
from rag.language.typed import TypedWords

_OWN_WORD = 3  # passages that have a word before it counts as the index's own and not as a slip


def lexicon_of(snapshot: Snapshot, known: Lexicon | None = None) -> Lexicon:
    """The lexicon by which an index is read: the findings that we know, and the terms of its ontologies.

    ``known`` is the one of another version, which is shared where the terms are the same.
    """
    terms = tuple(Term(i, title, tuple(synonyms), domain) for i, title, synonyms, domain in snapshot.term_names())
    return known if known is not None and known.terms == terms else Lexicon.load(terms=terms)


def typed_words_of(snapshot: Snapshot, lexicon: Lexicon) -> TypedWords:
    """What people type, read in the words of the lexicon and of the index."""
    return TypedWords(lexicon, lambda word: len(snapshot.search_words(word, _OWN_WORD)) >= _OWN_WORD)
