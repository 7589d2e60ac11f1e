"""Questions of every kind, of our own writing, on synthetic reports: most are answered sensibly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rag.answering.engine import Engine
from rag.building.index import Index
from rag.building.source import Source
from rag.errors import InputError
from rag.evaluation.suite import evaluate
from rag.evaluation.suites.kinds import Expected, read_kinds
from rag.settings import Settings

FOLDER = Path(__file__).parents[1] / "data" / "questions"
QUESTIONS = FOLDER / "questions.jsonl"


def test_there_are_at_least_two_hundred_of_many_kinds() -> None:
    rows = read_kinds(QUESTIONS)
    assert len(rows) >= 200
    assert len({row.id for row in rows}) == len(rows)
    assert len(Counter(row.kind for row in rows)) >= 20


def test_most_are_answered_sensibly_and_none_silly_under_a_certificate(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "questions", Settings())
    index.ingest([Source(FOLDER / "reports.jsonl"), Source("notes")])
    report = evaluate(Engine.open(index), "questions", QUESTIONS)
    assert report.value("sensible", kind="all") >= 0.85, report.details["wrong"]
    assert report.row(kind="all").counts["silly_under_certificate"] == 0
    for kind in ("how-many", "which", "compare", "parts", "and-then", "typed"):
        assert report.value("sensible", kind=kind) >= 0.85, (kind, report.details["wrong"])


@pytest.mark.parametrize("part", ["tune", "apart"])
def test_what_a_report_does_not_tell_is_refused_and_what_it_tells_is_quoted(tmp_path: Path, part: str) -> None:
    index = Index.create(tmp_path / "open", Settings())
    index.ingest([Source(FOLDER / "open-reports.jsonl")])
    rows = FOLDER / f"open-{part}.jsonl"
    assert len(read_kinds(rows)) >= 100
    report = evaluate(Engine.open(index), "questions", rows)
    assert report.value("sensible", kind="told") >= 0.9, report.details["wrong"]
    assert report.value("sensible", kind="untold") >= 0.95, report.details["wrong"]


def test_a_judge_finds_what_is_not_sensible(engine: Engine) -> None:
    answer = engine.ask("Does study CXR2814 show cardiomegaly?")
    assert Expected(decision="answered", verdict="yes", cites=("CXR2814",)).faults(answer) == []
    assert Expected(verdict="no").faults(answer) == ["the verdict is yes"]
    for wrong in (
        Expected(decision="abstained"),
        Expected(count=3),
        Expected(says=("pneumonia",)),
        Expected(cites=("CXR1",)),
        Expected(table=True),
        Expected(parts=("yes",)),
        Expected(silent=True),
        Expected(error="no study"),
    ):
        assert len(wrong.faults(answer)) == 1


def test_a_row_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "1", "kind": "x", "question": "?", "expect": {"verdikt": "yes"}}\n')
    with pytest.raises(InputError, match="line 1"):
        read_kinds(path)
