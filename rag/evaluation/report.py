"""What a suite found: rows of figures, as Markdown and HTML for people and as JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from rag.evaluation.metrics import Estimate

NO_BASELINES = "baselines were not measured (--no-baselines): without them nobody can tell what these figures are worth"
_STYLE = (
    "body { font: 16px sans-serif; margin: 2rem } section { overflow-x: auto; margin-top: 3rem } "
    "table { border-collapse: collapse; margin: 1rem 0 } tr { border-top: 1px solid #ddd } "
    "td, th { padding: .25rem .8rem; text-align: left; white-space: nowrap } th { vertical-align: bottom } "
    "td:first-child, th:first-child { position: sticky; left: 0; background: #fff } "
    ".figure { text-align: right; font-variant-numeric: tabular-nums } .measured { color: #555 } "
    "img { max-width: 100% }"
)


@dataclass(frozen=True)
class Row:
    """One line of figures.

    >>> Row({"finding": "effusion"}, {"positives": 40}, {"recall": Estimate(0.9, 0.8, 0.95)}).cells()["recall"]
    '0.900 (0.800–0.950)'

    Attributes:
        of: what the line is about, by kind: direction, domain, finding.
        counts: whole numbers by name.
        metrics: numbers by name, in [0, 1] unless the name says otherwise.
    """

    of: Mapping[str, str]
    counts: Mapping[str, int]
    metrics: Mapping[str, Estimate]

    def __post_init__(self) -> None:
        names = [*self.of, *self.counts, *self.metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"a row has two columns {twice[0]!r}")

    def cells(self) -> dict[str, str]:
        """By column, in words."""
        counts = {name: f"{n:,}" for name, n in self.counts.items()}
        return {**self.of, **counts, **{name: str(value) for name, value in self.metrics.items()}}

    def json(self) -> dict[str, Any]:
        """Plain values; a metric is an object with value, low and high."""
        return {**self.of, **self.counts, "metrics": {name: m._asdict() for name, m in self.metrics.items()}}


@dataclass(frozen=True)
class Report:
    """The outcome of one suite.

    >>> row = Row({}, {"questions": 2}, {"accuracy": Estimate(0.5, None, None)})
    >>> report = Report("questions", {"index": "demo"}, (row,))
    >>> print(report.table())
    index: demo
    <BLANKLINE>
    | questions | accuracy |
    | --------- | -------- |
    | 2         | 0.500    |

    Attributes:
        suite: its name.
        measured: what was measured, by kind: index, version, encoder, generator.
        rows: the figures; intervals, where there are any, are 95% and resample groups.
        left_out: rows of the file that were not measured with, by reason.
        notes: what a reader must know besides.
        details: lists for programs, such as the ids that went wrong.
    """

    suite: str
    measured: Mapping[str, str]
    rows: tuple[Row, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def row(self, **of: str) -> Row:
        """The first line about these.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if all(row.of.get(kind) == name for kind, name in of.items()):
                return row
        raise KeyError(f"the report of {self.suite!r} has no row of {of}")

    def value(self, metric: str, **of: str) -> float:
        """A metric of the first line about these."""
        return self.row(**of).metrics[metric].value

    def table(self) -> str:
        """Markdown, in columns that line up as plain text, too."""
        blocks = ["\n".join(self._preamble())] if self.measured or self.left_out else []
        for columns, rows in self._tables():
            lines = [[cell.replace("|", r"\|") for cell in line] for line in (columns, *rows)]
            widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
            lines.insert(1, ["-" * width for width in widths])
            padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
            blocks.append("\n".join(f"| {' | '.join(line)} |" for line in padded))
        return "\n\n".join([*blocks, *self.notes])

    def json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "suite": self.suite,
            "measured": dict(self.measured),
            "rows": [row.json() for row in self.rows],
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            **self.details,
        }

    def html(self) -> str:
        """A page of its own."""
        body = Element("body")
        self.fill(body)
        return page_around(body, f"ClinCite: {self.suite}")

    def fill(self, body: Element, heading: str = "h1", title: str = "") -> None:
        """The report as part of a page, under its title or else the suite's name."""
        SubElement(body, heading).text = title or self.suite
        if preamble := self._preamble():
            SubElement(body, "p", {"class": "measured"}).text = " · ".join(preamble)
        for columns, rows in self._tables():
            fill_table(body, columns, rows)
        for note in self.notes:
            SubElement(body, "p").text = note

    def _preamble(self) -> list[str]:
        measured = [f"{kind}: {name}" for kind, name in self.measured.items()]
        return measured + [f"left out: {n:,} ({reason})" for reason, n in sorted(self.left_out.items())]

    def _tables(self) -> Iterator[tuple[list[str], list[list[str]]]]:
        """Rows of the same columns that follow one another are a table."""
        for columns, rows in groupby((row.cells() for row in self.rows), key=list):
            yield [name.replace("_", " ") for name in columns], [list(row.values()) for row in rows]


def fill_table(body: Element, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, numbers to the right."""
    figures = [all(re.match(r"-?\d|$", row[n]) for row in rows) for n in range(len(columns))]
    table = SubElement(body, "table")
    for n, cells in enumerate([columns, *rows]):
        line = SubElement(table, "tr")
        for cell, figure in zip(cells, figures, strict=True):
            SubElement(line, "td" if n else "th", {"class": "figure"} if figure else {}).text = cell


def page_around(body: Element, title: str) -> str:
    """A page that needs nothing else."""
    page = Element("html", lang="en")
    head = SubElement(page, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = title
    SubElement(head, "style").text = _STYLE
    page.append(body)
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def exactly(value: float) -> Estimate:
    """A metric without an interval."""
    return Estimate(value, None, None)
