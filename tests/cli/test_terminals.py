"""Any encoding, any width, pipes that nobody reads; and nothing in the ledger that was not shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, environment, rag
from typer.main import get_command

from rag.cli import app
from rag.cli.settings_page import page as settings_page

ROWS = [
    {"id": "a1", "text": "The heart is enlarged.", "domain": "radiology", "group": "p1", "kind": "report"},
    {"id": "Müller_01", "text": "Cardiomegaly.", "domain": "radiology", "group": "p2", "kind": "report"},
    {
        "id": "l1",
        "text": "α1-antitrypsin deficiency causes emphysema in ≥ 2% of 東京.",
        "domain": "general",
        "group": "l1",
        "kind": "literature",
    },
]
STUDY = "Does study a1 show cardiomegaly?"
GREEK = "What does α1-antitrypsin deficiency cause?"
CP1252 = {"PYTHONIOENCODING": "cp1252"}
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
ENCODINGS = {"cp1252": CP1252, "latin-1": {"PYTHONIOENCODING": "latin-1"}, "POSIX": POSIX}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the index ``small`` in ``indexes``."""
    folder = tmp_path_factory.mktemp("terminals")
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS), encoding="utf-8")
    assert rag("ingest", "cases.jsonl", "--index", "small", cwd=folder).returncode == 0
    return folder


def recorded(here: Path) -> list[str]:
    done = rag("audit", "list", "--json", cwd=here)
    return [e["question"] for e in json.loads(done.stdout)["entries"]]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("command", [("ask", GREEK), ("search", "emphysema")], ids=["ask", "search"])
def test_what_an_encoding_lacks_is_spelt_out(here: Path, encoding: dict[str, str], command: tuple[str, ...]) -> None:
    done = rag(*command, cwd=here, env=environment(**encoding), text=False)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode("cp1252")
    assert "GREEK SMALL LETTER ALPHA" in " ".join(shown.split())
    assert b"Traceback" not in done.stderr
    told = rag(*command, "--json", cwd=here, env=environment(**encoding), text=False)
    assert told.returncode == 0, told.stderr
    assert "α1-antitrypsin" in json.dumps(json.loads(told.stdout.decode("ascii")), ensure_ascii=False)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_a_question_is_read_as_it_was_typed(here: Path, encoding: dict[str, str]) -> None:
    asked = rag("ask", "Does study Müller_01 show cardiomegaly?", "--json", cwd=here, env=environment(**encoding))
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["question"]["study"] == "Müller_01"


@pytest.mark.parametrize("encoding", [{}, POSIX], ids=["UTF-8", "POSIX"])
def test_a_question_that_is_not_utf8_is_refused_in_one_sentence(here: Path, encoding: dict[str, str]) -> None:
    before = recorded(here)
    done = rag("ask", "Does study M\xfcller_01 show it?".encode("latin-1"), cwd=here, env=environment(**encoding))
    assert done.returncode == 2
    assert "the command line is not UTF-8" in done.stderr
    assert recorded(here) == before


def test_help_and_progress_in_any_encoding(here: Path) -> None:
    for encoding in ENCODINGS.values():
        for command in ((), ("ask", "--help"), ("index", "list")):
            done = rag(*command, cwd=here, env=environment(**encoding), text=False)
            assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("more", [(), ("--json",), ("--stream",), ("--stream", "--json")])
