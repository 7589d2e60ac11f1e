"""How a question names a study: after the word "study" or "case", in quotation marks, or by an id of some length.

Short ids are words of medicine, too ("B12", "T4", "a"): they name a study only after its word, or in quotation marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_QUOTED = re.compile(r"[\"\u201c']([^\"\u201c\u201d']{1,200})[\"\u201d'](?!\w)")
_MARKS = "\\s?,;!\"\u201c\u201d'"
_AFTER_WORD = re.compile(rf"\b(?:study|case)\s+(?:id\s+|no\.?\s+|number\s+)?([^{_MARKS}]*\d[^{_MARKS}]*)", re.I)
_IDENTIFIER = re.compile(r"[^\W_][\w./:-]{2,}")
_SHORT = 2  # characters
_LEAST = 3  # digits of a number that names a study without a letter


def named_after_word(text: str) -> str | None:
    """The id that "study" or "case" stands before. It has a digit, and a letter or several digits."""
    for match in _AFTER_WORD.finditer(text):
        name = match[1].rstrip(".:/-")
        if sum(c.isdigit() for c in name) >= _LEAST or any(c.isalpha() for c in name):
            return name
    return None


def names_in(text: str) -> Iterator[str]:
    """What may be ids: all that stands in quotation marks, and words of four characters and more with a digit."""
    yield from (m[1].strip() for m in _QUOTED.finditer(text))
    for word in _IDENTIFIER.findall(text):
        name = word.rstrip(".:/-")
        if len(name) > 3 and any(c.isdigit() for c in name) and any(c.isalpha() for c in name):
            yield name


def spellings(name: str) -> tuple[str, ...]:
    """An id as it stands, and with its accents composed and apart."""
    return tuple(dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))))


def without_study(text: str, study: str) -> str:
    """The question without the words that name its study."""
    for name in (*spellings(study), named_after_word(text) or study):
        exact = re.escape(name)
        whole = rf"[\"\u201c']{exact}[\"\u201d']|(?:(?<=study )|(?<=case )){exact}(?!\w)"
        if len(name) > _SHORT:  # "a" is a word wherever it does not stand in quotation marks
            whole += rf"|(?<!\w){exact}(?!\w)"
        text = re.sub(whole, " ", text, flags=re.I)
    return text
