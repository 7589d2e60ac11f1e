"""Lines with places on pages, to running text that remembers its places: what print has done to the words undone.

Runs of one printed line become one line, raised powers with a caret; columns are read one after the other, rows of a
table across; running heads and page numbers are recognised by their place and repetition; words hyphenated at line ends
are joined; ligatures become letters; a sentence that runs over a page's end stays whole on the page where it begins;
the list of references at the end is left out.

Rules of this size are why no layout model is used: those that exist come with weights from a hub, or as AGPL.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rag.corpus.text import clean, raised

_EDGE = 0.1  # of a page's height at its top and at its bottom, where running heads stand
_DRIFT = 6.0  # points by which the place of a running head may differ from page to page
_GUTTER = 0.018  # narrowest space between two columns, as a share of the page's width
_IN_COLUMNS = 3  # lines on either side that make two columns
_BLANK = 0.35  # of a line's height: no wider is the space between lines of one cell or paragraph
_ROWS = 3  # rows that make a table of cells with several lines
_CELL_LINES = 6  # of a cell
_MOST_LINES = 400  # of a page that is looked at for columns
# PDFium writes U+0002 or U+FFFE for a hyphen at a line's end.
_PRINTED = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st",
     "\u00ad": "-", "\ufffe": "-", "\x02": "-"}
)  # fmt: skip
_HYPHENATED = re.compile(r"([^\W\d_]{2,})[-\u2010]$")
_GOES_ON = re.compile(r"[a-zà-ÿ]{2}")
_TIED = re.compile(r"[^\W_][-\u2010]$")
_HEADING = re.compile(r"\b[A-Z]{4,}-$")
# What keeps its hyphen at a line's end: "non-small", "left-sided", "long-term".
_FIRST_PARTS = {
    *("non", "self", "long", "short", "well", "high", "low", "half", "left", "right", "mid", "full", "first", "second"),
    *("two", "three", "four", "single", "double", "air", "ground", "follow", "contrast", "thin", "post", "pre"),
}
_BOXES = ("\u2611", "\u2610")
_ITEM = re.compile(r"\(?\d{1,3}(?:\.\d{1,3})*[.)]?|\(?[A-Za-z][.)]|[\u2022\u2013*-]")
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?", re.IGNORECASE)
_PAGE_OF = re.compile(r"page\s*\d{1,4}\s*(?:/|of)\s*\d{1,4}", re.IGNORECASE)
_REFERENCES = re.compile(r"(?:\d+\.?\s*)?(?:references|bibliography|literature cited|works cited)\s*:?", re.IGNORECASE)
_END = re.compile(r"[.!?][\"')\]]?(?:\s|$)")


Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in points from the page's top left


@dataclass(frozen=True, slots=True)
class PrintLine:
    """A line of print: its text, the page (from 1), and its box x0, y0, x1, y1 in points from the page's top left."""

    text: str
    page: int
    box: Box
    before: str = "\n"  # what parts it from the line that is read before it


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of print, turned so that its text runs to the right: its runs in any order, its width and height in
    points, and what stands across or aslant, which is read last."""

    runs: Sequence[PrintLine]
    width: float
    height: float
    aside: Sequence[PrintLine] = ()


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

    @property
    def along(self) -> float:
        """The page's height as its text sees it."""
        return self.width if self.runs % 2 else self.height

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


def flow(pages: Sequence[Sheet]) -> list[Flowed]:
    """The running text of each page."""
    lines = [_in_reading_order(_printed_lines(page.runs), page.width) for page in pages]
    heads = [head | _numbers(page) for head, page in zip(_heads(lines, pages), lines, strict=True)]
    kept = [[one for one in page if one not in head] for page, head in zip(lines, heads, strict=True)]
    kept = _without_references(kept)
    for number in range(len(kept) - 1):
        kept[number], kept[number + 1] = _joined(kept[number], kept[number + 1])
    known = Counter(word for page in lines for line in page for word in _WORDS.findall(line.text.lower()))
    return [_flowed([*page, *_printed_lines(sheet.aside)], known) for page, sheet in zip(kept, pages, strict=True)]


def rows_of_print(page: Sheet) -> list[str]:
    """All that is printed on a page, its heads, too, row by row, parted by bars."""
    return [" | ".join(line.text for line in row) for row in _rows(_printed_lines(page.runs))]


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
                if y1 - y0 < 0.75 * height and not gap and y0 + y1 < before[1] + before[3]:
                    text = raised(said, text)
                box = (before[0], min(y0, before[1]), max(x1, before[2]), max(y1, before[3]))
                lines[number] = PrintLine(said + gap + text, run.page, box)
                break
        else:
            lines.append(run)
    kept = [replace(line, text=" ".join(line.text.split())) for line in lines]
    return [line for row in _rows(kept) for line in row]


