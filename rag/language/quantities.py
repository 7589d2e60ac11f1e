"""Numbers with their units, brought to one unit, so that "4.2 cm" is "42 mm" and is not "2.4 cm".

A number is read whole: its sign, its power of ten, its unit with the prefix and the denominator, and whether it is a
bound ("< 5 mm", "at least 5 mm"). Dates, ratios, shares and grades are numbers too. General readers of quantities
(pint, quantulum3) know neither grades and levels nor the denominators and abbreviations of laboratory values, and
guess where nothing is written; what is compared here must never be guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from rag.language.tokens import Token

Bound = Literal["", "<", "<=", ">", ">="]

_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "single": 1, "solitary": 1, "once": 1, "twice": 2,
}  # fmt: skip
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
_PREFIXES = {"p": 1e-12, "n": 1e-9, "\u00b5": 1e-6, "\u03bc": 1e-6, "u": 1e-6, "mc": 1e-6, "m": 1e-3, "c": 1e-2,
             "d": 1e-1, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}  # fmt: skip
# symbol -> (dimension, factor); with every prefix. Lengths are in mm, masses in g, volumes in ml, times in hours.
_SYMBOLS = {
    "m": ("length", 1e3), "g": ("mass", 1.0), "l": ("volume", 1e3), "L": ("volume", 1e3), "mol": ("amount", 1e3),
    "M": ("molar", 1e3), "eq": ("equivalents", 1.0), "Eq": ("equivalents", 1.0), "osm": ("osmoles", 1.0),
    "Osm": ("osmoles", 1.0), "U": ("units", 1.0), "IU": ("units", 1.0), "Gy": ("dose", 1.0), "Sv": ("sievert", 1.0),
    "Bq": ("activity", 1.0), "Ci": ("activity", 3.7e10), "Hz": ("frequency", 1.0), "Pa": ("pascal", 1.0),
    "s": ("time", 1 / 3600), "sec": ("time", 1 / 3600), "V": ("voltage", 1.0), "A": ("current", 1.0),
    "W": ("power", 1.0), "J": ("energy", 1.0), "cal": ("calories", 1.0), "T": ("tesla", 1.0), "B": ("decibel", 10.0),
}  # fmt: skip
# words and symbols without prefixes
_UNITS: dict[str, tuple[str, float]] = {
    "millimeter": ("length", 1), "millimetre": ("length", 1), "centimeter": ("length", 10),
    "centimetre": ("length", 10), "meter": ("length", 1000), "metre": ("length", 1000), "micron": ("length", 0.001),
    "micrometer": ("length", 0.001), "inch": ("length", 25.4),
    "%": ("percent", 1), "percent": ("percent", 1), "\u2030": ("percent", 0.1),
    "gram": ("mass", 1), "gm": ("mass", 1), "kilogram": ("mass", 1000), "milligram": ("mass", 0.001),
    "microgram": ("mass", 1e-6), "nanogram": ("mass", 1e-9), "lb": ("mass", 453.6), "pound": ("mass", 453.6),
    "milliliter": ("volume", 1), "millilitre": ("volume", 1), "cc": ("volume", 1),
    "liter": ("volume", 1000), "litre": ("volume", 1000),
    "mmhg": ("pressure", 1), "hour": ("time", 1), "hr": ("time", 1), "h": ("time", 1), "day": ("time", 24),
    "week": ("time", 168), "month": ("time", 730), "year": ("time", 8760), "yr": ("time", 8760),
    "decade": ("time", 87600), "y": ("time", 8760),
    "minute": ("time", 1 / 60), "min": ("time", 1 / 60), "second": ("time", 1 / 3600),
    "hu": ("density", 1), "hounsfield": ("density", 1), "bpm": ("rate", 1), "diopter": ("refraction", 1),
    "dioptre": ("refraction", 1), "degree": ("angle", 1), "\u00b0": ("angle", 1), "fold": ("fold", 1),
    "time": ("times", 1), "unit": ("units", 1), "iu": ("units", 1), "meq": ("equivalents", 0.001),
    "mosm": ("osmoles", 0.001), "gray": ("dose", 1), "tablet": ("tablets", 1), "drop": ("drops", 1),
    "puff": ("puffs", 1), "vial": ("vials", 1), "cell": ("cells", 1), "copy": ("copies", 1), "hpf": ("fields", 1),
}  # fmt: skip
_NEEDS_PREFIX = frozenset("MABTVWJ")  # a lone capital is more often a name
_MEASURED = frozenset({"length", "mass", "volume", "amount"})
_SCALES = frozenset(
    {"grade", "stage", "class", "type", "level", "score", "birads", "phase", "day", "category", "group"}
)
_SCALE_LINKS = frozenset({":", "is", "of", "category", "score", "grade", "was", "="})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MINUS = frozenset("-\u2212\u2013\u2010\u2011")
_TIMES = frozenset({"x", "\u00d7", "*", "\u00b7"})
_SUPERSCRIPT = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+")
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]")
_NO_COUNT = frozenset(
    {"in", "of", "on", "at", "and", "or", "the", "is", "was", "were", "are", ".", ",", ";", ")", "to", "x", "with",
     "for", "from", "by", "versus", "vs", "compared", "than", "but", "has", "had", "after", "before"}
)  # fmt: skip
_MORE = frozenset(
    [
        "more",
        "greater",
        "larger",
        "bigger",
        "longer",
        "older",
        "higher",
        "wider",
        "thicker",
        "deeper",
        "heavier",
        "taller",
        "later",
    ]
)
_LESS = frozenset(
    ["less", "fewer", "smaller", "shorter", "younger", "lower", "narrower", "thinner", "lighter", "earlier"]
)
_SYMBOL_BOUNDS: dict[str, Bound] = {"<": "<", ">": ">", "\u2264": "<=", "\u2265": ">=", "\u2a7d": "<=", "\u2a7e": ">="}
_WORD_BOUNDS: dict[tuple[str, ...], Bound] = {
    ("at", "least"): ">=", ("at", "most"): "<=", ("up", "to"): "<=", ("over",): ">", ("above",): ">",
    ("exceeding",): ">", ("exceeds",): ">", ("exceeded",): ">", ("under",): "<", ("below",): "<",
    ("minimum", "of"): ">=", ("maximum", "of"): "<=",
}  # fmt: skip
_OPPOSITE: dict[Bound, Bound] = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "": ""}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value of one dimension at tokens[first:last]; ``count`` and ``number`` have no unit.

    ``stated`` is the number as it stands, before its unit was taken into account. ``bound`` says on which side of it
    the thing lies, where it is not equal; ``end`` says of a change or range whether it is where that begins or ends.
    """

    dimension: str
    value: float
    first: int
    last: int
    stated: float = math.nan
    bound: Bound = ""
    end: Literal["", "from", "to"] = ""

    @property
    def plain(self) -> bool:
        """Whether it has no unit."""
        return self.dimension in ("count", "number")


