"""An index, its ledger and its certificate, made before the modules moved, are what they were."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rag.answering.engine import Engine
from rag.answering.replay import replay
from rag.audit.checks import check_entry, documents_in
from rag.indexing import IndexStore

# What may change when rules do, when settings come, or when the shipped router is trained again.
RULES = {"generator", "verifier", "index version", "retrieval settings", "router", "program"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(Path(__file__).parents[1] / "data" / "earlier-index.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Engine.open(folder / "earlier")


def test_it_opens_and_every_stored_byte_holds(engine: Engine) -> None:
    report = IndexStore.open(engine.store.path).verify()
    assert report.sound, report.problems


def test_its_ledger_verifies_and_its_answers_replay(engine: Engine) -> None:
    chain = engine.ledger.verify_chain()
    assert chain.ok
    entries = list(engine.ledger.entries())
    assert len(entries) == 4
    for entry in entries:
        assert check_entry(entry, documents_in(engine.store), chain).ok
        again = replay(engine, entry)
        assert again.outcome == "identical" or {c.name for c in again.changed} & RULES, (again.why, again.differences)


def test_its_certificate_is_valid_or_stale_for_what_is_shipped(engine: Engine) -> None:
    certificate = engine.ask("Does study SYN5 show cardiomegaly?").certificate
    if certificate.status != "valid":
        stored = engine.pipeline().certificate
        now = engine.fingerprints
        assert stored is not None
        # it is older than the notes of what was written
        assert {n for n, v in stored.fingerprints.items() if now.get(n) != v} <= RULES | {"certificate file"}
