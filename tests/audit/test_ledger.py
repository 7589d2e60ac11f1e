"""The ledger keeps every answer as it was given, and whoever changes one is found out."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rag.audit.checks import check_entry
from rag.audit.ledger import Given, Ledger
from rag.audit.redaction import redact
from rag.errors import IndexStateError, InputError, StorageError
from rag.types import Answer, Document, sha256_of

from .samples import DOCUMENT, TEXT, WORKING, bytes_on_disk, make_answer, tamper


def failed(ledger: Ledger, audit_id: str, document: Document | None = DOCUMENT) -> list[str]:
    report = check_entry(ledger.get(audit_id), lambda _id, _version: document, ledger.verify_chain())
    return [check.name for check in report.checks if not check.ok]


def test_an_answer_comes_back_as_it_was_given(ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given, WORKING, "key-7")
    entry = ledger.get(given.audit_id)
    assert (entry.answer, entry.working, entry.caller) == (given, WORKING, "key-7")
    assert failed(ledger, given.audit_id) == []


def test_the_newest_come_first_and_pages_go_on(ledger: Ledger) -> None:
    given = [make_answer(f"question {n}?") for n in range(5)]
    for a in given:
        ledger.append(a)
    page = ledger.entries(2)
    assert [e.audit_id for e in page] == [given[4].audit_id, given[3].audit_id]
    assert [e.audit_id for e in ledger.entries(2, before=page[-1].number)] == [given[2].audit_id, given[1].audit_id]


def test_only_the_owner_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(make_answer())
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


def test_entries_cannot_be_changed_or_deleted_through_sql(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(make_answer())
    for statement in ("UPDATE entries SET record = ''", "DELETE FROM entries", "UPDATE parts SET text = ''"):
        with sqlite3.connect(tmp_path / "ledger.sqlite") as connection, pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)


def test_a_changed_answer_is_found_out(ledger: Ledger, tmp_path: Path) -> None:
    given = make_answer()
    ledger.append(given)
    tamper(tmp_path / "ledger.sqlite", "UPDATE parts SET text = replace(text, 'enlarged', 'normal');")
    assert "the entry is as it was recorded" in failed(ledger, given.audit_id)


def test_a_removed_entry_breaks_the_chain(ledger: Ledger, tmp_path: Path) -> None:
    given = [make_answer() for _ in range(3)]
    for a in given:
        ledger.append(a)
    tamper(tmp_path / "ledger.sqlite", "DELETE FROM entries WHERE number = 2;")
    assert failed(ledger, given[0].audit_id) == ["the ledger's chain is unbroken"]


@pytest.mark.parametrize("document", [None, DOCUMENT.model_copy(update={"text": TEXT.replace("enlarged", "ENLARGED")})])
def test_evidence_that_is_gone_or_reads_differently_is_found_out(document: Document | None, ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given)
    names = failed(ledger, given.audit_id, document)
    assert "every quote stands in its document at its offsets" in names
    assert "every piece of evidence stands in index version 1" in names


@pytest.mark.parametrize(
    ("field", "value", "check"),
    [
        ("citations", {"number": 2}, "every citation lies inside the evidence that it names"),
        ("citations", {"start": 1}, "every quote stands in its document at its offsets"),
        ("evidence", {"sha256": "0" * 64}, "every piece of evidence still hashes to what was recorded"),
        ("sentences", {"citations": ()}, "every citation lies inside the evidence that it names"),
    ],
)
def test_an_answer_that_was_wrong_when_recorded_fails_by_name(
    field: str, value: dict[str, object], check: str, ledger: Ledger
) -> None:
    given = make_answer()
    broken = given.model_copy(update={field: (getattr(given, field)[0].model_copy(update=value),)})
    ledger.append(broken)
    assert check in failed(ledger, given.audit_id)


def test_several_processes_keep_one_chain(ledger: Ledger, tmp_path: Path) -> None:
    given = make_answer()
    (tmp_path / "answer.json").write_text(given.model_dump_json())
    code = (
        "import sys; from pathlib import Path\n"
        "from rag.audit.ledger import Ledger, new_audit_id; from rag.types import Answer\n"
        "a = Answer.model_validate_json(Path(sys.argv[2]).read_text()); l = Ledger(Path(sys.argv[1]))\n"
        "for _ in range(25): l.append(a.model_copy(update={'audit_id': new_audit_id()}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "ledger.sqlite"), str(tmp_path / "answer.json")]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [p.wait(timeout=120) for p in processes] == [0] * 4
    chain = ledger.verify_chain()
    assert chain.ok
    assert chain.entries == 100


def test_answers_recorded_together_are_recorded_all_or_none(ledger: Ledger) -> None:
    first, second = make_answer(), make_answer()
    with pytest.raises(IndexStateError):
        ledger.extend([Given(first), Given(second), Given(first)])  # the same id twice
    assert ledger.entries() == []
    ledger.extend([Given(first), Given(second, WORKING, "cli")])
    assert [e.caller for e in ledger.entries()] == ["cli", "python"]


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    threads = [threading.Thread(target=lambda: [ledger.append(make_answer()) for _ in range(10)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (ledger.verify_chain().ok, ledger.count()) == (True, 40)


def test_an_index_that_was_deleted_and_made_anew_gets_a_new_ledger(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(make_answer())
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    given = make_answer()
    ledger.append(given)
    assert [e.audit_id for e in Ledger(tmp_path / "ledger.sqlite").entries()] == [given.audit_id]


_FORMAT_1 = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    audit_id TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    answer TEXT NOT NULL,
    previous TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TRIGGER no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
PRAGMA application_id = 1129073735;
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> tuple[Ledger, list[Answer]]:
    """A ledger of the first format with three answers."""
    given, previous = [make_answer(f"old question {n}?") for n in range(3)], "0" * 64
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.executescript(_FORMAT_1)
        for number, answer in enumerate(given, start=1):
            created, text = f"2026-01-0{number}T00:00:00.000+00:00", answer.model_dump_json()
            sha256 = sha256_of(f"{previous}\n{created}\n{text}")
            row = (number, answer.audit_id, created, text, previous, sha256)
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            previous = sha256
    return Ledger(tmp_path / "ledger.sqlite"), given


def test_a_ledger_of_the_first_format_goes_on_as_one_chain(old: tuple[Ledger, list[Answer]], tmp_path: Path) -> None:
    ledger, given = old
    ledger.append(make_answer())
    report = ledger.verify_chain()
    assert (report.ok, report.entries) == (True, 4)
    assert [e.answer for e in ledger.entries()[:0:-1]] == given
    assert failed(ledger, given[1].audit_id) == []
    tamper(tmp_path / "ledger.sqlite", "UPDATE parts SET text = replace(text, 'enlarged', 'normal') WHERE entry = 2")
    assert ledger.verify_chain().broken == 2
    assert "the entry is as it was recorded" in failed(ledger, given[1].audit_id)


def test_an_entry_of_the_first_format_can_be_redacted(old: tuple[Ledger, list[Answer]], tmp_path: Path) -> None:
    ledger, given = old
    redact(ledger, given[1].audit_id, "withdrawal", what="texts")
    assert b"old question 1" not in bytes_on_disk(tmp_path)
    assert ledger.verify_chain().ok
    assert ledger.get(given[1].audit_id).answer.question.text == "[redacted]"
    assert [e.audit_id for e in ledger.entries()] == [a.audit_id for a in reversed(given)]


def test_a_ledger_of_a_later_format_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(make_answer())
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(IndexStateError, match="newer ClinCite"):
        Ledger(tmp_path / "ledger.sqlite").append(make_answer())


def test_an_unknown_id_names_the_newest(ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given)
    with pytest.raises(InputError, match=given.audit_id):
        ledger.get("a-unknown")


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(IndexStateError, match="another program"):
        Ledger(path).append(make_answer())
    path.write_text("not a database at all, but long enough to be looked at " * 20)
    with pytest.raises(IndexStateError, match="not a ledger"):
        Ledger(path).verify_chain()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite").append(make_answer())
