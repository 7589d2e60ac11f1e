"""A yes/no question as the two statements that answer it: "There is an effusion.", "There is no effusion.".

What an answer claims can then be read as any other sentence is, apart from how the question was read.
"""

from __future__ import annotations

import re

from rag.language.lexicon import Lexicon
from rag.language.tokens import tokens_of

_THERE = re.compile(r"^(?:is|are|was|were)\s+there\s+(?:still\s+)?(.+)$", re.I)
_HAVING = re.compile(
    r"^(?:does|do|did|can|could|has|have)\s+(?:(?:you|one|we|it|this|that|the|he|she|they|any|my|his|her)\b[\w\s]{0,30}?\s+)?"
    r"(?:show|have|had|demonstrate|reveal|see|contain|suggest|indicate|display|exhibit|seen|shown)\s+(.+)$",
    re.I,
)
_BEING = re.compile(r"^(is|are|was|were|has|have|does|do|did|can|could|should|will|would|may|might)\s+(.+)$", re.I)
_LEAD = re.compile(
    r"^(?:an?|any|some|either|no)\s+|^(?:(?:signs?|evidence|indications?|presence)\s+(?:of|for)\s+)", re.I
)
_ENDS = re.compile(r"\s+(?:present|seen|visible|noted|identified|evident|detected|shown)$", re.I)
_DENIED = re.compile(r"^(?:no|not any)\s+", re.I)


def declare(question: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """What *yes* and what *no* assert; None where the question's form is not known.

    >>> declare("Is the heart enlarged?", Lexicon.load())
    ('the heart is enlarged.', 'the heart is not enlarged.')
    """
    body = question.strip().rstrip("?. ")
    found = _THERE.match(body) or _HAVING.match(body)
    if found is not None:
        thing = found[1].strip()
        denied = _DENIED.match(thing) is not None
        for _ in range(3):
            thing = _LEAD.sub("", thing)
        thing = _ENDS.sub("", thing)
        there, absent = f"There is {thing}.", f"There is no {thing}."
        return (absent, there) if denied else (there, absent)
    being = _BEING.match(body)
    if being is None:
        return None
    verb, rest = being[1].lower(), being[2]
    mentions = lexicon.mentions(tokens_of(rest))
    if not mentions:
        return None
    tokens = tokens_of(rest)
    end = tokens[mentions[0].last - 1].end
    subject, predicate = rest[:end], rest[end:].strip()
    if not predicate:
        return None
    if verb in ("does", "do", "did"):
        return f"{subject} {predicate}.", f"{subject} {verb} not {predicate}."
    return f"{subject} {verb} {predicate}.", f"{subject} {verb} not {predicate}."
