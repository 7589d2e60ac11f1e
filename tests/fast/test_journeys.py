"""The four journeys from end to end, on ten documents: a corpus, its answers, a certificate, an audit."""

from __future__ import annotations

from pathlib import Path

from audit.samples import tamper
from PIL import Image

from rag import CalibrationPlan, Engine, Index, Question, Settings, calibrate, evaluate
from rag.answering.replay import replay
from rag.audit.checks import check_entry, documents_in
from rag.evaluation.questions import LabelledQuestion

from .conftest import ENLARGED, REPORTS


def labelled() -> list[LabelledQuestion]:
    return [
        LabelledQuestion(
            study, Question(text="Is there cardiomegaly?", study=study), "yes" if study in ENLARGED else "no", study
        )
        for study in REPORTS
    ]


def test_a_corpus_becomes_an_index_and_the_same_corpus_changes_nothing(
    corpus: Path, settings: Settings, tmp_path: Path
) -> None:
    with Index.create(tmp_path / "ten", settings) as index:
        first = index.ingest(corpus)
        assert (first.version, first.added, first.quarantined) == (1, 12, [])  # an image and its text are two documents
        again = index.ingest(corpus)
        assert (again.version, again.added, again.unchanged) == (1, 0, 12)
        assert index.verify().sound


def test_questions_become_answers_that_cite_their_evidence(own: Engine) -> None:
    yes = own.ask("Is there cardiomegaly?", study="r1")
    assert (yes.decision, yes.verdict) == ("answered", "yes")
    assert [c.quote for c in yes.citations] == ["The heart is enlarged."]
    assert own.ask("Is there cardiomegaly?", study="r4").verdict == "no"
    what = own.ask("What is drusen?")
    assert what.decision == "answered" and what.citations[0].document_id.startswith("l1")
    assert own.ask("What is the capital of France?").decision == "abstained"


def test_an_image_finds_the_case_whose_image_is_like_it(own: Engine, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (250, 5, 5)).save(tmp_path / "asked.png")
    (first, *_) = own.search("What does this show?", 3, image=str(tmp_path / "asked.png"))
    assert (first.document.case_id, first.channel) == ("i1", "image")


def test_a_generator_that_plugs_in_is_verified_like_any_other(own: Engine) -> None:
    settings = own.settings.model_copy(
        update={"generation": own.settings.generation.model_copy(update={"kind": "fakes:make_quoting"})}
    )
    answer = Engine(own.store, settings).ask("What is drusen?")
    assert answer.decision == "answered"
    assert answer.citations[0].verdict == "supported"
    told = [event.kind for event in Engine(own.store, settings).stream(Question(text="What is drusen?"))]
    assert told[-1] == "answer" and "sentence" in told


def test_labelled_questions_become_a_certificate_that_answers_carry(own: Engine) -> None:
    assert evaluate(own, "questions", labelled()).value("balanced_accuracy") == 1.0
    plan = CalibrationPlan(allow_perfect=True)  # the labels were made with the reports, not with the answers
    made = calibrate(own, labelled(), alpha=0.5, delta=0.5, plan=plan)
    assert any(part.certification.policy is not None for part in made.parts)
    covered = own.ask("Is there cardiomegaly?", study="r1").certificate
    assert (covered.status, covered.alpha) == ("valid", 0.5)


def test_an_answer_is_audited_and_an_edit_is_noticed(own: Engine) -> None:
    answer = own.ask("Is there cardiomegaly?", study="r1")
    entry, chain = own.ledger.get(answer.audit_id), own.ledger.verify_chain()
    assert chain.ok and check_entry(entry, documents_in(own.store), chain).ok
    assert replay(own, entry).outcome == "identical"
    edit = "UPDATE parts SET text = replace(text, 'enlarged', 'small') WHERE name = 'answer'"
    tamper(own.store.path / "ledger.sqlite", edit)
    assert not own.ledger.verify_chain().ok
