"""A writer that is killed, forked or out of disk leaves a whole chain, and no answer that was given is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.audit.ledger import Ledger
from rag.audit.redaction import redact

from .samples import WORKING, make_answer

WRITER = """
import sys
from pathlib import Path
from rag.audit.ledger import Ledger, new_audit_id
from rag.types import Answer
answer = Answer.model_validate_json(Path(sys.argv[2]).read_text())
ledger = Ledger(Path(sys.argv[1]))
while True:
    given = answer.model_copy(update={"audit_id": new_audit_id()})
    ledger.append(given)
    print(given.audit_id, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_gave(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(make_answer().model_dump_json())
    command = [sys.executable, "-c", WRITER, str(tmp_path / "ledger.sqlite"), str(tmp_path / "answer.json")]
    given: list[str] = []
    for told in (1, 7, 20):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            given += [process.stdout.readline().strip() for _ in range(told)]
            process.kill()
            given += process.stdout.read().split()
    assert ledger.verify_chain().ok
    recorded = {e.audit_id for e in ledger.walk()}
    assert set(given) <= recorded and len(recorded) - len(set(given)) <= 3


def test_a_forked_child_and_its_parent_keep_one_chain(ledger: Ledger) -> None:
    ledger.append(make_answer(), WORKING)  # the connection is open when the process forks
    child = os.fork()
    if child == 0:
        try:
            for _ in range(10):
                ledger.append(make_answer(), WORKING)
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(10):
        ledger.append(make_answer(), WORKING)
    assert os.waitpid(child, 0)[1] == 0
    assert (ledger.verify_chain().ok, ledger.count()) == (True, 21)


def test_a_full_disk_is_told_and_the_chain_stays_whole(ledger: Ledger, tmp_path: Path) -> None:
    """The limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    ledger.append(make_answer())
    ledger.close()
    (tmp_path / "answer.json").write_text(make_answer().model_dump_json())
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))\n"
    command = [sys.executable, "-c", limit + WRITER, str(tmp_path / "ledger.sqlite"), str(tmp_path / "answer.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "StorageError: the ledger" in done.stderr
    given = done.stdout.split()
    assert given, "some were recorded before the disk was full"
    assert ledger.verify_chain().ok
    assert set(given) <= {e.audit_id for e in ledger.walk()}


def test_an_image_redacted_while_the_same_is_asked_about_again_is_kept(
    ledger: Ledger, image: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are copied before the entry is written; a redaction in between removes them."""
    first, second = make_answer(image=image("red")), make_answer(image=image("red"))
    ledger.append(first)
    transaction, other = ledger.transaction, Ledger(ledger.images.folder.parent / "ledger.sqlite")

    def meanwhile() -> object:
        monkeypatch.setattr(ledger, "transaction", transaction)
        assert redact(other, first.audit_id, "meanwhile").images == 1
        return transaction()

    monkeypatch.setattr(ledger, "transaction", meanwhile)
    ledger.append(second)
    assert ledger.images.holds(ledger.get(second.audit_id).image_sha256 or "")
    assert ledger.verify_chain().ok
