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
from rag.evaluation.baselines import OracleEvidence
from rag.evaluation.metrics import Estimate
from rag.evaluation.report import Report, Row, fill_table, page_around
from rag.evaluation.selective import BINS, risk_by_coverage
from rag.plugins import find, names

_OURS = ("ours", "as asked", "the rules", "fused, weights of the profile", "encoder")
_CHEAP = frozenset(  # of some suites alone; see also the plug-ins of the kind "baseline"
    {"shared words", "a word of negation anywhere", "no error anywhere", "the last sentence, as it is", "text only"}
    | {"the most typical text", "the nearest image's text", "the longest option", "a random order", "random"}
)
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


def page_of(
    reports: Sequence[Report], title: str = "ClinCite: evaluation", headings: Sequence[str] | None = None
) -> str:
    """One HTML page of all of them, with a list of contents: each one's first figure beside what costs little.

    Args:
        headings: of each report, what it answers; its suite and collection unless given.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    body = Element("body")
    SubElement(body, "h1").text = title
    heads = list(headings) if headings is not None else [_headline(report) for report in reports]
    summary = list(map(_summary, heads, reports))
    fill_table(SubElement(body, "section"), ["", "figure", "ours", "best of what costs little", "which"], summary)
    contents = [row.find("td") for row in body.iter("tr")][1:]
    for n, (cell, name, report) in enumerate(zip(contents, heads, reports, strict=True)):
        assert cell is not None
        cell.text = None
        SubElement(cell, "a", href=f"#suite-{n}").text = name
        section = SubElement(body, "section", id=f"suite-{n}")
        report.fill(section, "h2", name)
        for words, picture in _pictures(report):
            SubElement(section, "img", alt=words, title=words, src=picture)
    return page_around(body, title)


def _headline(report: Report) -> str:
    of = report.measured.get("collection")
    return f"{report.suite}: {of}" if of else report.suite


def _summary(name: str, report: Report) -> list[str]:
    """A line of the contents; figures only where the first table holds baselines."""
    rows = {next(iter(row.of.values())): row for row in reversed(_compared(report) or [])}
    ours = next((rows[name] for name in _OURS if name in rows), None)
    cheap = [row for name, row in rows.items() if name in _cheap()]
    if ours is None or not cheap:
        return [name, "", "", "", ""]
    metric = next(iter(report.rows[0].metrics))
    best = max(cheap, key=lambda row: row.metrics[metric].value)
    shown = [f"{row.metrics[metric].value:.3f}" for row in (ours, best)]
    return [name, metric.replace("_", " "), *shown, next(iter(best.of.values()))]


def _cheap() -> frozenset[str]:
    """Names of what costs little; evidence that the labels give does not."""
    installed = {find("baseline", name).name for name in names("baseline")}
    return _CHEAP | (installed - {OracleEvidence.name})


def _pictures(report: Report) -> Iterator[tuple[str, str]]:
    if (rows := _compared(report)) is not None:
        yield "the first figure of each row, with intervals over groups", _side_by_side(rows)
    outcomes = [o for o in report.details.get("outcomes", ()) if o.get("confidence") is not None]
    said = [
        (float(o["confidence"]), float(o["said"] == o["answer"])) for o in outcomes if o["said"] not in ("", "withheld")
    ]
    if len(said) >= _FEWEST:
        sure, right = (np.array(values) for values in zip(*said, strict=True))
        yield "reliability: how often answers of a confidence are right", _reliability(sure, right)
        yield "risk of the surest answers, by the share that is answered", _risk(sure, right)


def _compared(report: Report) -> list[Row] | None:
    """The rows of the first table; None where there is nothing to compare."""
    first = report.rows[0] if report.rows else None
    if first is None or not first.of or not first.metrics:
        return None
    metric = next(iter(first.metrics))
    alike = [row for row in report.rows if row.of.keys() == first.of.keys() and metric in row.metrics]
    return alike if len(alike) > 1 else None


def _side_by_side(rows: Sequence[Row]) -> str:
    """The first metric, a line for each row; ours in another colour."""
    metric = next(iter(rows[0].metrics))
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(6, 0.6 + 0.28 * len(rows)))
    for n, row in enumerate(reversed(rows)):
        value = row.metrics[metric]
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [n, n], color="0.6", linewidth=2)
        axes.plot([value.value], [n], "o", color="C0" if next(iter(row.of.values())) in _OURS else "0.2")
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