def quantities_of(tokens: Sequence[Token]) -> list[Quantity]:
    """Every quantity, in order: lengths in mm, masses in g, volumes in ml, times in hours.

    "3 x 4 cm" are two lengths, "20/40" is one ratio, "three of twelve" one share, "a 54-year-old" an age, "June 2019" a
    month and a year.
    """
    found: list[Quantity] = []
    i = 0
    while i < len(tokens):
        quantity = (
            _date(tokens, i)
            or _ratio(tokens, i)
            or _share(tokens, i)
            or _scaled(tokens, i)
            or _vertebra(tokens, i)
            or _calendar(tokens, i)
            or _measured(tokens, i)
        )
        if quantity is None:
            i += 1
            continue
        quantity = _bounded(tokens, quantity)
        if found and (linked := _linked(tokens, found[-1], quantity)) is not None:
            found[-1], quantity = linked
        found.append(quantity)
        i = quantity.last
    return found


def same_quantity(a: Quantity, b: Quantity) -> bool:
    """Equal in one dimension and of one kind of bound; lengths and the like in two units to three figures.

    A unit may be left out on one side, where nothing stands in its place.
    """
    if a.bound != b.bound or (a.end and b.end and a.end != b.end):
        return False
    dimensions = {a.dimension, b.dimension}
    if len(dimensions) == 2 and "number" in dimensions:
        return a.stated == b.stated
    without_unit = "ratio" in dimensions and all(d.startswith("ratio") for d in dimensions)
    return (len(dimensions) == 1 or without_unit) and _equal(a, b)


def satisfies(said: Quantity, wanted: Quantity) -> bool:
    """Whether what is ``said`` makes ``wanted`` true: "8 mm" is "larger than 5 mm", and "> 5 mm" is not "8 mm"."""
    if same_quantity(said, wanted):
        return True
    if said.bound or not wanted.bound or said.dimension != wanted.dimension:
        return False
    above, equal = said.value > wanted.value, _equal(said, wanted)
    return {">": above and not equal, ">=": above or equal, "<": not above and not equal, "<=": not above or equal}[
        wanted.bound
    ]


