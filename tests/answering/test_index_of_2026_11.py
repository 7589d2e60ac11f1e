"""An index as of November 2026, with two versions and recorded answers: later code opens it, audits it and goes on."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from rag import Engine, Index, Source
from rag.audit.checks import check_entry, documents_in
from rag.audit.feedback import feedback_on

DATA = Path(__file__).parents[1] / "data"
RULES = {"generator", "verifier", "lexicon", "router", "retrieval settings"}  # what may change with the rules


@pytest.fixture
def index(tmp_path: Path) -> Index:
    with tarfile.open(DATA / "index-2026-11.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Index.open(tmp_path / "earlier-2026-11")


def test_it_opens_and_every_stored_byte_holds(index: Index) -> None:
    report = index.verify()
    assert report.sound, report.problems
    assert [(v.number, v.added, v.updated, v.removed) for v in index.versions()] == [(1, 18, 0, 0), (2, 0, 1, 1)]
    with index.store.snapshot(1) as then, index.store.snapshot() as now:
        first, second = then.document("SYA1"), now.document("SYA1")
        assert first is not None and "small left" in first.text
        assert second is not None and "moderate left" in second.text
        assert then.document("SYP1") is not None and now.document("SYP1") is None


def test_its_answers_are_audited_and_replay(index: Index) -> None:
    engine = Engine.open(index)
    chain = engine.ledger.verify_chain()
    assert chain.ok
    entries = engine.ledger.entries()
    assert len(entries) == 4
    assert sum(len(feedback_on(engine.ledger, e.audit_id)) for e in entries) == 1
    for entry in entries:
        assert check_entry(entry, documents_in(index.store), chain).ok
        again = engine.replay(entry.audit_id)
        assert again.outcome == "identical" or {c.name for c in again.changed} & RULES, (again.why, again.differences)


def test_its_sources_come_again_as_what_they_were(index: Index, tmp_path: Path) -> None:
    """The ids, origins and encoders of then: nothing is encoded twice or kept apart."""
    rows = [json.loads(line) for line in (DATA / "questions" / "reports.jsonl").open(encoding="utf-8")][:18]
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "reports.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = index.ingest(Source(tmp_path / "again" / "reports.jsonl", label="questions"))
    assert (report.added, report.updated, report.unchanged, report.apart) == (1, 1, 16, {})
    assert index.rollback(1) == 4
    index.compact(forget=True)
    assert index.verify().sound
    assert Engine.open(index).ask("Does study SYA1 show a pleural effusion?").verdict == "yes"
