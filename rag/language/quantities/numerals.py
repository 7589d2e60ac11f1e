"""Numbers as they are written: digits, words, signs, powers of ten, fractions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from rag.language.tokens import Token

_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "single": 1, "solitary": 1, "once": 1, "twice": 2,
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MINUS = frozenset("-\u2212\u2013\u2010\u2011")
_FRACTIONS = frozenset("\u00bc\u00bd\u00be\u2153\u2154\u215b\u215c\u215d\u215e")
_TIMES = frozenset({"x", "\u00d7", "*", "\u00b7"})
SUPERSCRIPT = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+")
RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]")


class Numeral(NamedTuple):
    """A number that ends before token ``last``."""

    value: float
    last: int


def read_number(tokens: Sequence[Token], i: int) -> Numeral | None:
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
        bare = plain(tokens[i]) if i < len(tokens) else None
        if bare is None:
            return None
        value, last = bare, i + 1
    if last < len(tokens) and tokens[last].start == tokens[last - 1].end and tokens[last].text in _FRACTIONS:
        value, last = value + unicodedata.numeric(tokens[last].text), last + 1  # "1½"
    value, last = _raised(tokens, value, last)
    if last + 1 < len(tokens) and tokens[last].text.lower() in _TIMES and tokens[last + 1].text == "10":
        power, after = _raised(tokens, 10.0, last + 2)
        if after > last + 2:
            value, last = value * power, after
    return Numeral(sign * value, last)


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
    return plain(before) is None  # "5 -20" is a range


def _raised(tokens: Sequence[Token], value: float, i: int) -> tuple[float, int]:
    """The value to the power written right after it: "10⁹", "10^9", "1.5e6"."""
    j, power = i, ""
    while j < len(tokens) and RAISED.fullmatch(tokens[j].text) and tokens[j].start == tokens[j - 1].end:
        power += tokens[j].text.translate(SUPERSCRIPT)
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


def plain(token: Token) -> float | None:
    if token.text in _FRACTIONS:
        return unicodedata.numeric(token.text)
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
