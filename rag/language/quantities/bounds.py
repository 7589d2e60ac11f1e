"""Bounds, ranges and changes: "at least 5 mm", "5-10 mm", "from 4 to 9 mm"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag.language.quantities.numerals import plain
from rag.language.quantities.quantity import Bound, Quantity
from rag.language.tokens import Token

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


def with_bound(tokens: Sequence[Token], q: Quantity) -> Quantity:
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
            if i > len(words) and plain(tokens[i - len(words) - 1]) is not None:
                break  # "120 over 80"
            return replace(q, bound=meant, first=i - len(words))
    following = [t.word for t in tokens[q.last : q.last + 2]]
    if len(following) == 2 and following[0] in ("or", "and") and following[1] in _MORE | _LESS | {"above", "below"}:
        more = following[1] in _MORE or following[1] == "above"
        return replace(q, bound=">=" if more else "<=", last=q.last + 2)
    return q


def as_range(tokens: Sequence[Token], a: Quantity, b: Quantity) -> tuple[Quantity, Quantity] | None:
    """The two as begin and end of a range or a change: "from 4 mm to 9 mm", "5-10 mm", "between 4 and 9"."""
    between = [t.word for t in tokens[a.last : b.first]]
    before = tokens[a.first - 1].word if a.first else ""
    joined = between in (["to"], ["-"], ["\u2013"], ["\u2192"]) or (between == ["and"] and before == "between")
    if between == ["up", "to"] or not (joined or (before == "from" and between[:1] == ["to"])):
        return None
    return replace(a, end="from"), replace(b, end="to")
