"""`make evaluate` and `make reproduce`: commands that there are, what is kept, the same bytes twice, what moved."""

from __future__ import annotations

import shlex
import sys
import time
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
    for name in ("evaluate", "jobs", "tables"):
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


@pytest.fixture
def small(script: ModuleType, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with a list of two commands, one of which has no data; what it writes goes aside."""
    listed = tmp_path / "evaluate.yaml"
    entries = [
        {"name": "negation", "question": "?", "command": f"rag evaluate negation --data {published / 'negation'}"},
        {"name": "absent", "question": "?", "command": "rag evaluate negation --data ../shared/data/none-such"},
    ]
    listed.write_text("# a head\n" + yaml.safe_dump(entries, sort_keys=False))
    for name, value in (("LISTED", listed), ("BUILT", tmp_path / "build")):
        monkeypatch.setattr(script, name, value)
    monkeypatch.setattr(script, "report", lambda name, table, save: (tmp_path / f"{name}.table").write_text(str(table)))
    monkeypatch.setattr(script, "ROOT", tmp_path)
    return script


def test_what_was_measured_is_kept_and_not_measured_again(
    small: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.main(["--save"])
    said = capsys.readouterr().out
    assert "absent: not measured: ../shared/data/none-such is not there" in said
    assert "negation: 1 of 1" in said
    kept = yaml.safe_load(small.LISTED.read_text())[0]
    assert {"row": "ours", "metric": "accuracy", "value": 1.0} in kept["expected"]
    assert kept["processor_s"] >= 0
    assert small.LISTED.read_text().startswith("# a head")
    first = (tmp_path / "build" / "evaluation" / "negation.json").read_bytes()
    small.main(["--save"])
    assert "negation: measured before" in capsys.readouterr().out
    small.main(["--check"])
    said = capsys.readouterr().out
    assert "negation: 1 of 1" in said, "to reproduce is to measure again"
    assert "as expected" in said
    assert (tmp_path / "build" / "reproduction" / "negation.json").read_bytes() == first
    assert (tmp_path / "build" / "evaluation" / "report.html").exists()


def test_what_moved_and_what_failed_end_in_one_sentence(
    small: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry, absent = yaml.safe_load(small.LISTED.read_text())
    entry["expected"] = [
        {"row": "ours", "metric": "accuracy", "value": 0.9},
        {"row": "gone", "metric": "x", "value": 1},
    ]
    broken = {"name": "broken", "question": "?", "command": f"rag evaluate negation --data {tmp_path}"}
    small.LISTED.write_text(yaml.safe_dump([entry, absent, broken]))
    with pytest.raises(SystemExit, match="1 of 3 failed: broken"):
        small.main(["--check"])
    said = capsys.readouterr().out
    assert "ours, accuracy: 0.900 → 1.000 (+0.100)" in said
    assert "gone: there is no x any more" in said
    assert "does not look like the NegEx test kit" in said
    with pytest.raises(SystemExit, match="1 of 1 moved"):
        small.main(["--check", "negation"])


def test_an_index_that_is_not_there_is_said_with_how_to_make_it(script: ModuleType) -> None:
    assert script.missing("rag evaluate x --index none-such", "nowhere").endswith("make it with: make none-such")


def test_jobs_run_side_by_side_and_end_with_whoever_listens(script: ModuleType, tmp_path: Path) -> None:
    from jobs import Job, run_jobs

    def waits(seconds: float) -> tuple[str, ...]:
        return (sys.executable, "-c", f"import time; time.sleep({seconds}); print('done')")

    began = time.monotonic()
    several = [Job("a", waits(1.0)), Job("b", waits(1.0), likely_s=5)]
    lines = list[str]()
    ended = list(run_jobs(several, tmp_path, at_once=2, tell=lines.append))
    assert time.monotonic() - began < 1.9
    assert [(d.status, d.printed) for d in ended] == [(0, "done\n")] * 2
    assert lines == ["b: begun", "a: begun"], "the longest begins first"
    began = time.monotonic()
    for _ in run_jobs([Job("quick", waits(0)), Job("slow", waits(60))], tmp_path, at_once=2, tell=lines.append):
        break
    assert time.monotonic() - began < 10, "the slow one was ended"
