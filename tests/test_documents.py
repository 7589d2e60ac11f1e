"""The documents say what is there: figures that are kept, paths and commands that exist, the tree as it is."""

from __future__ import annotations

import re
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


PROSE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md")]


@pytest.mark.parametrize("document", PROSE, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = {target.split("#")[0] for target in re.findall(r"\]\(([^):]+)\)", text)} - {""}
    assert [link for link in links if not (document.parent / link).exists()] == []
    named = set(re.findall(r"`((?:rag|knowledge|tests|benchmarks|docs|examples)/[\w./-]+)`", text))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", PROSE, ids=lambda path: path.name)
def test_every_command_that_a_document_names_is_there(document: Path) -> None:
    from typer.main import get_command

    from rag.cli import app

    text = document.read_text(encoding="utf-8")
    for line in re.findall(r"(?:^|`|bin/)rag ([a-z][a-z -]*(?:\|[a-z-]+)*)", text, re.M):
        group = get_command(app)
        for word in line.split():
            commands = getattr(group, "commands", None)
            if commands is None or word.startswith("-"):
                break  # what follows are the command's own words
            for name in word.split("|"):
                assert name in commands, f"{document.name}: rag {line}"
            group = commands[word.split("|")[0]]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M)) <= targets


def test_the_architecture_shows_the_tree_as_it_is_and_stays_short() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("    rag/\n") : text.index("    knowledge/")]
    shown = set(re.findall(r"(?:^      |(?<=py) )(\w+(?:/|\.py))", tree, re.M))
    there = {f"{p.name}/" if p.is_dir() else p.name for p in (ROOT / "rag").iterdir() if not p.name.startswith("__")}
    assert shown - {"__init__.py"} == {name for name in there if name.endswith(("/", ".py"))} - {"knowledge/"}
    assert len(text.splitlines()) <= 150
