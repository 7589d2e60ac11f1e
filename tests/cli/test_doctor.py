"""What the machine can do is told, and what is missing is named with what mends it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from commands import environment, rag

from rag.cli import doctor


def test_the_doctor_looks_at_everything_and_names_what_mends_it(tmp_path: Path) -> None:
    done = rag("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    by_name = {f["name"]: f for f in told["findings"]}
    assert {f["about"] for f in told["findings"]} == {"machine", "device", "disk", "core", "extras", "weights"}
    assert by_name["required packages"]["found"] == "all there"
    assert {"serve", "models", "llm", "mcp"} <= by_name.keys()
    for finding in told["findings"]:
        missing = finding["found"].startswith(("missing", "not installed", "absent")) or "cannot" in finding["found"]
        assert bool(finding["remedy"]) or not missing, finding


def test_weights_that_are_missing_and_a_damaged_index_are_named(tmp_path: Path) -> None:
    (tmp_path / "indexes" / "broken").mkdir(parents=True)
    (tmp_path / "indexes" / "broken" / "catalogue.sqlite").write_bytes(b"no database")
    more = {"RAG_ENCODERS__TEXT": str(tmp_path / "nowhere"), "PYTHONIOENCODING": "latin-1"}
    done = rag("doctor", cwd=tmp_path, env=environment(**more))
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "nowhere cannot be used" in words
    assert "index broken: cannot be opened" in words and "not a SQLite file" in words
    assert "set the terminal to UTF-8" in words


def test_requirements_are_those_of_the_package_and_of_the_extras_that_an_extra_includes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = [
        "numpy>=1.0",
        "typer>=9999",
        'there-is-no-such-thing>=1; extra == "inner"',
        'clincite[inner]; extra == "outer"',
        'clincite[outer]; extra == "inner"',
        'numpy>=1.0; extra == "outer"',
        'also-not-there; sys_platform == "nowhere" and extra == "outer"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: declared)
    assert doctor._missing("") == {"typer>=9999"}
    assert doctor._missing("inner") == {"there-is-no-such-thing>=1"}
    assert doctor._missing("outer") == {"there-is-no-such-thing>=1"}


def test_what_every_command_needs_makes_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["typer>=9999"])
    (core,) = (f for f in doctor._extras() if f.about == "core")
    assert core.remedy == "pip install clincite" and "typer>=9999" in core.found
