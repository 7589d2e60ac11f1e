"""From a question in free text to an FTS5 expression that cannot fail."""

from __future__ import annotations

import re
import unicodedata

MAX_TERMS = 64
# A question longer than this is cut before it is tokenised: 64 terms come long before.
_MAX_CHARACTERS = 20_000

# FTS5's unicode61 keeps letters and digits; the underscore separates there, so it does here.
_TERM = re.compile(r"[^\W_]+")

# "no", "not" and "without" carry clinical meaning and stay.
STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being between both but by can could
    did do does doing done during each either for from further had has have having he her here hers him his how i if in
    into is it its just may me might more most must my of off on once only or other our out over own please same she
    should so some such tell than that the their them then there these they this those through to too under until up us
    very was we were what when where whether which while who whom why will with would you your""".split()  # noqa: SIM905 - a list of words is read as one
)


def terms_of(query: str) -> list[str]:
    """The distinct terms of a free text, in order, at most 64, without stop words.

    A stop word in capitals among other writing is an abbreviation (US, AS, ALL) and stays.
    """
    text = unicodedata.normalize("NFKC", query[:_MAX_CHARACTERS])
    shouting = text.upper() == text
    terms: dict[str, None] = {}
    for word in _TERM.findall(text):
        abbreviation = len(word) > 1 and word.isupper() and not shouting
        if word.lower() in STOP_WORDS and not abbreviation:
            continue
        terms[word.lower()] = None
        if len(terms) == MAX_TERMS:
            break
    return list(terms)


def match_expression(query: str) -> str | None:
    """An FTS5 expression that matches passages with any of the query's terms; None where no term is left."""
    terms = terms_of(query)
    return " OR ".join(f'"{term}"' for term in terms) if terms else None
