"""When a report's silence says nothing: it is in another language, or it reports on nothing.

Radiologists leave most absent findings unsaid, so that the silence of a report which was written means "not there". A
placeholder ("report to follow"), a cancelled or unreadable examination, and text that this reader does not know are
silent about everything.
"""

from __future__ import annotations

import re

from rag.language.clinical_text import ClinicalText
from rag.language.cues import load_cues
from rag.language.lexicon import Lexicon

# Share of a text's words that the reader knows. Of 3,934 English reports and cases the least has 0.62; of fifteen in
# seven other languages and 3,000 Spanish sentences with two words or more, fewer than one in thirty has 0.35.
_KNOWN = 0.45
_STRANGE = 4  # words: fewer are names
_MANY = 8  # words with content: a report, though of nothing that the lexicon knows
_TOLD = frozenset({"present", "absent", "uncertain"})


def in_other_language(read: ClinicalText, lexicon: Lexicon) -> bool:
    """Whether most of its words are none that this reader knows."""
    names = frozenset() if read.text.isupper() else frozenset(re.findall(r"\b[A-Z]{2,6}\b", read.text))  # "BI-RADS"
    words = [
        t
        for _, _, s in read.sentences
        for t in s.tokens
        if t.text.isalpha() and len(t.text) > 1 and t.text not in names
    ]
    cues = load_cues().vocabulary
    known = sum(t.word in cues or t.word in lexicon.vocabulary or t.lemma in lexicon.vocabulary for t in words)
    unknown = len(words) - known
    return unknown >= (_STRANGE if known else 2) and known < _KNOWN * len(words)


def why_silence_says_nothing(read: ClinicalText) -> str:
    """Why what the report does not mention is left open; empty where it may be taken for absent."""
    states = load_cues().states_by_word
    plain = {w for start, _, s in read.sentences if start not in read.asides for w in s.words if w in states}
    told = bool(plain) or any(a.status in _TOLD for a in read.statements)  # "Findings: Clear."
    untold = any(a.status == "unknown" for a in read.statements)
    body = [s.words for start, _, s in read.sentences if start not in read.asides]
    if told or (not untold and sum(map(len, body)) >= _MANY):
        return ""
    return "the report does not say what was found"
