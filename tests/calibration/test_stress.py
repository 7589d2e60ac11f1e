"""The benchmark of certificates under stress, small: what is unlike the tested is not answered under a certificate."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.answering.opening import open_without_index
from rag.settings import load_settings

ALPHA, STUDIES = 0.25, 120


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[tuple[str, str], Any]]:
    """(stress, method) -> the benchmark's row."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        stress = importlib.import_module("stress")
        with open_without_index(load_settings()) as pipeline:
            world = stress.build(STUDIES, pipeline)
            said = stress.answers_under_stress(world, pipeline)
        yield {(str(r[1]), str(r[2])): r for r in stress.compare(world, said, 1, (ALPHA,))}
    finally:
        sys.path.remove(folder)


@pytest.mark.parametrize(
    "unlike", ["questions that no report tells", "words that nobody used", "own report missing", "another language"]
)
def test_what_was_not_tested_is_not_answered_under_the_certificate(unlike: str, rows: dict[Any, Any]) -> None:
    *_, answered, _ = rows[unlike, "ours"]
    assert answered <= 0.05
    *_, answered, right = rows["as tested", "ours"]
    assert answered > 0.6, "and what was tested is"
    assert right > 0.5


def test_without_forms_and_wordings_the_same_certificate_breaks_its_promise(rows: dict[Any, Any]) -> None:
    *_, risk, _, _ = rows["questions that no report tells", "ours, whatever is asked"]
    assert risk == 1.0, "any yes or no is wrong where no report tells"
    *_, risk, _, _ = rows["words that nobody used", "ours, whatever is asked"]
    assert risk > ALPHA


def test_other_patients_reports_change_no_answer(rows: dict[Any, Any]) -> None:
    assert rows["among other patients", "ours"][3:] == rows["as tested", "ours"][3:]
