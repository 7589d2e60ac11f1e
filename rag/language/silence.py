"""When a report's silence says nothing: it reports on nothing.

Radiologists leave most absent findings unsaid, so that the silence of a report which was written means "not there". A
placeholder ("report to follow") and a cancelled or unreadable examination are silent about everything.
"""

from __future__ import annotations

from rag.language.clinical_text import ClinicalText
from rag.language.cues import load_cues

_MANY = 8  # words with content: a report, though of nothing that the lexicon knows
_TOLD = frozenset({"present", "absent", "uncertain"})


def why_silence_says_nothing(read: ClinicalText) -> str:
    """Why what the report does not mention is left open; empty where it may be taken for absent."""
    states = load_cues().states_by_word
    body = [s.words for start, _, s in read.sentences if start not in read.asides]
    plain = any(word in states for words in body for word in words)  # "Findings: Clear."
    told = plain or any(a.status in _TOLD for a in read.statements)
    untold = any(a.status == "unknown" for a in read.statements)
    if told or (not untold and sum(map(len, body)) >= _MANY):
        return ""
    return "the report does not say what was found"
