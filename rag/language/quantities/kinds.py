"""What a number is of: a date, a ratio, a share, a grade, a level of the spine, a measure, a count."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.language.quantities.numerals import plain, read_number
from rag.language.quantities.quantity import Quantity
from rag.language.quantities.units import Unit, read_unit
from rag.language.tokens import Token

_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
_MONTHS = {
    name: n
    for n, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), start=1,
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS = {
    day: n
    for n, day in enumerate(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], start=1)
}
_SCALES = frozenset(
    {"grade", "stage", "class", "type", "level", "score", "birads", "phase", "day", "category", "group"}
)
_SCALE_LINKS = frozenset({":", "is", "of", "category", "score", "grade", "was", "="})
_NO_COUNT = frozenset(
    {"in", "of", "on", "at", "and", "or", "the", "is", "was", "were", "are", ".", ",", ";", ")", "to", "x", "with",
     "for", "from", "by", "versus", "vs", "compared", "than", "but", "has", "had", "after", "before"}
)  # fmt: skip


def read_date(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "12/03/2019", "2019-06-12": one number for three."""
    if i + 4 >= len(tokens) or any(tokens[j].end != tokens[j + 1].start for j in range(i, i + 4)):
        return None
    mark = tokens[i + 1].text
    parts = [tokens[j].text for j in (i, i + 2, i + 4)]
    if mark not in "/-." or tokens[i + 3].text != mark or not all(p.isdigit() for p in parts):
        return None
    a, b, c = (int(p) for p in parts)
    return Quantity("date", a * 1e8 + b * 1e4 + c, i, i + 5)


def read_ratio(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "20/40", "120/80", "1:100"."""
    if i + 2 < len(tokens) and tokens[i + 1].text in "/:" and tokens[i].end == tokens[i + 1].start:
        a, b = plain(tokens[i]), plain(tokens[i + 2])
        if a is not None and b is not None and tokens[i + 1].end == tokens[i + 2].start:
            unit = read_unit(tokens, i + 3)
            of, last = (f"ratio {unit.dimension}", unit.last) if unit else ("ratio", i + 3)
            return Quantity(of, a * 1e6 + b, i, last)
    return None


def read_share(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "three of twelve", "3 out of 12"."""
    a = plain(tokens[i])
    j = i + 1 + (1 if [t.word for t in tokens[i + 1 : i + 3]] == ["out", "of"] else 0)
    if a is not None and j + 1 < len(tokens) and tokens[j].word == "of" and (b := plain(tokens[j + 1])) is not None:
        return Quantity("share", a * 1e6 + b, i, j + 2)
    return None


def read_grade(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "grade 2", "stage IIIA", "BI-RADS 4b"."""
    name, j = tokens[i].lemma, i + 1
    if [t.word for t in tokens[i + 1 : i + 3]] == ["-", "rads"]:
        name, j = f"{name}rads", i + 3
    elif name not in _SCALES:
        return None
    if j < len(tokens) and tokens[j].word in _SCALE_LINKS:
        j += 1
    if j >= len(tokens):
        return None
    value = plain(tokens[j])
    roman = re.fullmatch(r"(i{1,3}|iv|vi?)([a-c]?)", tokens[j].word)
    if value is None and roman:
        value = _ROMAN[roman[1]] + (ord(roman[2]) - 96) / 10 if roman[2] else float(_ROMAN[roman[1]])
    if value is None:
        return None
    last = j + 1
    if last < len(tokens) and tokens[last].start == tokens[j].end and tokens[last].word in ("a", "b", "c", "d"):
        value, last = value + (ord(tokens[last].word) - 96) / 10, last + 1
    return Quantity(name, value, i, last)


def read_level(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "L4", "T12", "C5"."""
    if re.fullmatch(r"[CTLS]\d{1,2}", tokens[i].text) is None:
        return None
    return Quantity("vertebra", "CTLS".index(tokens[i].text[0]) * 100 + int(tokens[i].text[1:]), i, i + 1)


def read_calendar(tokens: Sequence[Token], i: int) -> Quantity | None:
    """A month or a weekday that is named; "may" and "march" only beside a number."""
    word = tokens[i].word
    if (day := _WEEKDAYS.get(word)) is not None:
        return Quantity("weekday", day, i, i + 1)
    month = _MONTHS.get(word)
    if month is None or not tokens[i].text[0].isupper():
        return None
    beside = [tokens[j] for j in (i - 1, i + 1) if 0 <= j < len(tokens)]
    dated = any(plain(t) is not None for t in beside) or (i and tokens[i - 1].word in ("in", "since", "until", "by"))
    return Quantity("calendar month", month, i, i + 1) if dated or len(word) > 5 else None


def read_measure(tokens: Sequence[Token], i: int) -> Quantity | None:
    if i and tokens[i - 1].end == tokens[i].start and tokens[i - 1].text.isalpha() and tokens[i].text[0].isdigit():
        return None  # "HER2", "T2" are names
    numeral = read_number(tokens, i)
    if numeral is None:
        return None
    value, after = numeral
    j = after + 1 if after < len(tokens) and tokens[after].text == "-" else after
    unit = read_unit(tokens, j)
    if unit is None and after < len(tokens):
        unit = _unit_of_the_last(tokens, after)
        if unit is not None:
            return Quantity(unit.dimension, value * unit.factor, i, after, value)
    if unit is not None:
        if unit.dimension == "time" and any(t.word == "old" for t in tokens[unit.last : unit.last + 2]):
            return Quantity("age", value * unit.factor, i, unit.last + 1, value)
        return Quantity(unit.dimension, value * unit.factor, i, unit.last, value)
    if 1900 <= value <= 2100 and value.is_integer() and i:
        before = tokens[i - 1].word
        if before in ("in", "since", "of", "until", ",") or before in _MONTHS:
            return Quantity("calendar", value, i, after, value)
    counted = j < len(tokens) and tokens[j].text.isalpha() and tokens[j].word not in _NO_COUNT
    counted |= tokens[i].text.isalpha()  # "one of the bases" is no number without its unit
    return Quantity("count" if counted and value.is_integer() else "number", value, i, after, value)


def _unit_of_the_last(tokens: Sequence[Token], i: int) -> Unit | None:
    """The unit of "3 x 4 cm", "5-10 mm", "4 to 9 mm" comes last."""
    for _ in range(3):
        if i + 1 >= len(tokens) or tokens[i].word not in ("x", "by", "\u00d7", "to", "-", "\u2013", "and", "or"):
            return None
        numeral = read_number(tokens, i + 1)
        if numeral is None:
            return None
        i = numeral.last
        if (unit := read_unit(tokens, i)) is not None:
            return unit
    return None
