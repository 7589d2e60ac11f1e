"""The ledger keeps every answer as it was given, and whoever changes one is found out."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rag.audit.ledger import Ledger, new_audit_id
from rag.audit.verify import verify
from rag.errors import IndexStateError, InputError, StorageError
from rag.types import Answer, Certificate, Citation, Document, Domain, Evidence, Question, Sentence, sha256_of

TEXT = "The heart is enlarged. No effusion."
DOCUMENT = Document(id="d", kind="report", text=TEXT, case_id="d", group_id="d", source="s")


def answer(question: str = "Is the heart enlarged?") -> Answer:
    quote = "The heart is enlarged."
    return Answer(
        question=Question(text=question),
        answer=f"Yes: “{quote}” [1]",
        decision="answered",
        reason="cited",
        confidence=0.9,
        domain=Domain(name="radiology", probability=1.0, out_of_domain=False),
        sentences=(Sentence(text=f"Yes: “{quote}”", citations=(1,)),),
        citations=(
            Citation(
                sentence=0,
                number=1,
                document_id="d",
                passage_id="d#0",
                source="s",
                quote=quote,
                start=0,
                end=len(quote),
                verdict="supported",
                score=1.0,
            ),
        ),
        evidence=(
            Evidence(
                number=1,
                document_id="d",
                passage_id="d#0",
                kind="report",
                domain="radiology",
                title="",
                source="s",
                licence="l",
                case_id="d",
                group_id="d",
                channel="study",
                score=1.0,
                text=TEXT,
                start=0,
                sha256=sha256_of(TEXT),
            ),
        ),
        certificate=Certificate(status="uncertified", why="test"),
        audit_id=new_audit_id(),
        index_version=1,
        timings_ms={"total": 1.0},
    )


def tamper(path: Path, statement: str) -> None:
    """Change the file as someone with a database tool would."""
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER no_update; DROP TRIGGER no_delete;" + statement)


def failed(ledger: Ledger, audit_id: str, document: Document | None = DOCUMENT) -> list[str]:
    report = verify(ledger.get(audit_id), lambda _id, _version: document, ledger.verify_chain())
    return [check.name for check in report.checks if not check.ok]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_an_answer_comes_back_as_it_was_given(ledger: Ledger) -> None:
    given = answer()
    ledger.append(given)
    assert ledger.get(given.audit_id).answer == given
    assert failed(ledger, given.audit_id) == []


def test_the_newest_come_first_and_pages_go_on(ledger: Ledger) -> None:
    given = [answer(f"question {n}?") for n in range(5)]
    for a in given:
        ledger.append(a)
    page = ledger.entries(2)
    assert [e.audit_id for e in page] == [given[4].audit_id, given[3].audit_id]
    assert [e.audit_id for e in ledger.entries(2, before=page[-1].number)] == [given[2].audit_id, given[1].audit_id]


def test_only_the_owner_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(answer())
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


def test_entries_cannot_be_changed_or_deleted_through_sql(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(answer())
    for statement in ("UPDATE entries SET answer = ''", "DELETE FROM entries"):
        with sqlite3.connect(tmp_path / "ledger.sqlite") as connection, pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)


def test_a_changed_answer_is_found_out(ledger: Ledger, tmp_path: Path) -> None:
    given = answer()
    ledger.append(given)
    tamper(tmp_path / "ledger.sqlite", "UPDATE entries SET answer = replace(answer, 'enlarged', 'normal');")
    assert "the entry is as it was recorded" in failed(ledger, given.audit_id)


def test_a_removed_entry_breaks_the_chain(ledger: Ledger, tmp_path: Path) -> None:
    given = [answer() for _ in range(3)]
    for a in given:
        ledger.append(a)
    tamper(tmp_path / "ledger.sqlite", "DELETE FROM entries WHERE number = 2;")
    assert failed(ledger, given[0].audit_id) == ["the ledger's chain is unbroken"]


@pytest.mark.parametrize("document", [None, DOCUMENT.model_copy(update={"text": TEXT.replace("enlarged", "ENLARGED")})])
def test_evidence_that_is_gone_or_reads_differently_is_found_out(document: Document | None, ledger: Ledger) -> None:
    given = answer()
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
    given = answer()
    broken = given.model_copy(update={field: (getattr(given, field)[0].model_copy(update=value),)})
    ledger.append(broken)
    assert check in failed(ledger, given.audit_id)


def test_several_processes_keep_one_chain(ledger: Ledger, tmp_path: Path) -> None:
    given = answer()
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


def test_an_unknown_id_names_the_newest(ledger: Ledger) -> None:
    given = answer()
    ledger.append(given)
    with pytest.raises(InputError, match=given.audit_id):
        ledger.get("a-unknown")


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(IndexStateError, match="another program"):
        Ledger(path).append(answer())
    path.write_text("not a database at all, but long enough to be looked at " * 20)
    with pytest.raises(IndexStateError, match="not a ledger"):
        Ledger(path).verify_chain()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite").append(answer())
