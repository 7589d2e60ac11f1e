"""Where in a sentence the subject of a word stands, by its auxiliaries, relative words, commas and prepositions.

A parser of dependencies would read more of the sentences; those for English have 12 MB or more of weights, take
milliseconds a sentence, and none is maintained on PyPI.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rag.language.cues import load_cues
from rag.language.tokens import Token
from rag.verification.rules.roles import LEADS, PREPOSITIONS

REFERS = frozenset({"it", "its", "they", "their", "this", "these", "both", "such"})
_RELATIVE = frozenset({"which", "that", "who", "whose"})
_TURNS = frozenset({";", "but", "while", "whereas", "although", "though", "because", "unlike", "when", "where", "if"})
_AUXILIARIES = LEADS | {"act", "acts", "be", "been", "serves"}
_BETWEEN = LEADS | {"be", "been", "also", "not", "significantly"}  # a subject and what is said of it
_PHRASE_ENDS = PREPOSITIONS | LEADS | _TURNS | {",", "and"}
_REACH = 8  # tokens from an auxiliary to its word


def subject_span(words: Sequence[str], head: int, verbs: Collection[int]) -> tuple[int, int]:
    """The span of a sentence's ``words`` in which the subject of the word at ``head`` is sought.

    ``verbs``: where the verb that is asked about stands; a clause that has one ends at its comma.

    >>> words = "huwe1 , which inhibits myc , is a tumour suppressor".split()
    >>> subject_span(words, 8, {3}), subject_span(words, 3, {3})
    ((0, 6), (0, 1))
    """
    auxiliary = next((i for i in range(head - 1, max(-1, head - _REACH), -1) if words[i] in _AUXILIARIES), None)
    if auxiliary is not None and any(w in _RELATIVE | _TURNS for w in words[auxiliary + 1 : head]):
        auxiliary = None
    end = auxiliary if auxiliary is not None else head
    while end and words[end - 1] in _BETWEEN:
        end -= 1
    if end and words[end - 1] in _RELATIVE:  # the subject is what stands before it
        end -= 1
        while end and words[end - 1] == ",":
            end -= 1
        begin = end
        while begin and words[begin - 1] not in _PHRASE_ENDS:
            begin -= 1
        return begin, end
    begin = end
    while begin and words[begin - 1] not in _TURNS and not _begins_clause(words, begin - 1, end, verbs):
        begin -= 1
    return begin, end


def _begins_clause(words: Sequence[str], i: int, end: int, verbs: Collection[int]) -> bool:
    """Whether a comma, "and" or "that" at ``i`` begins the clause that goes on to ``end``."""
    if words[i] == "that":
        return True
    if words[i] not in (",", "and") or i + 1 == end:
        return False
    told = LEADS | load_cues().verbs
    return any(w in told for w in words[:i]) or any(v < i for v in verbs)


def first_phrase(told: Sequence[Token], begin: int, end: int) -> list[int]:
    """Where the words of content of a span stand up to its first preposition; of coordinated ones all."""
    found: list[int] = []
    stop = load_cues().stop_words
    for i in range(begin, end):
        word = told[i].word
        if word in PREPOSITIONS and found:
            break
        if word in REFERS and not found:
            return [i]
        if told[i].is_word and word not in PREPOSITIONS and word not in stop:
            found.append(i)
    return found
