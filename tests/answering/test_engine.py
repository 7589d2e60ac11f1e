"""A question becomes a cited answer, or a reasoned refusal."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from rag.answering.engine import Engine
from rag.answering.opening import open_version
from rag.corpus.packaged import packaged_file
from rag.encoders.encoders import Encoders
from rag.encoders.features import encode_with_features
from rag.encoders.registry import load_image_encoder
from rag.errors import IndexStateError, InputError
from rag.retrieval.head import TrainedHead
from rag.settings import EncoderSettings, Settings
from rag.types import Answer, Question


def check_contract(answer: Answer, engine: Engine) -> None:
    """What every answer promises, answered or not."""
    snapshot = engine.store.snapshot(answer.index_version)
    for c in answer.citations:
        document = snapshot.document(c.document_id)
        assert document is not None
        assert c.quote == document.text[c.start : c.end]
        assert c.verdict == ("not_mentioned" if answer.verdict == "not_mentioned" else "supported")
        assert c.number in answer.sentences[c.sentence].citations
    seen = {c.sentence for c in answer.image_citations}
    assert all(bool(s.citations) != (n in seen) for n, s in enumerate(answer.sentences))
    assert [e.number for e in answer.evidence] == list(range(1, len(answer.evidence) + 1))
    first = list(dict.fromkeys(c.number for c in answer.citations))
    assert first == sorted(first), "evidence is numbered in the order of first citation"
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("Does study CXR2814 show cardiomegaly?", "yes"),
        ("Does study CXR2814 show a pneumothorax?", "not_mentioned"),
        ("Does study cxr1 show a pleural effusion?", "no"),
        ("Is the cardiac silhouette normal in CXR1?", "yes"),
    ],
)
def test_a_study_is_answered_from_its_own_report(question: str, verdict: str, engine: Engine) -> None:
    answer = engine.ask(question)
    check_contract(answer, engine)
    assert answer.decision == "answered"
    assert answer.verdict == verdict
    assert {e.case_id for e in answer.evidence} == {answer.question.study}


def test_a_report_that_contradicts_itself_is_shown_and_not_decided(engine: Engine) -> None:
    answer = engine.ask("Does study CXR227 show a pleural effusion?")
    check_contract(answer, engine)
    assert answer.decision == "abstained"
    assert "disagrees" in answer.reason
    assert len(answer.sentences) == 2


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("What is drusen?", "HP:0011510"),
        ("How is the cardiothoracic ratio measured?", "note-chest-projection-heart-size"),
    ],
)
def test_literature_is_quoted(question: str, document: str, engine: Engine) -> None:
    answer = engine.ask(question)
    check_contract(answer, engine)
    assert answer.decision == "answered"
    assert document in {c.document_id for c in answer.citations}


def test_references_travel_with_the_evidence(engine: Engine) -> None:
    answer = engine.ask("What is microphthalmia?")
    assert ("PMID:2",) in {e.references for e in answer.evidence if e.document_id == "HP:0000568"}


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("What is the capital of France?", "bears on the question"),
        ("Is there a pleural effusion?", "study"),
        ("Does this patient have pneumonia?", "study"),
    ],
)
def test_what_the_evidence_cannot_answer_is_refused_with_a_reason(question: str, why: str, engine: Engine) -> None:
    answer = engine.ask(question)
    check_contract(answer, engine)
    assert answer.decision == "abstained"
    assert why in answer.reason
    assert answer.answer.startswith("Not answered")


def test_an_image_brings_similar_cases_of_its_domain(engine: Engine) -> None:
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    answer = engine.ask("What does this photograph show?", image=image)
    check_contract(answer, engine)
    assert answer.domain.name == "ophthalmology"
    assert answer.citations[0].document_id == "sample/retina"
    assert "similar images need not share a diagnosis" in answer.reason


def test_an_answer_says_which_domains_were_searched_and_cites_no_others(engine: Engine) -> None:
    answer = engine.ask("What are drusen of the retina in the macula of the eye?")
    check_contract(answer, engine)
    assert answer.domain.searched == ("ophthalmology", "general")
    assert {e.domain for e in answer.evidence} <= set(answer.domain.searched)
    assert engine.ask("What is a genetic syndrome?").domain.searched == ()  # unsure: everywhere
    with pytest.raises(InputError, match="no domain 'radiologie'"):
        engine.ask("What is seen?", domain="radiologie")


def test_an_image_out_of_domain_is_flagged_and_never_votes(indexes: Path, tmp_path: Path) -> None:
    encoder = load_image_encoder(Settings().encoders)
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    _, near = encode_with_features(encoder, [packaged_file("skimage", "data", "ihc.png")])
    far_from_all = TrainedHead(
        ("ophthalmology", "pathology", "radiology"),
        encoder.fingerprint,
        0 * near[[0, 0, 0]],
        near[0, :3] * 0,
        1.0,
        near[[0, 0, 0]],
        np.arange(3),
        near[0, :3] * 0 + 0.1,
    )
    far_from_all.save(tmp_path / "router.safetensors")
    routing = {"model": tmp_path / "router.safetensors"}
    told = {"routing": routing, "answering": {"when_out_of_domain": "flag"}}
    engine = Engine.open(indexes / "small", Settings.model_validate(told))
    shown = engine.ask("What does this photograph show?", image=image)
    check_contract(shown, engine)
    assert shown.domain.out_of_domain
    assert shown.certificate.status != "valid"
    assert "out of domain" in shown.reason
    vote = engine.ask("Does this image show cardiomegaly?", image=image)
    assert vote.decision == "abstained"
    assert "unlike those of every domain" in vote.reason
    usual = Settings.model_validate({"routing": routing})
    withheld = Engine.open(indexes / "small", usual).ask("What does this photograph show?", image=image)
    assert withheld.decision == "abstained"
    assert withheld.reason.startswith("the image is unlike")


def test_an_image_like_no_other_is_told_so_and_not_asked_for_again(engine: Engine) -> None:
    with engine.store.snapshot() as snapshot:
        groups = tuple({d.group_id for d in snapshot.documents("image")})
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    answer = engine.ask("Is there a retinal haemorrhage?", image=image, exclude_groups=groups)
    assert answer.decision == "abstained"
    assert "no indexed image is like this one" in answer.reason


def test_an_excluded_group_is_never_evidence(engine: Engine) -> None:
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    seen = engine.ask("What does this photograph show?", image=image).evidence[0].group_id
    without = engine.ask("What does this photograph show?", image=image, exclude_groups=(seen,))
    assert seen not in {e.group_id for e in without.evidence}
    assert all(h.document.group_id != "CXR1" for h in engine.search("heart size", 50, exclude_groups=("CXR1",)))


def test_many_questions_at_once_get_the_answers_of_one_at_a_time(engine: Engine) -> None:
    texts = ["Does study CXR2814 show cardiomegaly?", "What is drusen?", "What is the capital of France?"]
    together = engine.ask_many([Question(text=t) for t in texts])
    alone = [engine.ask(t) for t in texts]
    assert [a.answer for a in together] == [a.answer for a in alone]
    assert [a.decision for a in together] == [a.decision for a in alone]


def test_several_threads_share_one_engine(engine: Engine) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(engine.ask("What is drusen?").answer)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 4
    assert len(set(answers)) == 1


def test_hits_are_ordered_and_say_which_channel_found_them(engine: Engine) -> None:
    hits = engine.search("pleural effusion meniscus", 10)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert "note-chest-pleural-effusion" in {h.document.id for h in hits[:3]}
    assert set(hits[0].ranks) == {"text", "words"}


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_question_is_refused(text: str, engine: Engine) -> None:
    with pytest.raises(InputError, match="empty"):
        engine.ask(text)


def test_a_question_that_is_too_long_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="100,000 characters"):
        engine.ask("a" * 100_000)


def test_an_unknown_study_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="no study 'CXR99999'"):
        engine.ask("Is there an effusion?", study="CXR99999")


def test_vectors_of_another_encoder_are_refused(indexes: Path) -> None:
    from rag.encoders.registry import load_text_encoder

    other = Settings(encoders=EncoderSettings(text="minilm", image="imagenet", batch_size=8))
    encoder = load_text_encoder(other.encoders)
    encoder.__dict__["fingerprint"] = "another:encoder"  # as if the model's weights had changed
    with pytest.raises(IndexStateError, match="another:encoder"):
        Engine.open(indexes / "small", other)


def test_similar_cases_vote_by_image_alone_one_vote_a_patient(tmp_path: Path) -> None:
    """A search by the finding's name would bring the cases that have it, and they would outvote the similar ones."""
    from PIL import Image

    from rag.building.ingest import ingest
    from rag.building.source import Source
    from rag.indexing import IndexStore

    retina = Image.open(packaged_file("skimage", "data", "retina.jpg")).resize((300, 300))
    stain = Image.open(packaged_file("skimage", "data", "ihc.png")).resize((300, 300))
    rows = []
    for n in range(3):  # three views of one healthy patient's retina, near the question's image
        retina.rotate(3 * n).save(tmp_path / f"retina{n}.png")
        rows.append({"id": f"r{n}", "image": f"retina{n}.png", "text": "No diabetic retinopathy.", "group": "healthy"})
    for n in range(3):  # far from it, but full of the finding's name
        stain.rotate(3 * n).save(tmp_path / f"stain{n}.png")
        rows.append({"id": f"s{n}", "image": f"stain{n}.png", "text": "Diabetic retinopathy.", "group": f"ill{n}"})
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = Settings().encoders
    store = IndexStore.create(tmp_path / "index")
    ingest([Source(tmp_path / "cases.jsonl")], store, Encoders.load(settings))
    retina.crop((10, 10, 290, 290)).save(tmp_path / "question.png")
    answer = Engine(store).ask("Does this image show diabetic retinopathy?", image=str(tmp_path / "question.png"))
    check_contract(answer, Engine(store))
    assert answer.verdict == "no" or answer.decision == "abstained"
    assert [s.text.startswith("No") for s in answer.sentences] == [True]


@pytest.mark.parametrize("question", ["Does study CXR2814 show cardiomegaly?", "What is the capital of France?"])
def test_a_stream_tells_what_happens_and_ends_with_the_answer_that_asking_gives(question: str, engine: Engine) -> None:
    events = list(engine.stream(Question(text=question)))
    answer = events[-1].answer
    assert answer is not None
    plain = engine.ask(question)
    changing = {"audit_id", "timings_ms"}
    assert answer.model_dump(exclude=changing) == plain.model_dump(exclude=changing)
    assert engine.ledger.get(answer.audit_id).answer == answer
    assert [e.sentence for e in events if e.kind == "sentence"] == list(answer.sentences)
    assert [c for e in events for c in e.citations] == list(answer.citations)
    (shown,) = (e.evidence for e in events if e.kind == "evidence")
    assert {e.passage_id for e in shown} == {e.passage_id for e in answer.evidence}


def test_new_versions_with_the_same_terms_do_not_add_a_lexicon_each(engine: Engine) -> None:
    first = open_version(engine.store, engine.settings)
    second = open_version(engine.store, engine.settings, known=first.lexicon)
    assert first.lexicon is second.lexicon
    first.snapshot.close()
    second.snapshot.close()