def _equal(a: Quantity, b: Quantity) -> bool:
    """Exactly, but for the rounding of a number that was brought to another unit."""
    converted = a.dimension in _MEASURED and not math.isclose(a.value * b.stated, b.value * a.stated)
    return math.isclose(a.value, b.value, rel_tol=0.005 if converted else 1e-9)


# ------------------------------------------------------------------ numbers


class _Numeral(NamedTuple):
    """A number that ends before token ``last``."""

    value: float
    last: int


def _numeral(tokens: Sequence[Token], i: int) -> _Numeral | None:
    """The number at token ``i``: with its sign, a leading point, and a power of ten."""
    sign = 1.0
    if tokens[i].text in _MINUS and _opens_number(tokens, i):
        sign, i = -1.0, i + 1
    if i < len(tokens) and tokens[i].text == "." and _opens_number(tokens, i):  # ".5 mg"
        digits = tokens[i + 1].text
        if not digits.isdigit():
            return None
        value, last = float(f"0.{digits}"), i + 2
    else:
        plain = _plain(tokens[i]) if i < len(tokens) else None
        if plain is None:
            return None
        value, last = plain, i + 1
    value, last = _raised(tokens, value, last)
    if last + 1 < len(tokens) and tokens[last].text.lower() in _TIMES and tokens[last + 1].text == "10":
        power, after = _raised(tokens, 10.0, last + 2)
        if after > last + 2:
            value, last = value * power, after
    return _Numeral(sign * value, last)


def _opens_number(tokens: Sequence[Token], i: int) -> bool:
    """Whether the mark at token ``i`` belongs to the number after it, and not between two things."""
    if i + 1 >= len(tokens) or tokens[i].end != tokens[i + 1].start:
        return False
    follows = tokens[i + 1].text
    if not (follows[0].isdigit() or (follows == "." and tokens[i].text != ".")):
        return False
    before = tokens[i - 1] if i else None
    if before is None:
        return True
    if before.end == tokens[i].start:
        return before.text in ("(", "[", "<", ">", "=", "\u2264", "\u2265", "~", ":", *_MINUS)
    return _plain(before) is None  # "5 -20" is a range


def _raised(tokens: Sequence[Token], value: float, i: int) -> tuple[float, int]:
    """The value to the power written right after it: "10⁹", "10^9", "1.5e6"."""
    j, power = i, ""
    while j < len(tokens) and _RAISED.fullmatch(tokens[j].text) and tokens[j].start == tokens[j - 1].end:
        power += tokens[j].text.translate(_SUPERSCRIPT)
        j += 1
    if not power and j + 1 < len(tokens) and tokens[j].text == "^":
        j += 1
        if tokens[j].text in _MINUS and j + 1 < len(tokens):
            power, j = "-", j + 1
        power, j = power + tokens[j].text, j + 1
    try:
        if power:
            return float(value ** int(power)), j
        if j < len(tokens) and tokens[j].start == tokens[j - 1].end:
            if short := re.fullmatch(r"[eE](\d{1,2})", tokens[j].text):
                return value * 10.0 ** int(short[1]), j + 1
            negative = j + 2 < len(tokens) and tokens[j].word == "e" and tokens[j + 1].text in _MINUS
            if negative and tokens[j + 2].text.isdigit():
                return value * 10.0 ** -int(tokens[j + 2].text[:2]), j + 3
    except (ValueError, OverflowError):
        pass
    return value, i


def _plain(token: Token) -> float | None:
    if _NUMBER.fullmatch(token.text):
        text = token.text
        if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
            text = text.replace(",", "")
        try:
            return float(text.replace(",", "."))
        except ValueError:  # "1.2.3" is no number
            return None
    value = _WORDS.get(token.word)
    return None if value is None else float(value)


# ------------------------------------------------------------------ what a number is of


