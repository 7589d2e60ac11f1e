"""docs/evaluation.md says what benchmarks/results/*.json hold, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the document; benchmarks import it by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "tables", raising=False)
    import tables

    return tables


def test_the_document_is_what_the_results_make(tables: ModuleType) -> None:
    made, there = tables.document(), tables.DOCUMENT.read_text(encoding="utf-8")
    assert made == there, "docs/evaluation.md is not what benchmarks/results make: run python benchmarks/tables.py"


def test_every_table_names_what_measures_it_and_each_file_is_as_the_benchmarks_write_it(tables: ModuleType) -> None:
    files = sorted(tables.RESULTS.iterdir())
    assert files
    for file in files:
        table = tables.read(file)
        assert table.command, file.name
        assert tables.written(table) == file.read_text(encoding="utf-8"), file.name


def test_a_file_of_another_shape_is_refused_in_one_sentence(tables: ModuleType, tmp_path: Path) -> None:
    good = next(iter(sorted(tables.RESULTS.glob("speed-start.json")))).read_text(encoding="utf-8")
    for bad in ('"sectoin"', '"note": "two\\nlines"'):
        file = tmp_path / "bad.json"
        file.write_text(good.replace('"section"', bad) if "sectoin" in bad else good[:-3] + f", {bad}\n}}\n")
        with pytest.raises(SystemExit, match="bad.json"):
            tables.read(file)


def test_saving_a_part_replaces_its_rows_and_keeps_the_others(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "DOCUMENT", tmp_path / "evaluation.md")

    def save(*rows: tuple[object, ...]) -> None:
        table = tables.Table(
            section="Speed", question="How fast?", columns=("what", "ms"), runs=(tables.measured(rows),), command="x"
        )
        tables.report("fast", table, save=True, key=1)

    save(("ours", 3.0), ("theirs", 4.0))
    save(("ours", 2.5))
    runs = tables.read(tmp_path / "fast.json").runs
    assert [run.rows for run in runs] == [(("ours", 2.5),), (("theirs", 4.0),)]
    assert "| ours | 2.5 | 1 |\n| theirs | 4.0 | 2 |" in (tmp_path / "evaluation.md").read_text()
