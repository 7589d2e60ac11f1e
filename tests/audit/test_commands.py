"""``rag audit``: what people type, and what they get."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.audit.ledger import Ledger
from rag.cli import main
from rag.evaluation.questions import read_yes_no
from rag.indexing import IndexStore

from .samples import WORKING, make_answer, tamper

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``rag audit …`` over an index with an empty store: exit code, standard output, standard error."""
    IndexStore.create(tmp_path / "indexes" / "mine").close()
    monkeypatch.setenv("RAG_INDEXES", str(tmp_path / "indexes"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rag", "audit", *arguments])
        code = 0
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def mine(tmp_path: Path, rag: Run) -> Ledger:
    return Ledger(tmp_path / "indexes" / "mine" / "ledger.sqlite")


def as_json(told: tuple[int, str, str]) -> Any:
    code, out, err = told
    assert code == 0, err
    return json.loads(out)


def test_answers_judgements_and_redactions_are_listed(rag: Run, mine: Ledger) -> None:
    given = make_answer("Is it large?")
    mine.append(given, WORKING, "key-1")
    code, out, _ = rag("feedback", given.audit_id, "corrected", "--correction", "No, it is not.")
    assert code == 0 and given.audit_id in out
    rows = as_json(rag("list", "--index", "mine", "--json"))["entries"]
    assert [(r["audit_id"], r["caller"], r["question"]) for r in rows] == [(given.audit_id, "key-1", "Is it large?")]
    rows = as_json(rag("list", "--index", "mine", "--kind", "all", "--json"))["entries"]
    assert [r["decision"] for r in rows] == ["corrected", "answered"]
    code, out, _ = rag("list", "--index", "mine")
    assert given.audit_id in out and "Is it large?" in out


def test_a_record_is_shown_with_how_it_came_about(rag: Run, mine: Ledger) -> None:
    given = make_answer()
    mine.append(given, WORKING, "key-1")
    rag("feedback", given.audit_id, "wrong", "--reason", "seen the film")
    told = as_json(rag("show", given.audit_id, "--json"))
    assert told["caller"] == "key-1" and told["answer"]["audit_id"] == given.audit_id
    assert told["working"]["policy"]["k"] == 3 and told["working"]["dropped"][0]["verdict"] == "unsupported"
    assert told["feedback"][0]["reason"] == "seen the film"
    code, out, _ = rag("show", given.audit_id)
    assert code == 0 and "The aorta is wide." in out and "wrong" in out


def test_the_whole_ledger_is_verified_and_the_first_broken_entry_named(rag: Run, mine: Ledger) -> None:
    given = [make_answer() for _ in range(3)]
    for answer in given:
        mine.append(answer)
    head = as_json(rag("verify", "--all", "--index", "mine", "--json"))["head"]
    mine.append(make_answer())
    code, out, _ = rag("verify", "--all", "--index", "mine", "--expect", head)
    assert code == 0 and "4 entries" in out
    path = mine.images.folder.parent / "ledger.sqlite"
    tamper(path, "UPDATE parts SET text = replace(text, 'enlarged', 'normal') WHERE entry >= 2")
    code, out, _ = rag("verify", "--all", "--index", "mine")
    assert code == 1 and f"entry 2 ({given[1].audit_id})" in out
    told = json.loads(rag("verify", given[1].audit_id, "--json")[1])
    assert not told["ok"]
    tamper(path, "DELETE FROM entries WHERE number > 1")
    code, out, _ = rag("verify", "--all", "--index", "mine", "--expect", head)
    assert code == 1 and "cut off" in out


def test_files_are_written_for_others(rag: Run, mine: Ledger, tmp_path: Path) -> None:
    given = make_answer("Is it large?")
    mine.append(given, WORKING)
    rag("feedback", given.audit_id, "right")
    code, out, _ = rag("export", "--index", "mine", "--out", "ledger.jsonl")
    assert code == 0 and "wrote 2" in out
    assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o777 == 0o600
    assert rag("export", "--index", "mine")[1] == (tmp_path / "ledger.jsonl").read_text()
    code, out, _ = rag("export", "--index", "mine", "--format", "questions", "--out", "judged.jsonl")
    (question,), _ = read_yes_no(tmp_path / "judged.jsonl")
    assert (question.question.text, question.answer) == ("Is it large?", "yes")
    code, out, _ = rag("export", given.audit_id, "--out", "answer.html")
    assert code == 0 and "Is it large?" in (tmp_path / "answer.html").read_text()


def test_texts_and_images_are_redacted(rag: Run, mine: Ledger, image: Callable[[str], str]) -> None:
    given = make_answer("Is it large?", image=image("red"))
    mine.append(given, WORKING)
    mine.append(make_answer(document="hers", group="P7"), WORKING)
    done = as_json(rag("redact", given.audit_id, "--why", "by mistake", "--yes", "--json"))
    assert (done["parts"], done["images"]) == (1, 1)
    done = as_json(rag("redact", "--index", "mine", "--group", "P7", "--why", "withdrawal", "-y", "--json"))
    assert done["parts"] == 3
    done = as_json(rag("redact", "--index", "mine", "--older-than", "0d", "--texts", "--why", "end", "-y", "--json"))
    assert given.audit_id in done["entries"]
    code, out, _ = rag("verify", "--all", "--index", "mine")
    assert code == 0 and "5 entries" in out
    code, out, _ = rag("show", given.audit_id)
    assert code == 0 and "[redacted]" in out and "large" not in out
    (entry, *_) = mine.entries(kind="redaction")
    assert entry.caller.startswith("cli") and entry.fields["why"] == "end"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "a-nothing"], "a-nothing"),
        (["verify"], "--all"),
        (["verify", "a-nothing", "--all"], "--all"),
        (["verify", "--all", "--index", "nope"], "nope"),
        (["export", "--format", "html", "--index", "mine"], "id"),
        (["export", "--index", "mine", "--json"], "--out"),
        (["redact", "--why", "x", "--yes"], "--older-than"),
        (["redact", "--why", "x", "--older-than", "soon", "--index", "mine", "--yes"], "30d"),
        (["redact", "--why", " ", "--older-than", "1d", "--index", "mine", "--yes"], "why"),
        (["redact", "--why", "x", "--older-than", "1d", "--index", "mine"], "--yes"),
        (["redact", "--older-than", "1d", "--index", "mine"], "--why"),
        (["feedback", "a-nothing", "perhaps"], "perhaps"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], words: str, rag: Run, mine: Ledger) -> None:
    mine.append(make_answer())
    code, out, err = rag(*arguments)
    assert code == 2 and words in err and err.startswith("error: ") and "Traceback" not in err
    assert mine.count() == 1


def test_a_file_that_cannot_be_written_is_named(rag: Run, mine: Ledger) -> None:
    mine.append(make_answer())
    code, _, err = rag("export", "--index", "mine", "--out", "no/such/folder.jsonl")
    assert code == 1 and "no/such/folder.jsonl" in err


@pytest.mark.parametrize("command", ["list", "show", "verify", "replay", "export", "redact", "feedback"])
def test_help_gives_an_example(command: str, rag: Run) -> None:
    code, out, _ = rag(command, "--help")
    assert code == 0 and "Example" in out and f"rag audit {command}" in out
