"""Reports gathered on one page that needs nothing else, and the same page for the same reports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rag.cli import app
from rag.errors import InputError
from rag.evaluation.metrics import Estimate
from rag.evaluation.page import page_of, report_of
from rag.evaluation.report import Report, Row
from rag.evaluation.selective import measure_selection, risk_by_coverage

ROWS = tuple(
    Row({"answered by": who}, {"n": 30}, {"accuracy": Estimate(value, value - 0.1, value + 0.1)})
    for who, value in (("ours", 0.8), ("a constant", 0.5))
)
OUTCOMES = [
    {"id": str(n), "group": str(n), "answer": "yes", "said": "yes" if n % 4 else "no", "confidence": 0.5 + n / 100}
    for n in range(30)
]
REPORT = Report("made-up <i>", {"collection": "Made Up"}, ROWS, {"too old": 2}, ("A note.",), {"outcomes": OUTCOMES})


def test_a_report_survives_its_json() -> None:
    again = report_of(json.loads(json.dumps(REPORT.json())))
    assert again.table() == REPORT.table()
    assert again.details == REPORT.details
    with pytest.raises(InputError, match="this is no report"):
        report_of({"suite": "s", "rows": [{"metrics": {"x": 1}}]})


def test_the_page_holds_tables_and_pictures_and_asks_for_nothing() -> None:
    page = page_of([REPORT, REPORT])
    assert page.count("data:image/svg+xml;base64,") == 6, "who, reliability and risk, of both"
    assert "a constant" in page
    assert "<i>" not in page, "text of a report is text on the page"
    assert not any(word in page for word in ('src="http', 'href="http', "<script", "@import"))
    assert page == page_of([REPORT, REPORT])


def test_the_contents_tell_ours_beside_the_best_of_what_costs_little() -> None:
    oracle = Row({"answered by": "oracle evidence"}, {"n": 30}, {"accuracy": Estimate(0.99, None, None)})
    page = page_of([Report("one", {}, (*ROWS, oracle))], headings=["Is it <so>?"])
    line = page[page.index('<a href="#suite-0">') :].partition("</tr>")[0]
    cells = re.findall(r">([^<]+)</", line)
    assert cells == ["Is it &lt;so&gt;?", "accuracy", "0.800", "0.500", "a constant"], "an oracle costs a lot"


def test_risk_by_coverage_ends_at_the_mean_and_its_mean_is_the_area() -> None:
    sure, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 1])
    risks = risk_by_coverage(sure, right)
    assert risks[-1] == pytest.approx(1 - right.mean())
    assert measure_selection(sure, right)["AURC"].value == pytest.approx(risks.mean())


def test_the_command_writes_both_forms(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(REPORT.json()))
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    arguments = ["evaluate", "report", str(tmp_path / "a.json"), "--html", str(html), "--markdown", str(markdown)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert html.read_text() == page_of([report_of(REPORT.json())])
    assert "| a constant" in markdown.read_text()
