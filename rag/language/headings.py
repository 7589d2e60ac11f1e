"""Under which heading each sentence of a report stands: "IMPRESSION:", "Clinical history -"."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADING = re.compile(r"[\s*#_>\-\u2022]*(?:\d{1,2}[.)]\s*)?(?P<name>[A-Z][A-Za-z/ ]{1,40}?)[*_ ]*:(?!\d)")


def headings_of(text: str, spans: Sequence[tuple[int, int]]) -> dict[int, str]:
    """The start of each sentence -> the heading that it stands under, in small letters; "" before the first.

    A heading holds until the next one. ``spans`` are the sentences' in ``text``, in order.

    >>> headings_of("FINDINGS: Clear. No effusion. IMPRESSION: Normal.", [(0, 16), (17, 29), (30, 49)])
    {0: 'findings', 17: 'findings', 30: 'impression'}
    """
    found: dict[int, str] = {}
    here = ""
    for start, end in spans:
        if heading := _HEADING.match(text, start, end):
            here = heading["name"].strip().lower()
        found[start] = here
    return found
