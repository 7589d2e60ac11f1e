"""Parts of one report that were written one after another, so that the latest that speaks of a thing is believed.

A preliminary reading, the attending's, an addendum; reports of several days in one document. A part reaches to the
beginning of the next; what stands before the first is the oldest, unless what follows calls itself preliminary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPENS = r"[\s*#_>=-]*"
_PRELIMINARY = re.compile(
    rf"{_OPENS}(?:wet read|(?:prelim(?:inary)?|provisional)\b[ \w]{{0,30}}|resident(?:'s)? read\w*)[^:\n]{{0,20}}:",
    re.I,
)
_FINAL = re.compile(
    rf"{_OPENS}(?:attending\b[ \w]{{0,20}}|(?:final|staff) (?:read\w*|interpretation)|over-?read)[^:\n]{{0,20}}:", re.I
)
_ADDENDUM = re.compile(
    rf"{_OPENS}(?:addend(?:um|a)|(?:amend(?:ed|ment)|correct(?:ed|ion)|revised|update)\b[ \w]{{0,20}})[^:\n]{{0,40}}:",
    re.I,
)
_NUMBERED = re.compile(
    rf"{_OPENS}(?:report|study|exam(?:ination)?)(?: of| no\.?| number)? #?(\d{{1,2}})\b[^:\n]{{0,40}}:", re.I
)
_DATED = re.compile(
    rf"{_OPENS}(?:(?:date|study|exam(?:ination)?|report)(?: date| of)?[: ]+)?"
    r"(?:(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)|(?P<a>\d{1,2})[/.](?P<b>\d{1,2})[/.](?P<c>\d{4}|\d\d))\b"
)


def order_of(text: str, spans: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The start of each sentence -> how late its part is; empty where all of it is of one time."""
    keys: list[tuple[int, int, int]] = []
    now, found, later = (1, 0, 0), False, 0
    for start, end in spans:
        mark = _mark(text[start:end])
        if mark is not None:
            found, later = True, later + 1
            rank, moment = mark
            now = (rank, moment, later)
        keys.append(now)
    if not found or len(set(keys)) < 2:
        return {}
    ranks = {key: n for n, key in enumerate(sorted(set(keys)))}
    return {start: ranks[key] for (start, _), key in zip(spans, keys, strict=True)}


def _mark(sentence: str) -> tuple[int, int] | None:
    """What a sentence opens: a preliminary part, one of some day, a final one, an addendum; and its day or number."""
    if _PRELIMINARY.match(sentence):
        return 0, 0
    if dated := _DATED.match(sentence):
        return 1, _day(dated)
    if numbered := _NUMBERED.match(sentence):
        return 1, int(numbered[1])
    if _FINAL.match(sentence):
        return 2, 0
    return (3, 0) if _ADDENDUM.match(sentence) else None


def _day(match: re.Match[str]) -> int:
    """As a number that grows with time. Of two numbers under 13 the first is the month."""
    if match["y"]:
        return int(match["y"] + match["m"] + match["d"])
    a, b, c = (int(match[name]) for name in "abc")
    month, day = (b, a) if a > 12 else (a, b)
    return (c if c > 99 else 2000 + c) * 10_000 + month * 100 + day
