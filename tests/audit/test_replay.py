"""A recorded question is answered again as of its version: the same answer, or a named difference."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rag.answering.certificate import CertificatePart, StoredCertificate
from rag.answering.engine import Engine
from rag.answering.replay import Replay, replay
from rag.audit.checks import check_entry, documents_in
from rag.audit.redaction import redact
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.corpus.packaged import packaged_file
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_text_encoder
from rag.indexing import IndexStore, SpaceInfo
from rag.settings import Settings
from rag.types import Answer, Document, Passage, Question

from .samples import bytes_on_disk

ENLARGED = "Does study c1 show cardiomegaly?"
Build = Callable[..., Engine]


def rows() -> list[dict[str, str]]:
    return [
        {"id": "c1", "text": "The heart is enlarged. No effusion.", "domain": "radiology", "group": "p1"},
        {"id": "c2", "text": "Normal chest. The lungs are clear.", "domain": "radiology", "group": "p2"},
        {"id": "c3", "text": "Pleural effusion on the left.", "domain": "radiology", "group": "p3"},
        {"id": "e1", "image": "retina.png", "text": "Normal retina.", "domain": "ophthalmology", "group": "p4"},
        {"id": "e2", "image": "other.png", "text": "Retinal haemorrhage.", "domain": "ophthalmology", "group": "p5"},
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    retina = Image.open(packaged_file("skimage", "data", "retina.jpg")).resize((300, 300))
    retina.save(folder / "retina.png")
    retina.rotate(20).save(folder / "other.png")
    retina.crop((10, 10, 290, 290)).save(folder / "asked.png")
    add(IndexStore.create(folder / "index"), rows(), folder)
    return folder


def add(store: IndexStore, more: list[dict[str, str]], folder: Path) -> None:
    path = folder / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, more)))
    settings = Settings().encoders
    ingest([Source(path, label="cases")], store, Encoders.load(settings))


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the built index and its images, to do with as a test likes."""
    return shutil.copytree(built, tmp_path / "copy")


def again(engine: Engine, answer: Answer) -> Replay:
    return replay(engine, engine.ledger.get(answer.audit_id))


