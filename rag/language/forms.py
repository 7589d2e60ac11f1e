"""What kind of question it is, and what it asks beyond whether something is there.

A certificate holds for the kinds that it was computed on; and what is asked beyond presence (a number, a cause, a
comparison with normal, both of two things) must be met by what is said, or the question is not answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from rag.language.cues import Place, load_cues
from rag.language.statements import Assertion

Form = Literal[
    "presence", "normality", "side", "quantity", "degree", "course", "cause", "conjunction", "choice", "whole"
]
FORMS: tuple[Form, ...] = get_args(Form)
Joined = Literal["", "and", "or"]

_NORMAL = r"(?:normal|usual|expected|average|(?:it|they) should be)"
# said otherwise, in words that the lexicon reads
_REWRITTEN = tuple(
    (re.compile(pattern, re.I), words)
    for pattern, words in (
        (rf"\b(?:larger|bigger|greater|more enlarged) than {_NORMAL}\b", "enlarged"),
        (rf"\b(?:wider|broader) than {_NORMAL}\b", "widened"),
        (r"\bnormally (?:inflated|expanded|aerated)\b", "not hyperinflated"),
        (r"\b(?:free|clear) (?:of|from) (?:any |all )?(?:abnormalit(?:y|ies)|disease|pathology|lesions?)\b", "normal"),
        (r"\b(?:damaged|injured)\b", "abnormal"),
        (r"\bopaque\b", "not clear"),
        (r"\b(?:removed|withdrawn|taken out)\b", "absent"),
    )
)
_UNREAD_COMPARISON = re.compile(rf"\b\w+er than {_NORMAL}\b", re.I)
_EARLIER = re.compile(
    r"\b(?:removed|withdrawn|taken out|resolved|cleared|gone|disappeared|excluded|ruled out|no longer)\b", re.I
)
_CAUSE = re.compile(
    r"\b(?:caused|explained|produced) by\b|\bdue to\b|\bbecause of\b|\bsecondary to\b|\b(?:result|cause) of\b|"
    r"\battributable to\b",
    re.I,
)
_WHOLE = frozenset({"normal", "abnormal", "abnormality", "anything", "wrong", "healthy", "unremarkable", "everything"})


def plainly_put(body: str) -> str:
    """The question's words with what has a plainer wording in it."""
    for pattern, words in _REWRITTEN:
        body = pattern.sub(words, body)
    return body


def unread_part(body: str) -> str:
    """What of the question no rule reads, such as a comparison with normal that has no name; empty where nothing."""
    found = _UNREAD_COMPARISON.search(plainly_put(body))
    return found[0] if found else ""


def tells_cause(sentence: str) -> bool:
    """Whether it names a cause."""
    return _CAUSE.search(sentence) is not None


def presupposes(body: str) -> bool:
    """Whether it asks for the end of something, so that a report that never speaks of it leaves it open."""
    return _EARLIER.search(body) is not None


def joined_by(body: str, claims: Sequence[Assertion]) -> Joined:
    """How several things that are asked for belong together; "no edema or effusion" denies both."""
    if len({c.concept for c in claims}) < 2:
        return ""
    words = body.lower().split()
    denied = [n for n, word in enumerate(words) if word in load_cues().denying]
    if (
        "or" in words
        and len(denied) == 1
        and denied[0] < words.index("or")
        and all(c.status == "absent" for c in claims)
    ):
        return "and"
    return "or" if "or" in words else "and" if "and" in words or "both" in words else ""


def is_choice(body: str, claims: Sequence[Assertion], place: Place) -> bool:
    """ "Left or right?", "normal or enlarged?": no yes answers it."""
    if re.search(r"\bor\b", body, re.I) is None:
        return False
    sides = re.search(r"\b(?:left|right)(?:-sided)?\b[^?]{0,20}\bor\b[^?]{0,20}\b(?:left|right)\b", body, re.I)
    return sides is not None or len({c.status for c in claims}) == 2


def asks_for_whole(words: frozenset[str], claims: Sequence[Assertion]) -> bool:
    """Whether the study as a whole is asked for: silence about a thing cannot answer it."""
    return not claims and bool(words) and words <= _WHOLE


def form_of(body: str, claims: Sequence[Assertion], place: Place, counted: bool, joined: Joined) -> Form:
    """The kind of question; of several that fit, the one that asks for most."""
    if _CAUSE.search(body):
        return "cause"
    if counted:
        return "quantity"
    if presupposes(body) or place.course:
        return "course"
    if joined:
        return "conjunction"
    if place.degrees:
        return "degree"
    if place.sides or place.zones:
        return "side"
    return "normality" if claims and all(c.status == "absent" for c in claims) else "presence"
