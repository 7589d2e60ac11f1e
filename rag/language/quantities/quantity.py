"""A quantity, and when two of them say the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Bound = Literal["", "<", "<=", ">", ">="]

_MEASURED = frozenset({"length", "mass", "volume", "amount"})


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