def test_an_old_answer_is_found_again_after_the_index_has_changed(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    questions = [ENLARGED, "What is seen in a pleural effusion?", "Is there an effusion?"]
    answers = engine.ask_many([Question(text=q) for q in questions])  # in one batch; replayed one by one
    changed = [row | ({"text": "The heart is normal."} if row["id"] == "c1" else {}) for row in rows()]
    changed.append({"id": "c9", "text": "Pleural effusion on the right.", "domain": "radiology", "group": "p9"})
    add(engine.store, changed, folder)
    assert engine.ask(ENLARGED).verdict == "no"
    for answer in answers:
        done = again(engine, answer)
        assert (done.outcome, done.changed, done.differences) == ("identical", (), ()), done
    assert engine.ledger.count() == 4, "a replay records nothing"


def test_a_question_about_an_image_needs_no_file_but_the_kept_one(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    answer = engine.ask("What does this photograph show?", image=str(folder / "asked.png"))
    assert answer.evidence[0].channel == "image"
    (folder / "asked.png").unlink()
    assert again(engine, answer).outcome == "identical"
    redact(engine.ledger, answer.audit_id, "retention")
    done = again(engine, answer)
    assert (done.outcome, "redacted" in done.why) == ("impossible", True)


def test_changed_settings_are_named_with_what_they_changed(folder: Path) -> None:
    answer = Engine.open(folder / "index").ask("What is seen in a pleural effusion?")
    settings = Settings.model_validate({"retrieval": {"min_relevance": 1.0}})
    done = again(Engine.open(folder / "index", settings), answer)
    assert done.outcome == "different"
    changes = {change.name: (change.then, change.now) for change in done.changed}
    assert changes["retrieval.min_relevance"] == (0.9, 1.0)
    assert "retrieval settings" in changes
    assert {"decision", "answer"} <= {d.name for d in done.differences}
    assert "retrieval.min_relevance" in done.why


def test_a_language_model_is_replayed_and_another_prompt_or_model_is_named(folder: Path) -> None:
    from generation.servers import saying, serving

    with serving(saying("Yes. The heart is enlarged [1].")) as server:
        openai = {"base_url": server.url, "model": "m", "api_key": "sk-secret", "proxy": None}
        given = {"kind": "openai", "openai": openai}
        settings = Settings.model_validate({"generation": given})
        engine = Engine.open(folder / "index", settings)
        server.acts.append(saying("No. The heart is normal [1]."))  # fails, and is sent back once
        answer = engine.ask(ENLARGED)
        entry = engine.ledger.get(answer.audit_id)
        assert answer.verdict == "yes" and answer.prompt_sha256 is not None
        assert [failed.draft.text for failed in entry.working.earlier] == ["No. The heart is normal [1]."]
        assert b"sk-secret" not in bytes_on_disk(folder / "index")
        done = again(engine, answer)
        assert {d.name for d in done.differences} == {"draft", "earlier"}, "this time the first was good"
        other = Settings.model_validate({"generation": {**given, "prompt": "compare"}})
        done = again(Engine.open(folder / "index", other), answer)
        assert "prompt" in {c.name for c in done.changed} and "prompt_sha256" in {d.name for d in done.differences}
        server.usual = saying("The heart is enlarged [1].")
        done = again(engine, answer)
        assert {"draft", "sentences"} <= {d.name for d in done.differences} and done.changed == ()
    done = again(Engine.open(folder / "index"), answer)
    assert "generator" in {c.name for c in done.changed}


def test_the_recorded_policy_applies_and_another_of_today_is_named(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    part = {"k": 2, "gamma": 0.35, "tau": 0.2, "n": 50, "coverage": 0.9, "risk_interval": (0.0, 0.1)}
    certificate = StoredCertificate(
        alpha=0.1,
        delta=0.1,
        scope=("study",),
        fingerprints=engine.fingerprints,
        parts=(CertificatePart.model_validate({"domains": ("radiology",), "delta": 0.1, "why": "tested", **part}),),
    )
    certificate.save(engine.store.path)
    answer = engine.ask(ENLARGED)
    assert answer.certificate.status == "valid"
    (engine.store.path / StoredCertificate.FILE).unlink()
    done = again(engine, answer)
    assert done.outcome == "identical"
    assert [(c.name, c.then[:3]) for c in done.changed] == [("policy", "k=2")]


def test_evidence_that_reads_differently_is_named(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    answer = engine.ask(ENLARGED)
    with closing(sqlite3.connect(folder / "index" / "catalogue.sqlite")) as connection, connection:
        connection.execute("UPDATE documents SET body = replace(body, 'enlarged', 'ENLARGED')")
    done = again(Engine.open(folder / "index"), answer)
    assert done.outcome == "different"
    assert {"evidence", "answer", "citations"} <= {d.name for d in done.differences}
    assert "nothing that was recorded has changed" in done.why


def test_an_approximate_index_is_named_where_the_evidence_differs(folder: Path, tmp_path: Path) -> None:
    """Random vectors stand for thousands of encoded reports: what matters is that the index is not exact."""
    settings = Settings.model_validate({"vectors": {"backend": "hnsw"}, "retrieval": {"min_relevance": 0}})
    text = load_text_encoder(settings.encoders)
    space = SpaceInfo(text.dim, text.fingerprint)
    store = IndexStore.create(tmp_path / "large", settings.vectors)
    documents = [
        Document(
            id=f"r{n}",
            kind="report",
            domain="radiology",
            text=f"Lungs clear {n}.",
            case_id=f"r{n}",
            group_id=f"r{n}",
            source="s",
        )
        for n in range(4200)
    ]
    passages = [Passage(id=f"{d.id}#0", document_id=d.id, start=0, end=len(d.text), text=d.text) for d in documents]
    vectors = np.random.default_rng(0).standard_normal((len(passages), text.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with store.writer() as writer:
        writer.stage(documents, passages, {"text": ([p.id for p in passages], vectors)})
        writer.publish("filled", {"text": space})
    engine = Engine(store, settings)
    answer = engine.ask("Are the lungs clear?")
    assert answer.evidence and again(engine, answer).outcome == "identical"
    with closing(sqlite3.connect(tmp_path / "large" / "catalogue.sqlite")) as connection, connection:
        connection.execute("UPDATE documents SET body = replace(body, 'clear', 'CLEAR')")
    done = again(Engine.open(tmp_path / "large", settings), answer)
    assert "evidence" in {d.name for d in done.differences}
    assert any("approximate (hnsw)" in note for note in done.notes)


def test_a_version_that_was_forgotten_cannot_be_replayed(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    answer = engine.ask(ENLARGED)
    add(engine.store, [{"id": "c9", "text": "Normal heart.", "group": "p9"}], folder)
    engine = Engine.open(folder / "index")
    engine.store.compact(keep=[])
    done = again(engine, answer)
    assert done.outcome == "impossible"
    assert "no version 1" in done.why


def test_a_redacted_question_cannot_be_replayed_and_a_redacted_answer_is_compared_by_the_rest(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    answer = engine.ask(ENLARGED)
    engine.ledger.redact(lambda entry: ("answer", "evidence:1"), "by mistake")
    done = again(engine, answer)
    assert done.outcome == "identical"
    assert any("answer, evidence:1" in note for note in done.notes)
    redact(engine.ledger, answer.audit_id, "by mistake", what="texts")
    assert again(engine, answer).outcome == "impossible"


def test_the_command_says_identical_or_what_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    from rag.cli.audits import audit_replay

    answer = Engine.open(folder / "index").ask(ENLARGED, caller="cli")
    audit_replay(answer.audit_id, indexes=folder)
    assert capsys.readouterr().out.startswith("identical")
    profile = folder / "other.toml"
    profile.write_text("[answering]\nmin_confidence = 0.9\nmax_sentences = 1\n")
    audit_replay(answer.audit_id, indexes=folder, profile=str(profile), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["outcome"] == "identical"
    assert {"name": "answering.max_sentences", "then": 6, "now": 1} in told["changed"]
    redact(Engine.open(folder / "index").ledger, answer.audit_id, "by mistake", what="texts")
    with pytest.raises(typer.Exit):
        audit_replay(answer.audit_id, indexes=folder)
    assert capsys.readouterr().out.startswith("impossible")


def test_an_answer_whose_document_was_edited_in_the_catalogue_does_not_verify(folder: Path) -> None:
    engine = Engine.open(folder / "index")
    answer = engine.ask(ENLARGED)
    entry, chain = engine.ledger.get(answer.audit_id), engine.ledger.verify_chain()
    assert check_entry(entry, documents_in(engine.store), chain).ok
    with closing(sqlite3.connect(engine.store.path / "catalogue.sqlite")) as connection, connection:
        # beyond what was quoted: every span still reads as it did
        connection.execute("UPDATE documents SET body = replace(body, 'p1', 'pX') WHERE id = 'c1'")
    report = check_entry(entry, documents_in(IndexStore.open(engine.store.path)), chain)
    (failed,) = (c for c in report.checks if "hashes to what was ingested" in c.name)
    assert not failed.ok
    assert "c1" in failed.detail