def _rows(lines: Sequence[PrintLine]) -> list[list[PrintLine]]:
    """Lines that stand beside one another, from left to right; from top to bottom."""
    rows: list[list[PrintLine]] = []
    for line in sorted(lines, key=lambda one: one.box[1] + one.box[3]):
        top, low = line.box[1], line.box[3]
        first = rows[-1][0].box if rows else (0.0, 0.0, 0.0, 0.0)
        overlap = min(low, first[3]) - max(top, first[1])
        if rows and overlap > 0.5 * min(low - top, first[3] - first[1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.box[0]) for row in rows]


def _in_reading_order(lines: list[PrintLine], width: float) -> list[PrintLine]:
    """Columns one after the other between lines that run over all of them."""
    cut = _gutter(lines, width)
    if cut is None:
        return [line for group in _beside(lines) for line in _across(group)]
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
    return None if _is_table(lines, cut) else (crossing, -strip)


def _is_table(lines: list[PrintLine], cut: float) -> bool:
    """Whether what stands on either side of a cut are the cells of rows, and not two columns."""
    both = [
        group
        for group in _beside(lines)
        if any(block[0].box[0] < cut for block in group) and any(block[0].box[0] >= cut for block in group)
    ]
    cells = [_are_cells(group) for group in both]
    rows = (all(len(block) == 1 for block in group) or one for group, one in zip(both, cells, strict=True))
    return len(both) >= _ROWS and any(cells) and all(rows)


def _beside(lines: list[PrintLine]) -> list[list[list[PrintLine]]]:
    """Blocks, which are lines below one another without a blank, in groups of those that stand beside one another."""
    blocks: list[list[PrintLine]] = []
    open_: list[list[PrintLine]] = []  # that a line may still go on
    for line in sorted(lines, key=lambda one: one.box[1] + one.box[3]):
        x0, y0, x1, y1 = line.box
        open_ = [block for block in open_ if y0 - block[-1].box[3] <= y1 - y0]
        for block in reversed(open_):
            last = block[-1].box
            below = y0 - last[3]
            level = min(abs(x0 - last[0]), abs(x1 - last[2]), abs(x0 + x1 - last[0] - last[2]) / 2) < 0.5 * (y1 - y0)
            if level and -0.5 * (y1 - y0) < below <= _BLANK * (y1 - y0):
                block.append(line)
                break
        else:
            blocks.append([line])
            open_.append(blocks[-1])
    groups: list[list[list[PrintLine]]] = []
    ends = 0.0
    for block in sorted(blocks, key=lambda some: (some[0].box[1], some[0].box[0])):
        top, low = block[0].box[1], max(line.box[3] for line in block)
        height = block[0].box[3] - top
        if groups and top < ends - 0.3 * height:
            groups[-1].append(block)
            ends = max(ends, low)
        else:
            groups.append([block])
            ends = low
    return groups


def _are_cells(blocks: list[list[PrintLine]]) -> bool:
    """Whether blocks beside one another are the cells of one row: their tops are level, and their lines are prose."""
    tops = [block[0].box[1] for block in blocks]
    height = blocks[0][0].box[3] - blocks[0][0].box[1]
    several = [block for block in blocks if len(block) > 1]
    prose = all(sum(len(line.text.split()) for line in block) >= 3 * (len(block) - 1) for block in several)
    short = all(len(block) <= _CELL_LINES for block in blocks)
    return bool(several) and prose and short and max(tops) - min(tops) < 0.6 * height


def _across(blocks: list[list[PrintLine]]) -> list[PrintLine]:
    """What stands beside one another as rows: cell by cell where cells have several lines, else line by line."""
    if len(blocks) == 1:
        return blocks[0]
    if _are_cells(blocks):
        return _row(sorted(blocks, key=lambda block: block[0].box[0]))
    rows = _rows([line for block in blocks for line in block])
    return [line for row in rows for line in _row([[one] for one in row])]


def _row(cells: list[list[PrintLine]]) -> list[PrintLine]:
    """The lines of a row's cells, parted by bars; a label, an item's number and a box stay with what follows them."""
    row: list[PrintLine] = []
    for cell in cells:
        said = row[-1].text if row else ""
        is_number = len(row) == 1 and len(cells) == 2 and _ITEM.fullmatch(said)
        parted = " " if is_number or said.endswith((":", *_BOXES)) else " | "
        row += [replace(cell[0], before=parted if row else "\n"), *(replace(line, before=" ") for line in cell[1:])]
    return row


