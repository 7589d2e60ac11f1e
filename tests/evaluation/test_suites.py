"""Suites are found by name, take their options, and give one kind of report."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.answering.engine import Engine
from rag.cli import app
from rag.errors import InputError
from rag.evaluation.metrics import Estimate
from rag.evaluation.report import Report, Row
from rag.evaluation.suite import Sample, evaluate, named_suite
from rag.evaluation.suites.labels import MEAN, MIN_POSITIVES
from rag.plugins import names
from rag.progress import Progress
from rag.settings import Settings

ROWS = (
    Row({"finding": "<b>effusion</b> | left"}, {"positives": 1200}, {"recall": Estimate(0.9, 0.8, 0.95)}),
    Row({"finding": "mean"}, {}, {"recall": Estimate(0.9, None, None)}),
)
REPORT = Report("made-up", {"index": "demo"}, ROWS, {"too old": 2}, ("A note.",), {"wrong": ["q1"]})


class Lines:
    """A suite of another package: counts the lines of a file."""

    name = "lines"

    def __init__(self, longest: str = "80") -> None:
        self.longest = int(longest)

    def read(self, path: Path) -> Sample:
        return Sample(path.read_text().splitlines())

    def measure(self, subject: object, sample: Sample, progress: Progress) -> Report:
        long = sum(len(row) > self.longest for row in sample.rows)
        return Report(self.name, {}, (Row({}, {"lines": len(sample.rows), "long": long}, {}),))


def test_every_suite_is_found_under_its_own_name() -> None:
    assert {name: named_suite(name).name for name in names("suite")} == {name: name for name in names("suite")}


def test_a_report_is_a_table_json_and_a_page() -> None:
    table, page = REPORT.table(), REPORT.html()
    assert "left out: 2 (too old)" in table
    assert "1,200" in table
    assert "0.900 (0.800–0.950)" in table
    assert json.loads(json.dumps(REPORT.json()))["rows"][0]["metrics"]["recall"] == {
        "value": 0.9,
        "low": 0.8,
        "high": 0.95,
    }
    assert REPORT.json()["wrong"] == ["q1"]
    cells = Cells()
    cells.feed(page)
    assert "<b>effusion</b> | left" in cells.texts, "text of a report is text on the page"
    assert "b" not in cells.tags
    assert REPORT.value("recall", finding="mean") == 0.9
    with pytest.raises(KeyError, match="no row"):
        REPORT.row(finding="none")


def test_no_metric_hides_what_a_row_is_about() -> None:
    """A column has one meaning: a metric of the same name would stand where the row's name should."""
    with pytest.raises(ValueError, match="answered"):
        Row({"answered": "ours"}, {}, {"answered": Estimate(0.9, None, None)})


def test_a_cell_cannot_break_the_table() -> None:
    lines = [line for line in REPORT.table().splitlines() if line.startswith("|")]
    bars = {line.replace(r"\|", "").count("|") for line in lines[:3]}
    assert bars == {4}


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_suite_of_somebody_else_runs_by_its_path_with_its_options(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwenty characters or so\n")
    found = evaluate(Settings(), f"{__name__}:Lines", path, longest=10)
    assert found.row().counts == {"lines": 2, "long": 1}
    done = CliRunner().invoke(app, ["evaluate", f"{__name__}:Lines", str(path), "-o", "longest=3", "--json"])
    assert json.loads(done.stdout)["rows"] == [{"lines": 2, "long": 1, "metrics": {}}]


@pytest.mark.parametrize(
    ("suite", "options", "words"),
    [
        ("nope", {}, "there is no suite 'nope'"),
        ("reliance", {"frist": True}, "does not take these options: unknown: frist"),
        ("reliance", {"seed": "many"}, "option 'seed'"),
        (f"{__name__}:Lines", {"longest": "many"}, "does not take these options"),
        ("reliance", {}, "measures an index"),
        ("questions", {}, "measures an index"),
        ("channels", {}, "measures an index"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(suite: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(Settings(), suite, ["a row"], **options)


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        evaluate(Settings(), "assertion", [])


def test_labels_are_asked_of_the_studies_that_the_index_holds(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("study,cardiomegaly,Pleural_Effusion,normal\nCXR2814,1,0,0\nCXR1,0,0,1\nCXR99999,1,1,0\n")
    found = evaluate(engine, "labels", path)
    assert found.left_out == {"the study is not in the index": 2}
    assert found.row(finding="cardiomegaly").counts == {"positives": 1}
    assert found.value("F1", finding="cardiomegaly") == 1.0
    assert "Pleural_Effusion" not in {r.of["finding"] for r in found.rows}, "no study of the index has it"
    assert found.row(finding=MEAN).counts == {"findings": 0}, f"fewer than {MIN_POSITIVES} positives are not averaged"
    path.write_text("study,cardiomegaly\nCXR1,maybe\n")
    with pytest.raises(InputError, match="column 'cardiomegaly'"):
        evaluate(engine, "labels", path)
