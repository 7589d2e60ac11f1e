"""A question about medicine in general is searched in the literature, which alone may answer it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.answering.certificate import CertificatePart, StoredCertificate
from rag.answering.eligibility import admit
from rag.answering.engine import Engine
from rag.answering.replay import replay
from rag.corpus.packaged import packaged_file
from rag.encoders.encoders import Encoders
from rag.settings import Settings
from rag.types import Answer, Question

DEFINITION = "Cardiomegaly is an increased size of the heart, a transverse diameter above half of that of the chest."
GENERAL = (
    "What is cardiomegaly?",
    "What does cardiomegaly look like?",
    "How is cardiomegaly recognised?",
    "Is cardiomegaly an increased size of the heart?",
)
ABOUT_REPORTS = (
    "Does study r3 show cardiomegaly?",
    "Is there cardiomegaly?",
    "What does this radiograph show of cardiomegaly?",
    "Which patients have cardiomegaly?",
)
ONLY_IN_REPORTS = "What is a retained bullet fragment?"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve reports that name what one piece of literature defines, one with an image, and one of something else."""
    from rag.building.ingest import ingest
    from rag.building.source import Source
    from rag.indexing import IndexStore

    folder = tmp_path_factory.mktemp("literature")
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    rows = [{"id": f"r{n}", "text": f"Cardiomegaly. View {n}.", "domain": "radiology"} for n in range(12)]
    rows[5]["image"] = image
    rows.append({"id": "r12", "text": "A retained bullet fragment in the left shoulder.", "domain": "radiology"})
    rows.append({"id": "definition", "kind": "literature", "text": DEFINITION, "domain": "radiology"})
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encoders = Settings().encoders
    store = IndexStore.create(folder / "index")
    ingest([Source(folder / "cases.jsonl")], store, Encoders.load(encoders))
    return folder / "index"


@pytest.fixture(scope="module")
def engine(index: Path) -> Engine:
    return Engine.open(index)


@pytest.fixture(scope="module")
def everything(index: Path) -> Engine:
    """The same index, searched in everything at once."""
    return Engine.open(index, Settings.model_validate({"retrieval": {"literature_first": False}}))


def apart(answer: Answer) -> dict[str, object]:
    """An answer without what is new each time."""
    return answer.model_dump(exclude={"audit_id", "timings_ms"})


@pytest.mark.parametrize("question", GENERAL)
def test_a_general_question_is_answered_from_the_literature_and_says_so(
    question: str, engine: Engine, everything: Engine
) -> None:
    assert "report" in {e.kind for e in everything.ask(question).evidence}, "reports would have crowded in"
    answer = engine.ask(question)
    assert answer.decision == "answered"
    assert {c.document_id for c in answer.citations} == {"definition"}
    assert {e.kind for e in answer.evidence} == {"literature"}
    assert answer.domain.kinds == ("literature",)
    assert answer.domain.why == "a question about medicine in general"


@pytest.mark.parametrize("question", ABOUT_REPORTS)
def test_a_question_about_patients_is_searched_and_answered_as_ever(
    question: str, engine: Engine, everything: Engine
) -> None:
    answer = engine.ask(question)
    assert (answer.domain.kinds, answer.domain.why) == ((), "")
    assert "report" in {e.kind for e in answer.evidence}
    assert apart(answer) == apart(everything.ask(question))


def test_a_question_about_an_image_is_searched_as_ever(engine: Engine, everything: Engine) -> None:
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    answer = engine.ask("What is cardiomegaly?", image=image)
    assert answer.domain.kinds == ()
    assert apart(answer) == apart(everything.ask("What is cardiomegaly?", image=image))


def test_where_the_literature_has_nothing_near_everything_is_searched(engine: Engine, everything: Engine) -> None:
    answer = engine.ask(ONLY_IN_REPORTS)
    assert answer.evidence[0].document_id == "r12"
    assert answer.domain.kinds == ()
    assert answer.domain.why == "a question about medicine in general, on which nothing in the literature bears"
    assert answer.evidence == everything.ask(ONLY_IN_REPORTS).evidence


def test_an_index_without_literature_is_searched_in_what_it_has(engine: Engine) -> None:
    answer = engine.ask("What is cardiomegaly?", exclude_groups=("definition",))
    assert {e.kind for e in answer.evidence} == {"report"}


def test_a_plain_search_is_never_narrowed(engine: Engine) -> None:
    assert {h.document.kind for h in engine.search(GENERAL[0], 13)} == {"report", "literature"}


def test_a_batch_and_a_stream_search_as_one_question_does(engine: Engine) -> None:
    questions = [*GENERAL, *ABOUT_REPORTS, ONLY_IN_REPORTS]
    together = engine.ask_many([Question(text=q) for q in questions], record=False)
    assert [a.domain.kinds for a in together] == [("literature",)] * 4 + [()] * 5
    streamed = list(engine.stream(Question(text=GENERAL[0])))[-1].answer
    assert streamed is not None
    assert apart(streamed) == apart(engine.ask(GENERAL[0]))


@pytest.mark.parametrize("question", [GENERAL[0], GENERAL[3], ONLY_IN_REPORTS])
def test_a_replay_searches_the_same_kinds_and_another_setting_is_named(
    question: str, engine: Engine, everything: Engine
) -> None:
    answer = engine.ask(question)
    recorded = engine.ledger.get(answer.audit_id)
    assert recorded.answer.domain == answer.domain
    assert replay(engine, recorded).outcome == "identical"
    done = replay(everything, recorded)
    assert done.outcome == "different"
    assert "retrieval.literature_first" in {change.name for change in done.changed}


def test_a_certificate_from_before_is_stale(engine: Engine, everything: Engine) -> None:
    part = CertificatePart(
        domains=("radiology",), delta=0.05, k=3, gamma=1.0, tau=0.1, n=99, coverage=1.0, risk_interval=(0, 0.1), why=""
    )
    stored = {"alpha": 0.1, "delta": 0.05, "scope": ("literature",), "parts": (part,)}
    certificate = StoredCertificate.model_validate(stored | {"fingerprints": everything.fingerprints})
    path = certificate.save(engine.store.path)
    try:
        assert everything.ask(GENERAL[3]).certificate.status == "valid"
        stale = engine.ask(GENERAL[3]).certificate
        assert (stale.status, "retrieval settings" in stale.why) == ("stale", True)
    finally:
        path.unlink()


def test_literature_that_does_not_bear_on_an_open_question_is_shown_to_nobody_who_writes(index: Path) -> None:
    pipeline = Engine.open(index).pipeline()
    (turn,) = pipeline.begin([Question(text="What is cardiomegaly?")])
    pipeline.finish(turn)
    least = pipeline.settings.retrieval.min_relevance
    assert turn.request.evidence
    beside = [e.model_copy(update={"relevance": least - 0.01}) for e in turn.request.evidence]
    assert admit(turn.asked, beside, least_relevant=least) == ()
    assert admit(turn.asked, turn.request.evidence, least_relevant=least) == turn.request.evidence


@pytest.mark.parametrize(
    "question", ["What causes a retained bullet fragment?", "How is a retained bullet fragment treated?"]
)
def test_reports_of_patients_explain_nothing(engine: Engine, question: str) -> None:
    answer = engine.ask(question)
    assert (answer.decision, answer.sentences) == ("abstained", ())
    assert "only reports of patients speak of it" in answer.reason


@pytest.mark.parametrize("question", ["tell me everything", "help", "???"])
def test_what_names_nothing_is_not_searched_for(engine: Engine, question: str) -> None:
    assert "names nothing" in engine.ask(question).reason
