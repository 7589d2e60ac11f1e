"""Lines with places on pages, to running text that remembers its places: what print has done to the words undone.

Runs of one printed line become one line; columns are read one after the other; running heads and page numbers are
recognised by their repetition; words hyphenated at line ends are joined; ligatures become letters; a sentence that runs
over a page's end stays whole on the page where it begins; the list of references at the end is left out.

Rules of this size are why no layout model is used: those that exist come with weights from a hub, or as AGPL.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag.corpus.text import clean
from rag.types import PrintBox

_EDGE = 3  # printed lines at the top and at the bottom of a page among which running heads are looked for
_GUTTER = 0.018  # narrowest space between two columns, as a share of the page's width
_IN_COLUMNS = 3  # lines on either side that make two columns
_MOST_LINES = 400  # of a page that is looked at for columns
# PDFium writes U+0002 or U+FFFE for a hyphen at a line's end.
_PRINTED = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st",
     "\u00ad": "-", "\ufffe": "-", "\x02": "-"}
)  # fmt: skip
_HYPHENATED = re.compile(r"(?<=[^\W\d_]{2})[-\u2010]$")
_GOES_ON = re.compile(r"[a-zà-ÿ]{2}")
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?", re.IGNORECASE)
_REFERENCES = re.compile(r"(?:\d+\.?\s*)?(?:references|bibliography|literature cited|works cited)\s*:?", re.IGNORECASE)
_SIDES = ("x0", "y0", "x1", "y1")
_END = re.compile(r"[.!?][\"')\]]?(?:\s|$)")


Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in points from the page's top left


@dataclass(frozen=True, slots=True)
class PrintLine:
    """A line of print: its text, the page (from 1), and its box x0, y0, x1, y1 in points from the page's top left."""

    text: str
    page: int
    box: Box


Place = tuple[int, int, int, float, float, float, float]  # start and end in the text, page, and box


@dataclass(frozen=True, slots=True)
class Flowed:
    """Running text, and the place of each line of print in it."""

    text: str
    lines: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Turned:
    """A page as it is shown whose text runs to the right (0), down (1), to the left (2) or up (3); sizes in points."""

    runs: int
    width: float
    height: float

    @property
    def across(self) -> float:
        """The page's width as its text sees it."""
        return self.height if self.runs % 2 else self.width

    def upright(self, box: Sequence[float]) -> Box:
        """A box of the page as it is where the page is turned so that its text runs to the right."""
        x0, y0, x1, y1 = box
        if self.runs == 1:
            return y0, self.width - x1, y1, self.width - x0
        if self.runs == 2:
            return self.width - x1, self.height - y1, self.width - x0, self.height - y0
        return (self.height - y1, x0, self.height - y0, x1) if self.runs == 3 else (x0, y0, x1, y1)

    def shown(self, box: Sequence[float]) -> Box:
        """The other way: where a box of the upright text is on the page.

        >>> Turned(1, 600, 800).shown(Turned(1, 600, 800).upright((10, 20, 30, 90)))
        (10, 20, 30, 90)
        """
        x0, y0, x1, y1 = box
        if self.runs == 1:
            return self.width - y1, x0, self.width - y0, x1
        if self.runs == 3:
            return y0, self.height - x1, y1, self.height - x0
        return self.upright(box)


def as_shown(flowed: Flowed, pages: Sequence[Turned]) -> Flowed:
    """Running text with its places on the pages as they are shown."""
    places = (
        (start, end, page, *(round(at, 1) for at in pages[page - 1].shown(box)))
        for start, end, page, *box in flowed.lines
    )
    return Flowed(flowed.text, tuple(places))  # type: ignore[arg-type]


def flow(pages: Sequence[tuple[Sequence[PrintLine], float]]) -> list[Flowed]:
    """The running text of each page, given as its runs of print in any order, and its width."""
    lines = [_in_reading_order(_printed_lines(runs), width) for runs, width in pages]
    edges = [_edges(page) for page in lines]
    counts = Counter(shape for page in edges for shape in {_shape(line.text) for line in page})
    repeated = {shape for shape, n in counts.items() if n >= 3 and n > len(pages) / 2}
    kept = [
        [
            one
            for one in page
            if not (one in edge and (_shape(one.text) in repeated or _PAGE_NUMBER.fullmatch(one.text)))
        ]
        for page, edge in zip(lines, edges, strict=True)
    ]
    kept = _without_references(kept)
    for number in range(len(kept) - 1):
        kept[number], kept[number + 1] = _joined(kept[number], kept[number + 1])
    return [_flowed(page) for page in kept]


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


def _printed_lines(runs: Sequence[PrintLine]) -> list[PrintLine]:
    """Runs beside one another, closer than the gap between columns, as one line; top to bottom."""
    lines: list[PrintLine] = []
    for run in sorted(runs, key=lambda r: (r.box[0], r.box[1])):
        text = clean(run.text.translate(_PRINTED))
        if not text.strip():
            continue
        run = replace(run, text=text)
        x0, y0, x1, y1 = run.box
        for number in range(len(lines) - 1, -1, -1):
            before = lines[number].box
            least, height = sorted((y1 - y0, before[3] - before[1]))
            overlap = min(y1, before[3]) - max(y0, before[1])
            said = lines[number].text
            widest = height * (2.5 if len(said.strip()) == 1 else 0.9)  # a bullet stands further off
            if overlap > 0.5 * least and -0.5 * height <= x0 - before[2] <= widest:
                gap = "" if said.endswith(" ") or text.startswith(" ") or x0 - before[2] < 0.12 * height else " "
                box = (before[0], min(y0, before[1]), max(x1, before[2]), max(y1, before[3]))
                lines[number] = PrintLine(said + gap + text, run.page, box)
                break
        else:
            lines.append(run)
    kept = (replace(line, text=" ".join(line.text.split())) for line in lines)
    return sorted(kept, key=lambda line: (line.box[1] + line.box[3], line.box[0]))


