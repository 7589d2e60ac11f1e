"""Which sentences of a report tell why it was made, or what was before, and not what it found.

A heading holds for every sentence under it, over blank lines and lists, up to the next heading that opens the report's
body; where none follows, for its own sentence alone, since nobody can tell where what was found begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

_DECORATION = r"[\s*#_>\-\u2022]*(?:\d{1,2}[.)]\s*)?"
_ASIDE = (
    r"indications?|ind|comparisons?|history|hx|h/o|clinical[a-z ]{0,30}|reason[a-z ]{0,40}|techniques?|"
    r"exam(?:ination)?s?(?: type)?|procedure|chief complaint|presenting complaint|cc|hpi|history of[a-z ]{0,30}|"
    r"request|background|past (?:medical|surgical|ocular) (?:history|hx)|pmhx?|psh|poh|"
    r"(?:family|social) (?:medical )?(?:history|hx)|"
    r"fhx?|pre-?op(?:erative)? (?:diagnosis|dx)|(?:ordering|admitting|referring) (?:diagnosis|dx)|notification|"
    r"discharge instructions|allergies|medications|eval(?:uate|uation)?(?: for)?|question"
)
_ALIKE = 0.88  # share of letters in common, from which a heading is a misspelt one
_BODY = (
    r"findings?|impressions?|reports?|results?|conclusions?|opinion|assessment|interpretation|final report|body|"
    r"discharge (?:diagnosis|dx)|addendum|observations?|summary|a/p|radiograph|chest(?: x-?ray)?"
)
_REMARK = r"[*_]*\s*(?:\([^)\n]{0,20}\))?\s*"
_ASIDE_HEADING = re.compile(rf"{_DECORATION}(?:{_ASIDE}){_REMARK}(?::|[\u2013-](?=\s|$)|$|\n)", re.I)
_HEADING = re.compile(rf"{_DECORATION}([A-Za-z][A-Za-z ]{{4,30}}):")
_MISSPELT = ("indication", "indications", "history", "clinical history", "comparison", "technique", "reason for exam")
_DIAGNOSIS = re.compile(rf"{_DECORATION}diagnos[ie]s{_REMARK}(?::|$|\n)", re.I)  # of the order, where findings follow
_SIGNED = re.compile(
    rf"{_DECORATION}(?:electronically |digitally )?(?:signed|dictated|prepared|transcribed|verified|typed)\b"
    rf"[^.\n]{{0,20}}\b(?:by|on|off|dr)\b|{_DECORATION}electronically signed",
    re.I,
)
_BODY_HEADING = re.compile(rf"{_DECORATION}(?:{_BODY}){_REMARK}(?::|$|\n)", re.I)


def asides_of(text: str, spans: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The starts of those sentences, of all whose ``spans`` are given."""
    kinds = [_kind(text[start:end]) for start, end in spans]
    last_body = max((i for i, kind in enumerate(kinds) if kind == "body"), default=-1)
    found: set[int] = set()
    aside = False
    for i, (kind, (start, _)) in enumerate(zip(kinds, spans, strict=True)):
        if kind == "diagnosis":
            kind = "" if aside and i < last_body else "body"
        aside = kind == "aside" or (aside and kind not in ("body", "signature") and i < last_body)
        if aside or kind == "signature":
            found.add(start)
    return frozenset(found)


def _kind(sentence: str) -> str:
    if _ASIDE_HEADING.match(sentence):
        return "aside"
    if _BODY_HEADING.match(sentence):
        return "body"
    if _DIAGNOSIS.match(sentence):
        return "diagnosis"
    if _SIGNED.match(sentence):
        return "signature"
    heading = _HEADING.match(sentence)
    return "aside" if heading and get_close_matches(heading[1].lower(), _MISSPELT, 1, _ALIKE) else ""
