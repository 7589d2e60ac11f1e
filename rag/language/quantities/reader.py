"""Every quantity of a sentence, in order."""

from __future__ import annotations

from collections.abc import Sequence

from rag.language.quantities.bounds import as_range, with_bound
from rag.language.quantities.kinds import (
    read_calendar,
    read_date,
    read_grade,
    read_level,
    read_measure,
    read_ratio,
    read_share,
)
from rag.language.quantities.quantity import Quantity
from rag.language.tokens import Token


def quantities_of(tokens: Sequence[Token]) -> list[Quantity]:
    """Every quantity, in order: lengths in mm, masses in g, volumes in ml, times in hours.

    "3 x 4 cm" are two lengths, "20/40" is one ratio, "three of twelve" one share, "a 54-year-old" an age, "June 2019" a
    month and a year.
    """
    found: list[Quantity] = []
    i = 0
    while i < len(tokens):
        quantity = (
            read_date(tokens, i)
            or read_ratio(tokens, i)
            or read_share(tokens, i)
            or read_grade(tokens, i)
            or read_level(tokens, i)
            or read_calendar(tokens, i)
            or read_measure(tokens, i)
        )
        if quantity is None:
            i += 1
            continue
        quantity = with_bound(tokens, quantity)
        if found and (linked := as_range(tokens, found[-1], quantity)) is not None:
            found[-1], quantity = linked
        found.append(quantity)
        i = quantity.last
    return found
