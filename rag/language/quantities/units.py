"""Units with their prefixes and denominators, brought to one unit for each dimension."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rag.language.quantities.numerals import RAISED, SUPERSCRIPT, plain
from rag.language.tokens import Token

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


class Unit(NamedTuple):
    """A unit that ends before token ``last``."""

    dimension: str
    factor: float
    last: int


def read_unit(tokens: Sequence[Token], j: int) -> Unit | None:
    """The unit at token ``j`` with its denominators: "mg", "mg/dL", "ml/min/1.73 m2"."""
    first = _simple(tokens, j)
    if first is None:
        if j + 1 < len(tokens) and tokens[j].text == "/" and (per := _simple(tokens, j + 1)) is not None:
            return Unit(f"per {per.dimension}", 1 / per.factor, per.last)  # "150 × 10⁹/L"
        return None
    dimension, factor, last = first
    while last + 1 < len(tokens) and tokens[last].word in ("/", "per"):
        per = _simple(tokens, last + 1)
        if per is None and plain(tokens[last + 1]) is not None:  # "/1.73 m2"
            per = _simple(tokens, last + 2)
        if per is None:
            break
        dimension, factor, last = f"{dimension}/{per.dimension}", factor / per.factor, per.last
    return Unit(dimension, factor, last)


def _simple(tokens: Sequence[Token], j: int) -> Unit | None:
    if j >= len(tokens):
        return None
    if tokens[j].word == "mm" and j + 1 < len(tokens) and tokens[j + 1].word == "hg":
        return Unit("pressure", 1.0, j + 2)
    symbol = re.fullmatch(r"([^\W\d_]+|%|\u00b0|\u2030)(\d?)", tokens[j].text)
    if symbol is None:
        return None
    named = symbol[1]
    known = _UNITS.get(tokens[j].word) or _UNITS.get(tokens[j].lemma) or _prefixed(named) or _prefixed(named.lower())
    if known is None:
        return None
    last, power = j + 1, int(symbol[2] or 1)
    if last < len(tokens) and RAISED.fullmatch(tokens[last].text) and tokens[last].start == tokens[j].end:
        power, last = int(tokens[last].text.translate(SUPERSCRIPT).strip("+-") or 1), last + 1
    dimension = known[0] if power == 1 else f"{known[0]}^{power}"
    return Unit(dimension, float(known[1]) ** power, last)


def _prefixed(symbol: str) -> tuple[str, float] | None:
    for n in range(min(2, len(symbol) - 1), -1, -1):
        prefix, base = symbol[:n], symbol[n:]
        if prefix in _PREFIXES and base in _SYMBOLS and (prefix or base not in _NEEDS_PREFIX):
            dimension, factor = _SYMBOLS[base]
            return dimension, factor * _PREFIXES[prefix]
    return None
