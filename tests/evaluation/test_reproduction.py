"""`make evaluate` and `make reproduce`: commands that there are, the same bytes twice, and what moved in words."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rag.plugins import names

ROOT = Path(__file__).parents[2]
yaml = pytest.importorskip("yaml")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script; benchmarks import one another by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("evaluate", "tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import evaluate

    return evaluate


def test_every_entry_is_a_command_that_there_is(script: ModuleType) -> None:
    entries = yaml.safe_load(script.LISTED.read_text("utf-8"))
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in entries:
        words = shlex.split(entry["command"])
        assert words[:2] == ["rag", "evaluate"]
        assert words[2] in names("suite") or words[2].endswith(".jsonl"), entry["command"]
        assert script.as_yaml(entries) == script.LISTED.read_text("utf-8"), "kept as the script writes it"


def test_two_runs_give_the_same_bytes_and_what_moves_is_said(script: ModuleType, published: Path) -> None:
    command = f"rag evaluate negation --data {published / 'negation'}"
    first, second = script.run(command, "../shared/data"), script.run(command, "../shared/data")
    assert script.written(first) == script.written(second)
    expected = script.expected_of(script.report_of(first))
    assert {"row": "ours", "metric": "accuracy", "value": 1.0} in expected
    assert script.compared({"expected": expected}, first) == []
    moved = script.compared({"expected": [{"row": "ours", "metric": "accuracy", "value": 0.9}]}, first)
    assert moved == ["ours, accuracy: 0.900 → 1.000 (+0.100)"]
    assert script.compared({"expected": [{"row": "gone", "metric": "x", "value": 1}]}, first) == [
        "gone: there is no x any more"
    ]
    table = script.table_of({"question": "?", "command": command}, script.report_of(first))
    assert table.columns[0] == "read by"


def test_what_is_not_there_is_not_measured(script: ModuleType) -> None:
    assert "is not there" in script.run("rag evaluate negation --data nowhere/negation", "nowhere")
    assert "the index none-such is not there" in script.run("rag evaluate x.jsonl --index none-such", "nowhere")
