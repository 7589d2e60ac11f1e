"""Numbers with their units, brought to one unit, so that "4.2 cm" is "42 mm" and is not "2.4 cm"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.language.tokens import Token

_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "single": 1,
    "solitary": 1, "once": 1, "twice": 2,
}  # fmt: skip
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
# unit -> (dimension, factor to the dimension's first unit)
_UNITS: dict[str, tuple[str, float]] = {
    "mm": ("length", 1), "millimeter": ("length", 1), "millimetre": ("length", 1), "cm": ("length", 10),
    "centimeter": ("length", 10), "centimetre": ("length", 10), "m": ("length", 1000), "meter": ("length", 1000),
    "um": ("length", 0.001), "\u00b5m": ("length", 0.001), "\u03bcm": ("length", 0.001), "micron": ("length", 0.001),
    "micrometer": ("length", 0.001), "inch": ("length", 25.4),
    "%": ("percent", 1), "percent": ("percent", 1),
    "g": ("mass", 1), "gram": ("mass", 1), "gm": ("mass", 1), "kg": ("mass", 1000), "kilogram": ("mass", 1000),
    "mg": ("mass", 0.001), "milligram": ("mass", 0.001), "mcg": ("mass", 1e-6), "microgram": ("mass", 1e-6),
    "ml": ("volume", 1), "milliliter": ("volume", 1), "millilitre": ("volume", 1), "cc": ("volume", 1),
    "l": ("volume", 1000),     "liter": ("volume", 1000), "litre": ("volume", 1000), "dl": ("volume", 100),
    "mmhg": ("pressure", 1), "hour": ("time", 1), "hr": ("time", 1), "day": ("time", 24), "week": ("time", 168),
    "month": ("time", 730), "year": ("time", 8760), "minute": ("time", 1 / 60), "min": ("time", 1 / 60),
    "hu": ("density", 1), "hounsfield": ("density", 1), "bpm": ("rate", 1), "diopter": ("refraction", 1),
    "degree": ("angle", 1), "gy": ("dose", 1), "fold": ("fold", 1), "time": ("times", 1), "mmol": ("amount", 1),
}  # fmt: skip
_MEASURED = frozenset({"length", "mass", "volume", "amount"})
_SCALES = frozenset({"grade", "stage", "class", "type", "level", "score", "birads", "phase", "day"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NO_COUNT = frozenset(
    {"in", "of", "on", "at", "and", "or", "the", "is", "was", "were", "are", ".", ",", ";", ")", "to", "x"}
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value of one dimension at tokens[first:last]; ``count`` and ``number`` have no unit.

    ``stated`` is the number as it stands, before its unit was taken into account.
    """

    dimension: str
    value: float
    first: int
    last: int
    stated: float = math.nan

    @property
    def plain(self) -> bool:
        """Whether it has no unit."""
        return self.dimension in ("count", "number")


def quantities_of(tokens: Sequence[Token]) -> list[Quantity]:
    """Every quantity, in order: lengths in mm, masses in g, volumes in ml, times in hours.

    "3 x 4 cm" are two lengths, "20/40" is one ratio, "three of twelve" one share, "a 54-year-old" an age.
    """
    found: list[Quantity] = []
    i = 0
    while i < len(tokens):
        quantity = _ratio(tokens, i) or _share(tokens, i) or _scaled(tokens, i) or _measured(tokens, i)
        if quantity is None:
            i += 1
        else:
            found.append(quantity)
            i = quantity.last
    return found


def same_quantity(a: Quantity, b: Quantity) -> bool:
    """Equal in one dimension; lengths and the like to three figures. A unit may be left out on one side."""
    if a.plain != b.plain and a.stated == b.stated:
        return True
    rounding = 0.005 * max(abs(a.value), abs(b.value)) if a.dimension in _MEASURED else 1e-9
    return a.dimension == b.dimension and abs(a.value - b.value) <= rounding


def _number(token: Token) -> float | None:
    if _NUMBER.fullmatch(token.text):
        text = token.text
        if re.fullmatch(r"\d{1,3}(?:,\d{3})+", text):
            text = text.replace(",", "")
        try:
            return float(text.replace(",", "."))
        except ValueError:  # "1.2.3" is no number
            return None
    value = _WORDS.get(token.word)
    return None if value is None else float(value)


def _ratio(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "20/40", "120/80"."""
    if i + 2 < len(tokens) and tokens[i + 1].text == "/" and tokens[i].end == tokens[i + 1].start:
        a, b = _number(tokens[i]), _number(tokens[i + 2])
        if a is not None and b is not None:
            return Quantity("ratio", a * 1000 + b, i, i + 3)
    return None


def _share(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "three of twelve", "3 out of 12"."""
    a = _number(tokens[i])
    j = i + 1 + (1 if [t.word for t in tokens[i + 1 : i + 3]] == ["out", "of"] else 0)
    if a is not None and j + 1 < len(tokens) and tokens[j].word == "of" and (b := _number(tokens[j + 1])) is not None:
        return Quantity("share", a * 1000 + b, i, j + 2)
    return None


def _scaled(tokens: Sequence[Token], i: int) -> Quantity | None:
    """ "grade 2", "stage IIIA"."""
    if tokens[i].lemma not in _SCALES or i + 1 >= len(tokens):
        return None
    following = tokens[i + 1]
    value = _number(following)
    roman = re.fullmatch(r"(i{1,3}|iv|vi?)([a-c]?)", following.word)
    if value is None and roman:
        value = _ROMAN[roman[1]] + (ord(roman[2]) - 96) / 10 if roman[2] else float(_ROMAN[roman[1]])
    return None if value is None else Quantity(tokens[i].lemma, value, i, i + 2)


def _measured(tokens: Sequence[Token], i: int) -> Quantity | None:
    value = _number(tokens[i])
    if value is None or (i and tokens[i - 1].end == tokens[i].start and tokens[i - 1].text.isalpha()):
        return None  # "HER2", "T2" are names
    j = i + 1
    while j < len(tokens) and tokens[j].text == "-" and j == i + 1:
        j += 1
    unit = _unit(tokens, j)
    if (
        unit is None and j < len(tokens) and tokens[j].word in ("x", "by", "\u00d7")
    ):  # the unit of "3 x 4 cm" comes last
        unit = next((u for k in range(j + 1, min(j + 6, len(tokens))) if (u := _unit(tokens, k))), None)
        if unit is not None:
            return Quantity(unit[0], value * unit[1], i, i + 1, value)
    if unit is not None:
        dimension, factor, last = unit
        if dimension == "time" and any(t.word == "old" for t in tokens[last : last + 2]):
            return Quantity("age", value * factor, i, last + 1, value)
        return Quantity(dimension, value * factor, i, last, value)
    if 1900 <= value <= 2100 and value.is_integer() and i and tokens[i - 1].word in ("in", "since", "of", "until"):
        return Quantity("calendar", value, i, i + 1, value)
    counted = j < len(tokens) and tokens[j].text.isalpha() and tokens[j].word not in _NO_COUNT
    return Quantity("count" if counted and value.is_integer() else "number", value, i, i + 1, value)


def _unit(tokens: Sequence[Token], j: int) -> tuple[str, float, int] | None:
    """(dimension, factor, end) of a unit at token ``j``."""
    if j >= len(tokens):
        return None
    if tokens[j].word == "mm" and j + 1 < len(tokens) and tokens[j + 1].word == "hg":
        return ("pressure", 1.0, j + 2)
    known = _UNITS.get(tokens[j].word) or _UNITS.get(tokens[j].lemma)
    return None if known is None else (known[0], float(known[1]), j + 1)