def _heads(lines: Sequence[Sequence[PrintLine]], pages: Sequence[Sheet]) -> list[set[PrintLine]]:
    """The running heads and feet of each page, and its page number: what stands at the edge of most pages in the same
    place, in the same words and with the same numbers, unless these count the pages."""
    found: dict[tuple[bool, str], list[tuple[int, PrintLine]]] = {}
    edges = [_at_edge(page, sheet.height) for page, sheet in zip(lines, pages, strict=True)]
    for number, edge in enumerate(edges):
        for is_top, rows in edge.items():
            for line in (one for row in rows for one in row):
                found.setdefault((is_top, _shape(line.text)), []).append((number, line))
    heads = [set[PrintLine]() for _ in pages]
    for some in found.values():
        middle = sorted(line.box[1] for _, line in some)[len(some) // 2]
        same = [(number, line) for number, line in some if abs(line.box[1] - middle) <= _DRIFT]
        on = {number for number, _ in same}
        if len(on) > max(1, len(pages) // 2) and _counts_pages(same):
            for number, line in same:
                heads[number].add(line)
    return [_outermost(edge, head) for edge, head in zip(edges, heads, strict=True)]


def _numbers(page: Sequence[PrintLine]) -> set[PrintLine]:
    """A first or last line that is "Page 3 of 7", wherever on the page it is."""
    return {line for line in (*page[:1], *page[-1:]) if _PAGE_OF.fullmatch(line.text)}


def _at_edge(lines: Sequence[PrintLine], height: float) -> dict[bool, list[list[PrintLine]]]:
    """The rows at a page's top (True) and bottom (False), from the edge inwards, with the first row that is none."""
    rows = _rows(lines)
    depth = _EDGE * height
    top = [row for row in rows if row[0].box[1] + row[0].box[3] < 2 * depth]
    low = [row for row in rows if row[0].box[1] + row[0].box[3] > 2 * (height - depth)][::-1]
    return {True: top, False: low}


def _counts_pages(same: Sequence[tuple[int, PrintLine]]) -> bool:
    """Whether the numbers in lines of one shape are the same on all pages, or go up with the pages."""
    told = [(number, [int(digits[-9:]) for digits in _DIGITS.findall(line.text)]) for number, line in same]
    for values in zip(*(numbers for _, numbers in told), strict=True):
        steps = {value - number for (number, _), value in zip(told, values, strict=True)}
        if len(set(values)) > 1 and len(steps) > 1:
            return False
    return True


def _outermost(edge: Mapping[bool, list[list[PrintLine]]], heads: set[PrintLine]) -> set[PrintLine]:
    """Of a page's likely heads, those that no other line parts from the edge; a sentence only where a blank follows."""
    kept = set[PrintLine]()
    for rows in edge.values():
        for place, row in enumerate(rows):
            inner = rows[place + 1][0].box if place + 1 < len(rows) else None
            of_row = {line for line in row if line in heads and (_may_head(line, inner))}
            if len(row) == 1 and _PAGE_NUMBER.fullmatch(row[0].text):
                of_row.add(row[0])
            kept |= of_row
            if len(of_row) < len(row):
                break
    return kept


def _may_head(line: PrintLine, inner: Box | None) -> bool:
    text, height = line.text, line.box[3] - line.box[1]
    if text.endswith(("-", "\u2010", ",")):
        return False
    if not text.endswith((".", "!", "?")) or len(text.split()) < 2 or inner is None:
        return True
    return max(inner[1] - line.box[3], line.box[1] - inner[3]) >= height


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


def _flowed(lines: list[PrintLine], known: Mapping[str, int]) -> Flowed:
    """The lines as one text; ``known`` are the words of the work, which say how a word at a line's end is written."""
    text, places = "", list[Place]()
    for line in lines:
        parted = line.before if text else ""
        if parted != " | " and text and _ties(text, line.text):
            parted = ""
            if _drops_hyphen(text, line.text, known):
                text = text[:-1]
                places[-1] = (places[-1][0], places[-1][1] - 1, *places[-1][2:])
        text += parted
        x0, y0, x1, y1 = (round(one, 1) for one in line.box)
        places.append((len(text), len(text) + len(line.text), line.page, x0, y0, x1, y1))
        text += line.text
    return Flowed(text, tuple(places))


def _ties(text: str, following: str) -> bool:
    """Whether a hyphen at a line's end ties it to the next line."""
    if not _TIED.search(text[-3:]) or not following[:1].isalnum():
        return False
    return not (_HEADING.search(text[-40:]) and following[:1].isupper())


def _drops_hyphen(text: str, following: str, known: Mapping[str, int]) -> bool:
    """Whether the hyphen is there only because the line ended."""
    before = _HYPHENATED.search(text[-40:])
    if before is None or not _GOES_ON.match(following):
        return False
    first, rest = before[1].lower(), _WORDS.match(following.lower())
    if rest is None or known.get(first + rest[0]):
        return True
    return first not in _FIRST_PARTS and not known.get(f"{first}-{rest[0]}")