def test_what_nobody_would_read_is_not_asked(here: Path, more: tuple[str, ...]) -> None:
    before, (reader, writer) = recorded(here), os.pipe()
    os.close(reader)
    try:
        done = rag("ask", STUDY, *more, cwd=here, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert "nobody would see the answer; nothing was asked" in done.stderr
    assert recorded(here) == before


def test_a_closed_output_is_no_traceback(here: Path) -> None:
    before = recorded(here)
    script = f'"{sys.executable}" -c "from rag.cli import main; main()" "$@" >&-'
    for arguments in (("ask", STUDY), ("search", "heart"), ("index", "list", "--json"), ("--help",)):
        command = ["sh", "-c", script, "sh", *arguments]
        done = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, (arguments, done.stderr)
    assert recorded(here) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_answer_that_could_not_be_written_is_named_and_found(here: Path) -> None:
    with Path("/dev/full").open("w") as full:
        for more in ((), ("--json",)):
            done = rag("ask", STUDY, *more, cwd=here, capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1
            assert "could not be written" in done.stderr and "Exception ignored" not in done.stderr
            identity = done.stderr.split("rag audit show ")[1].split()[0]
            assert rag("audit", "show", identity, cwd=here).returncode == 0


@pytest.mark.parametrize("command", [("search", "heart"), ("index", "list", "--json"), ("settings",), ("--help",)])
def test_a_reader_that_leaves_early_is_no_error_of_ours(here: Path, command: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = rag(*command, cwd=here, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize("columns", ["20", "40"])
def test_a_narrow_window_cuts_no_name(here: Path, columns: str) -> None:
    def seen(*arguments: str) -> str:
        done = rag(*arguments, cwd=here, env=environment(COLUMNS=columns))
        assert done.returncode == 0, done.stderr
        return "".join(done.stdout.split())

    for option in ("--exclude-group", "--generator", "--no-ledger"):
        assert option in seen("ask", "--help")
    assert "Cardiomegaly" in seen("ask", "Does study Müller_01 show cardiomegaly?")
    for listed in ("small", "1literature,2report"):
        assert listed in seen("index", "list")
    assert "…" not in seen("search", "heart enlarged")


def options() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def walk(command: Any, name: str) -> None:
        found.extend((f"{name} {p.name}", p) for p in command.params)
        for sub, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{name} {sub}")

    walk(get_command(app), "rag")
    return found


def test_help_shows_every_default_and_swallows_no_bracket() -> None:
    """Square brackets in help are rich's markup: what stands in them is not shown."""
    for name, parameter in options():
        assert "[" not in (parameter.help or ""), name
        if name.endswith((" help", "completion")) or parameter.default in (None, False, True) or parameter.required:
            continue
        assert parameter.show_default, name
    told = "".join(rag("serve", "--help").stdout.replace("│", "").split())
    for default in ("[default:(127.0.0.1)]", "[default:(8000)]", "[default:(all)]"):
        assert default in told, told


def test_bare_commands_are_help(here: Path) -> None:
    for arguments in ((), ("index",), ("audit",), ("serve", "keys")):
        done = rag(*arguments, cwd=here)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage" in done.stdout


def test_the_only_index_need_not_be_named(here: Path, tmp_path: Path) -> None:
    answer = json.loads(rag("ask", STUDY, "--json", cwd=here).stdout)
    assert answer["verdict"] == "yes"
    for command in (("search", "heart"), ("audit", "list"), ("audit", "verify", "--all"), ("audit", "export")):
        assert rag(*command, cwd=here).returncode == 0, command
    for command in (("show",), ("verify",), ("replay",)):
        done = rag("audit", *command, answer["audit_id"], "--index", "small", cwd=here)
        assert done.returncode == 0, (command, done.stderr)
    judged = rag("audit", "feedback", answer["audit_id"], "right", "--index", "small", cwd=here)
    assert judged.returncode == 0, judged.stderr
    nowhere = rag("ask", STUDY, cwd=tmp_path)
    assert nowhere.returncode == 2 and "there is no index in indexes; build one with" in nowhere.stderr
    for name in ("one", "two"):
        shutil.copytree(here / "indexes" / "small", tmp_path / "indexes" / name)
    several = rag("ask", STUDY, cwd=tmp_path)
    assert several.returncode == 2 and "there are: one, two" in several.stderr


def test_the_shell_completes_commands_and_names_of_indexes(here: Path) -> None:
    def completed(words: str) -> str:
        shell = {"_RAG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        script = "import sys; sys.argv[0] = 'rag'; from rag.cli import main; main()"
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=here, env=environment(**shell), capture_output=True, text=True, check=False)
        return done.stdout

    assert "search" in completed("rag sea").split()
    assert "small" in completed("rag ask x --index sm").split()
    assert "--install-completion" in rag("--help").stdout


def test_the_page_of_settings_is_the_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "write it anew: rag settings --markdown > docs/settings.md"
    for name in ("k_max", "api_key", "ingest_roots", "issuer"):
        assert f"| `{name}` |" in page


def test_settings_are_listed_with_what_holds_now(here: Path) -> None:
    env = environment(RAG_SELECTION__K_MAX="3", RAG_GENERATION__OPENAI__API_KEY="k-secret")
    listed = json.loads(rag("settings", "--json", cwd=here, env=env).stdout)["settings"]
    by_name = {s["name"]: s for s in listed}
    assert (by_name["selection.k_max"]["default"], by_name["selection.k_max"]["value"]) == ("8", "3")
    assert by_name["serving.port"]["variable"] == "RAG_SERVING__PORT"
    assert by_name["generation.openai.api_key"]["value"] == "(set)"
    assert all(s["description"] for s in listed)
    told = rag("settings", "selection", cwd=here, env=env).stdout
    assert "selection.k_max (whole number, at least 1, at most 100; default 8, now 3)" in told
    assert "serving" not in told


def test_dir_lists_the_interface() -> None:
    import rag as package

    assert {"Engine", "Index", "Question", "calibrate", "load_settings"} <= set(dir(package))
    assert set(dir(package)) == set(package.__all__)


def test_the_cases_of_output(data: Path, here: Path) -> None:
    """Small cases after public reports, kind K14."""
    file = data / "faults" / "cases.jsonl"
    if not file.is_file():
        pytest.skip("the fault cases (../shared/data/faults) are not here")
    cases = [c for c in map(json.loads, file.open(encoding="utf-8")) if c["kind"].startswith("K14 ")]
    assert cases
    for case in cases:
        variables = dict(w.split("=", 1) for w in case["input"].split() if "=" in w and w.split("=", 1)[0].isupper())
        question = case["input"].split("'")[1].replace("…", "show cardiomegaly?")
        done = rag("ask", question, "--json", cwd=here, env=environment(**variables))
        assert done.returncode in (0, 2), (case["id"], done.stderr)
        assert "internal error" not in done.stderr
