"""Several reports on one page that needs nothing else: tables, and pictures of what confidence is worth.

Pictures are drawn by matplotlib as SVG inside the page; the same reports give the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from rag.errors import InputError, MissingDependencyError
from rag.evaluation.metrics import Estimate
from rag.evaluation.report import Report, Row, page_around
from rag.evaluation.selective import BINS, risk_by_coverage

_FEWEST = 10  # answers with a confidence that are drawn
_SALT = {"svg.hashsalt": "clincite", "svg.fonttype": "none", "font.size": 10}


def report_of(held: Mapping[str, Any]) -> Report:
    """A report from what ``Report.json`` gives.

    >>> report_of({"suite": "s", "rows": [{"by": "ours", "n": 2, "metrics": {}}]}).rows[0].counts
    {'n': 2}

    Raises:
        InputError: it is of another form.
    """
    known = ("suite", "measured", "rows", "left_out", "notes")
    try:
        rows = tuple(
            Row(
                {k: v for k, v in row.items() if isinstance(v, str)},
                {k: v for k, v in row.items() if isinstance(v, int)},
                {name: Estimate(m["value"], m["low"], m["high"]) for name, m in row["metrics"].items()},
            )
            for row in held["rows"]
        )
        details = {k: v for k, v in held.items() if k not in known}
        measured, left_out, notes = held.get("measured", {}), held.get("left_out", {}), held.get("notes", ())
        return Report(held["suite"], measured, rows, left_out, tuple(notes), details)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("this is no report: write one with rag evaluate SUITE … --json") from error


def page_of(reports: Sequence[Report], title: str = "ClinCite: evaluation") -> str:
    """One HTML page of all of them, with a list of contents.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    body = Element("body")
    SubElement(body, "h1").text = title
    contents = SubElement(body, "ul")
    for n, report in enumerate(reports):
        link = SubElement(SubElement(contents, "li"), "a", href=f"#suite-{n}")
        link.text = _headline(report)
    for n, report in enumerate(reports):
        section = SubElement(body, "section", id=f"suite-{n}")
        report.fill(section, "h2")
        for words, picture in _pictures(report):
            SubElement(section, "img", alt=words, title=words, src=picture)
    return page_around(body, title)


def _headline(report: Report) -> str:
    of = report.measured.get("collection")
    return f"{report.suite}: {of}" if of else report.suite


def _pictures(report: Report) -> Iterator[tuple[str, str]]:
    if (compared := _compared(report)) is not None:
        yield "who answers how well, with intervals over groups", compared
    outcomes = [o for o in report.details.get("outcomes", ()) if o.get("confidence") is not None]
    said = [
        (float(o["confidence"]), float(o["said"] == o["answer"])) for o in outcomes if o["said"] not in ("", "withheld")
    ]
    if len(said) >= _FEWEST:
        sure, right = (np.array(values) for values in zip(*said, strict=True))
        yield "reliability: how often answers of a confidence are right", _reliability(sure, right)
        yield "risk of the surest answers, by the share that is answered", _risk(sure, right)


def _compared(report: Report) -> str | None:
    """The first metric of the first table, a line for each row."""
    first = report.rows[0] if report.rows else None
    if first is None or not first.of or not first.metrics:
        return None
    rows = [
        row for row in report.rows if row.of.keys() == first.of.keys() and row.metrics.keys() == first.metrics.keys()
    ]
    metric = next(iter(first.metrics))
    if len(rows) < 2:
        return None
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(6, 0.6 + 0.28 * len(rows)))
    for n, row in enumerate(reversed(rows)):
        value = row.metrics[metric]
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [n, n], color="0.6", linewidth=2)
        axes.plot([value.value], [n], "o", color="C0" if row is first else "0.2")
    axes.set_yticks(range(len(rows)), [", ".join(row.of.values()) for row in reversed(rows)])
    axes.set_xlabel(metric.replace("_", " "))
    axes.grid(axis="x", alpha=0.3)
    return _drawn(figure)


def _reliability(sure: np.ndarray, right: np.ndarray) -> str:
    figure, axes = _pyplot().subplots(figsize=(4, 4))
    edges = np.unique(np.quantile(sure, np.linspace(0, 1, BINS + 1)))
    place = np.searchsorted(edges[1:-1], sure, side="left")
    points = [(sure[place == b].mean(), right[place == b].mean(), int((place == b).sum())) for b in np.unique(place)]
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axes.plot([x for x, _, _ in points], [y for _, y, _ in points], color="C0", linewidth=1)
    axes.scatter([x for x, _, _ in points], [y for _, y, _ in points], s=[10 + n for _, _, n in points], color="C0")
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    return _drawn(figure)


def _risk(sure: np.ndarray, right: np.ndarray) -> str:
    figure, axes = _pyplot().subplots(figsize=(4, 4))
    risks = risk_by_coverage(sure, right)
    axes.step(np.arange(1, len(risks) + 1) / len(risks), risks, where="post", color="C0")
    axes.set(xlabel="share of the answers that is kept", ylabel="share of these that is wrong", xlim=(0, 1.02))
    axes.set_ylim(0, max(0.05, float(risks.max()) * 1.1))
    return _drawn(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError('matplotlib is not installed: pip install "clincite[evaluation]"') from error
    matplotlib.use("Agg")
    matplotlib.rcParams.update(_SALT)
    from matplotlib import pyplot

    return pyplot


def _drawn(figure: Any) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    _pyplot().close(figure)
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