def _date(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "12/03/2019", "2019-06-12": one number for three."""
    if i + 4 >= len(tokens) or any(tokens[j].end != tokens[j + 1].start for j in range(i, i + 4)):
        return None
    mark = tokens[i + 1].text
    parts = [tokens[j].text for j in (i, i + 2, i + 4)]
    if mark not in "/-." or tokens[i + 3].text != mark or not all(p.isdigit() for p in parts):
        return None
    a, b, c = (int(p) for p in parts)
    return Quantity("date", a * 1e8 + b * 1e4 + c, i, i + 5)


def _ratio(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "20/40", "120/80", "1:100"."""
    if i + 2 < len(tokens) and tokens[i + 1].text in "/:" and tokens[i].end == tokens[i + 1].start:
        a, b = _plain(tokens[i]), _plain(tokens[i + 2])
        if a is not None and b is not None and tokens[i + 1].end == tokens[i + 2].start:
            unit = _unit(tokens, i + 3)
            of, last = (f"ratio {unit.dimension}", unit.last) if unit else ("ratio", i + 3)
            return Quantity(of, a * 1e6 + b, i, last)
    return None


def _share(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "three of twelve", "3 out of 12"."""
    a = _plain(tokens[i])
    j = i + 1 + (1 if [t.word for t in tokens[i + 1 : i + 3]] == ["out", "of"] else 0)
    if a is not None and j + 1 < len(tokens) and tokens[j].word == "of" and (b := _plain(tokens[j + 1])) is not None:
        return Quantity("share", a * 1e6 + b, i, j + 2)
    return None


def _scaled(tokens: Sequence[Token], i: int) -> Quantity | None:
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
    value = _plain(tokens[j])
    roman = re.fullmatch(r"(i{1,3}|iv|vi?)([a-c]?)", tokens[j].word)
    if value is None and roman:
        value = _ROMAN[roman[1]] + (ord(roman[2]) - 96) / 10 if roman[2] else float(_ROMAN[roman[1]])
    if value is None:
        return None
    last = j + 1
    if last < len(tokens) and tokens[last].start == tokens[j].end and tokens[last].word in ("a", "b", "c", "d"):
        value, last = value + (ord(tokens[last].word) - 96) / 10, last + 1
    return Quantity(name, value, i, last)


def _vertebra(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "L4", "T12", "C5"."""
    if re.fullmatch(r"[CTLS]\d{1,2}", tokens[i].text) is None:
        return None
    return Quantity("vertebra", "CTLS".index(tokens[i].text[0]) * 100 + int(tokens[i].text[1:]), i, i + 1)


def _calendar(tokens: Sequence[Token], i: int) -> Quantity | None:
    """A month or a weekday that is named; "may" and "march" only beside a number."""
    word = tokens[i].word
    if (day := _WEEKDAYS.get(word)) is not None:
        return Quantity("weekday", day, i, i + 1)
    month = _MONTHS.get(word)
    if month is None or not tokens[i].text[0].isupper():
        return None
    beside = [tokens[j] for j in (i - 1, i + 1) if 0 <= j < len(tokens)]
    dated = any(_plain(t) is not None for t in beside) or (i and tokens[i - 1].word in ("in", "since", "until", "by"))
    return Quantity("calendar month", month, i, i + 1) if dated or len(word) > 5 else None


def _measured(tokens: Sequence[Token], i: int) -> Quantity | None:
    if i and tokens[i - 1].end == tokens[i].start and tokens[i - 1].text.isalpha() and tokens[i].text[0].isdigit():
        return None  # "HER2", "T2" are names
    numeral = _numeral(tokens, i)
    if numeral is None:
        return None
    value, after = numeral
    j = after + 1 if after < len(tokens) and tokens[after].text == "-" else after
    unit = _unit(tokens, j)
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


def _unit_of_the_last(tokens: Sequence[Token], i: int) -> _Unit | None:
    """The unit of "3 x 4 cm", "5-10 mm", "4 to 9 mm" comes last."""
    for _ in range(3):
        if i + 1 >= len(tokens) or tokens[i].word not in ("x", "by", "\u00d7", "to", "-", "\u2013", "and", "or"):
            return None
        numeral = _numeral(tokens, i + 1)
        if numeral is None:
            return None
        i = numeral.last
        if (unit := _unit(tokens, i)) is not None:
            return unit
    return None


class _Unit(NamedTuple):
    """A unit that ends before token ``last``."""

    dimension: str
    factor: float
    last: int


def _unit(tokens: Sequence[Token], j: int) -> _Unit | None:
    """The unit at token ``j`` with its denominators: "mg", "mg/dL", "ml/min/1.73 m2"."""
    first = _simple(tokens, j)
    if first is None:
        if j + 1 < len(tokens) and tokens[j].text == "/" and (per := _simple(tokens, j + 1)) is not None:
            return _Unit(f"per {per.dimension}", 1 / per.factor, per.last)  # "150 × 10⁹/L"
        return None
    dimension, factor, last = first
    while last + 1 < len(tokens) and tokens[last].word in ("/", "per"):
        per = _simple(tokens, last + 1)
        if per is None and _plain(tokens[last + 1]) is not None:  # "/1.73 m2"
            per = _simple(tokens, last + 2)
        if per is None:
            break
        dimension, factor, last = f"{dimension}/{per.dimension}", factor / per.factor, per.last
    return _Unit(dimension, factor, last)


def _simple(tokens: Sequence[Token], j: int) -> _Unit | None:
    if j >= len(tokens):
        return None
    if tokens[j].word == "mm" and j + 1 < len(tokens) and tokens[j + 1].word == "hg":
        return _Unit("pressure", 1.0, j + 2)
    symbol = re.fullmatch(r"([^\W\d_]+|%|\u00b0|\u2030)(\d?)", tokens[j].text)
    if symbol is None:
        return None
    named = symbol[1]
    known = _UNITS.get(tokens[j].word) or _UNITS.get(tokens[j].lemma) or _prefixed(named) or _prefixed(named.lower())
    if known is None:
        return None
    last, power = j + 1, int(symbol[2] or 1)
    if last < len(tokens) and _RAISED.fullmatch(tokens[last].text) and tokens[last].start == tokens[j].end:
        power, last = int(tokens[last].text.translate(_SUPERSCRIPT).strip("+-") or 1), last + 1
    dimension = known[0] if power == 1 else f"{known[0]}^{power}"
    return _Unit(dimension, float(known[1]) ** power, last)


def _prefixed(symbol: str) -> tuple[str, float] | None:
    for n in range(min(2, len(symbol) - 1), -1, -1):
        prefix, base = symbol[:n], symbol[n:]
        if prefix in _PREFIXES and base in _SYMBOLS and (prefix or base not in _NEEDS_PREFIX):
            dimension, factor = _SYMBOLS[base]
            return dimension, factor * _PREFIXES[prefix]
    return None


# ------------------------------------------------------------------ bounds, ranges and changes


def _bounded(tokens: Sequence[Token], q: Quantity) -> Quantity:
    """With the bound that the words before or after it give."""
    i = q.first
    if i and (sign := _SYMBOL_BOUNDS.get(tokens[i - 1].text)):
        return replace(q, bound=sign, first=i - 1)
    if i > 1 and tokens[i - 1].text == "=" and (sign := _SYMBOL_BOUNDS.get(tokens[i - 2].text)):
        return replace(q, bound=">=" if sign == ">" else "<=", first=i - 2)
    if i > 2 and [t.word for t in tokens[i - 2 : i]] == ["or", "="] and tokens[i - 3].text in "<>":
        return replace(q, bound=">=" if tokens[i - 3].text == ">" else "<=", first=i - 3)
    if i > 1 and tokens[i - 1].word == "than":
        word = tokens[i - 2].word
        bound: Bound = ">" if word in _MORE else "<" if word in _LESS else ""
        if bound:
            denied = i > 2 and tokens[i - 3].word in ("no", "not")
            return replace(q, bound=_OPPOSITE[bound] if denied else bound, first=i - (3 if denied else 2))
        if i > 4 and [t.word for t in tokens[i - 3 : i - 1]] == ["equal", "to"]:
            return q
    for words, meant in _WORD_BOUNDS.items():
        if i >= len(words) and tuple(t.word for t in tokens[i - len(words) : i]) == words:
            if i > len(words) and _plain(tokens[i - len(words) - 1]) is not None:
                break  # "120 over 80"
            return replace(q, bound=meant, first=i - len(words))
    following = [t.word for t in tokens[q.last : q.last + 2]]
    if len(following) == 2 and following[0] in ("or", "and") and following[1] in _MORE | _LESS | {"above", "below"}:
        more = following[1] in _MORE or following[1] == "above"
        return replace(q, bound=">=" if more else "<=", last=q.last + 2)
    return q


def _linked(tokens: Sequence[Token], a: Quantity, b: Quantity) -> tuple[Quantity, Quantity] | None:
    """The two as begin and end of a range or a change: "from 4 mm to 9 mm", "5-10 mm", "between 4 and 9"."""
    between = [t.word for t in tokens[a.last : b.first]]
    before = tokens[a.first - 1].word if a.first else ""
    joined = between in (["to"], ["-"], ["\u2013"], ["\u2192"]) or (between == ["and"] and before == "between")
    if between == ["up", "to"] or not (joined or (before == "from" and between[:1] == ["to"])):
        return None
    return replace(a, end="from"), replace(b, end="to")