def _in_reading_order(lines: list[PrintLine], width: float) -> list[PrintLine]:
    """Columns one after the other between lines that run over all of them."""
    cut = _gutter(lines, width)
    if cut is None:
        return lines
    ordered: list[PrintLine] = []
    left: list[PrintLine] = []
    right: list[PrintLine] = []
    for line in lines:
        if line.box[2] <= cut:
            left.append(line)
        elif line.box[0] >= cut:
            right.append(line)
        else:
            ordered += _in_reading_order(left, width) + _in_reading_order(right, width) + [line]
            left, right = [], []
    return ordered + _in_reading_order(left, width) + _in_reading_order(right, width)


def _gutter(lines: list[PrintLine], width: float) -> float | None:
    """Where to cut between columns: the upright strip that fewest of the lines between its columns' heights cross."""
    if not 2 * _IN_COLUMNS <= len(lines) <= _MOST_LINES:
        return None
    starts, ends = sorted({line.box[0] for line in lines}), sorted({line.box[2] for line in lines})
    cuts = {(end + starts[n]) / 2 for end in ends if (n := bisect_right(starts, end)) < len(starts)}
    cuts |= {(ends[n - 1] + start) / 2 for start in starts if (n := bisect_left(ends, start)) > 0}
    found = [(strip, cut) for cut in sorted(cuts) if (strip := _strip(lines, cut, _GUTTER * width)) is not None]
    return min(found, default=((0, 0.0), None))[1]


def _strip(lines: list[PrintLine], cut: float, narrowest: float) -> tuple[int, float] | None:
    """How many lines cross a cut between the heights of its columns, and its width, negative; None if it is no gutter.

    A column has lines of three words or more: the cells of a table are short, and its rows are read across.
    """
    left = [line for line in lines if line.box[2] <= cut]
    right = [line for line in lines if line.box[0] >= cut]
    if not left or not right:
        return None
    strip = min(line.box[0] for line in right) - max(line.box[2] for line in left)
    top = max(min(one.box[1] for one in side) for side in (left, right)) - 1
    bottom = min(max(one.box[3] for one in side) for side in (left, right)) + 1
    inside = [line for line in lines if top <= line.box[1] and line.box[3] <= bottom]
    crossing = sum(line.box[0] < cut < line.box[2] for line in inside)
    prose = [
        sum(len(o.text.split()) >= 3 and top <= o.box[1] and o.box[3] <= bottom for o in side) for side in (left, right)
    ]
    if strip < narrowest or min(prose) < _IN_COLUMNS or crossing > 0.25 * len(inside):
        return None
    return crossing, -strip


def _edges(lines: list[PrintLine]) -> set[PrintLine]:
    """The lines at the page's first and last heights."""
    heights = sorted({round(line.box[1]) for line in lines})
    outer = {*heights[:_EDGE], *heights[-_EDGE:]}
    return {line for line in lines if round(line.box[1]) in outer}


def _shape(line: str) -> str:
    return _DIGITS.sub("0", line)


def _without_references(pages: list[list[PrintLine]]) -> list[list[PrintLine]]:
    """What comes before the last heading "References", if that stands in the second half."""
    for number in range(len(pages) - 1, -1, -1):
        for place in range(len(pages[number]) - 1, -1, -1):
            if _REFERENCES.fullmatch(pages[number][place].text):
                is_late = number >= len(pages) // 2 and (len(pages) > 1 or place > len(pages[0]) // 2)
                none: list[list[PrintLine]] = [[] for _ in pages[number + 1 :]]
                return [*pages[:number], pages[number][:place], *none] if is_late else pages
    return pages


def _joined(page: list[PrintLine], following: list[PrintLine]) -> tuple[list[PrintLine], list[PrintLine]]:
    """A sentence that a page end cuts in two stays whole on the page where it begins."""
    if not page or not following or page[-1].text[-1] in '.!?:"”)' or not following[0].text[0].islower():
        return page, following
    for number, line in enumerate(following[:20]):
        if (end := _END.search(line.text)) is not None:
            first, rest = line.text[: end.end()].strip(), line.text[end.end() :].strip()
            over = [*following[:number], replace(line, text=first)]
            return [*page, *over], [*([replace(line, text=rest)] if rest else []), *following[number + 1 :]]
    return page, following


def _flowed(lines: list[PrintLine]) -> Flowed:
    text, places = "", list[Place]()
    for line in lines:
        if _HYPHENATED.search(text) and _GOES_ON.match(line.text):
            text = text[:-1]
            places[-1] = (places[-1][0], places[-1][1] - 1, *places[-1][2:])
        elif text:
            text += "\n"
        x0, y0, x1, y1 = (round(one, 1) for one in line.box)
        places.append((len(text), len(text) + len(line.text), line.page, x0, y0, x1, y1))
        text += line.text
    return Flowed(text, tuple(places))
