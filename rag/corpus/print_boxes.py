"""Where a span of a document is printed: read from what :mod:`rag.corpus.layout` kept of its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag.types import PrintBox

_SIDES = ("x0", "y0", "x1", "y1")


def boxes_of(metadata: Mapping[str, Any], start: int, end: int) -> tuple[PrintBox, ...]:
    """Where characters start to end of a document's text are printed, line by line; empty if that is not known.

    >>> page = {"page_size": [100, 200], "lines": [[0, 9, 3, 10, 20, 90, 30], [10, 19, 3, 10, 32, 90, 42]]}
    >>> [(box.page, box.x0, box.y0, box.x1, box.y1) for box in boxes_of(page, 12, 15)]
    [(3, 0.1, 0.16, 0.9, 0.21)]
    """
    lines, size = metadata.get("lines"), metadata.get("page_size")
    if not lines or not size:
        return ()
    try:
        return tuple(
            PrintBox(start=row[0], end=row[1], page=row[2], **dict(zip(_SIDES, _shares(row[3:], *size), strict=True)))
            for row in lines
            if row[0] < end and start < row[1]
        )
    except (TypeError, ValueError, ArithmeticError, LookupError):  # of somebody's own fields of these names
        return ()


def _shares(box: Sequence[float], width: float, height: float) -> list[float]:
    return [round(min(max(at / of, 0.0), 1.0), 4) for at, of in zip(box, (width, height, width, height), strict=True)]
