"""Whose a printed page is, as the page says itself: hospitals send the reports of a day as one file.

Only whether two pages name the same patient is asked, and nothing of what is found is kept. Presidio and our own rules
for identifiers find names wherever they stand; here it matters that the page calls somebody its patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(
    r"\b(?:MRN|PID|medical record (?:no|number)|patient(?:en)?[ -]?(?:id|no|nr|nummer|number)|pat\.?[ -]?(?:id|nr)|"
    r"hospital (?:no|number)|nhs (?:no|number)|n[°º] de historia|nhc)\b[\s.:#|]{0,5}(?=[\w./-]*\d)(\w[\w./-]{1,30})",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?:^|\|)\s*(?:patient|patient'?s? name|name of patient|patientin?|paciente)\s*[:|]\s*"
    r"([^\d:|]{3,60}?)(?=\s*(?:$|\||\d|\b(?:mrn|dob|born|geb|date|id|age|sex|gender)\b))",
    re.IGNORECASE,
)


def owners_of(pages: Sequence[Iterable[str]]) -> list[int]:
    """For each page, given by its lines, the number from 0 of the page that first names the same patient.

    A page that names nobody goes on with the one before. Numbers count, and names only where no page has a number.

    >>> owners_of([["Patient: Doe, Jane  MRN: 100"], ["Page 2"], ["Patient: Roe, Rick  MRN: 101"], ["MRN 100"]])
    [0, 0, 2, 0]
    """
    lines = [list(page) for page in pages]
    named = [_found(_NUMBER, page) for page in lines]
    if not any(named):
        named = [_found(_NAME, page) for page in lines]
    first: dict[str, int] = {}
    owners, owner = [], 0
    for number, name in enumerate(named):
        if name:
            # What stands before the first name belongs to whoever is named first.
            owner = first.setdefault(name, number if first else 0)
        owners.append(owner)
    return owners


def _found(pattern: re.Pattern[str], lines: Iterable[str]) -> str:
    """The first that is named, as it compares: letters and digits, without zeros in front."""
    for line in lines:
        if found := pattern.search(line):
            return "".join(c for c in found[1].casefold() if c.isalnum()).lstrip("0")
    return ""
