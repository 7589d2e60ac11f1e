"""What nobody writes is looked up: counts, lists, comparisons; and a question of several parts is answered in parts."""

from __future__ import annotations

import pytest
from cohorts.conftest import document, publish

from rag.answering.engine import Engine
from rag.audit.checks import check_entry, documents_in
from rag.cohorts.compare import compare_studies, prior_of
from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.types import Question


def test_how_many_is_counted_quoted_recorded_and_replayed(engine: Engine) -> None:
    answer = engine.ask("How many reports mention cardiomegaly?")
    found = engine.find("cardiomegaly")
    assert answer.decision == "answered"
    assert answer.sentences[0].text.startswith(f"{found.count} of {found.scope} reports")
    assert answer.table is not None
    assert answer.table.rows[0][:2] == ("cardiomegaly", str(found.tallies[0].present))
    assert "missed" in answer.reason  # how often the reader is wrong stands beside the count
    assert answer.certificate.status == "uncertified"
    with engine.store.snapshot() as snapshot:
        for cited in answer.citations:
            told = snapshot.document(cited.document_id)
            assert told is not None
            assert cited.quote == told.text[cited.start : cited.end]
    entry = engine.ledger[answer.audit_id]
    assert entry.answer == answer
    assert check_entry(entry, documents_in(engine.store), engine.ledger.verify_chain()).ok
    assert engine.replay(answer.audit_id).outcome == "identical"


@pytest.mark.parametrize("question", ["How many reports mention zebra stripes?", "How many reports mention smokers?"])
def test_a_count_of_what_is_not_known_is_refused_in_words(engine: Engine, question: str) -> None:
    answer = engine.ask(question)
    assert answer.decision == "abstained"
    assert question.split()[-1].rstrip("?") in answer.reason


@pytest.mark.parametrize(
    "question",
    [
        "What do the reports say about pneumothorax?",
        "What do radiologists write about pneumothorax?",
        "What is said about pneumothorax in these reports?",
        "Do any reports mention a pneumothorax?",
    ],
)
def test_what_reports_say_is_told_by_reports_with_those_that_assert_and_those_that_deny(
    engine: Engine, question: str
) -> None:
    answer = engine.ask(question, record=False)
    found, denied = engine.find("pneumothorax"), engine.find("reports that deny pneumothorax")
    assert answer.decision == "answered"
    assert answer.sentences[0].text.startswith(f"{found.count} of {found.scope} reports")
    cited = {e.number: e.case_id for e in answer.evidence}
    quoted = {cited[c.number] for c in answer.citations}
    assert {e.kind for e in answer.evidence} == {"report"}
    assert any(hit.case_id in quoted for hit in denied.hits)


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("What do the reports say about zebra stripes?", "zebra stripes"),
        ("What does the report say about pneumothorax?", "name the study"),
        ("What does the report conclude?", "name the study"),
        ("What did the chest CT show?", "name the study"),
        ("What was the impression?", "name the study"),
        ("Which drugs is the patient taking?", "name the study"),
    ],
)
def test_what_reports_cannot_be_asked_is_refused_in_words(engine: Engine, question: str, part: str) -> None:
    answer = engine.ask(question, record=False)
    assert answer.decision == "abstained"
    assert part in answer.reason


def test_which_patients_benefit_is_a_question_about_medicine(engine: Engine) -> None:
    answer = engine.ask("Which patients with pneumonia benefit from aspirin?")
    assert answer.table is None


def test_two_studies_are_compared_finding_by_finding_with_quotes_of_both(engine: Engine) -> None:
    answer = engine.ask("Compare CXR2814 and CXR1")
    assert answer.table is not None
    changes = {row[0]: row[1] for row in answer.table.rows}
    assert changes["cardiomegaly"] == "there in CXR2814, denied in CXR1"
    assert {c.document_id for c in answer.citations} == {"CXR2814", "CXR1"}
    assert engine.replay(answer.audit_id).outcome == "identical"


def test_which_of_two_studies_has_more_is_read_from_both(engine: Engine) -> None:
    answer = engine.ask("Is the heart in CXR2814 larger than in CXR1?")
    assert answer.parts == ()
    assert answer.table is not None
    assert ("cardiomegaly", "there in CXR2814, denied in CXR1") in [row[:2] for row in answer.table.rows]


def test_parts_are_answered_apart_with_their_own_verdict_and_certificate(engine: Engine) -> None:
    answer = engine.ask("Does study CXR2814 show cardiomegaly? And what is drusen?")
    assert [(p.question, p.study, p.verdict) for p in answer.parts] == [
        ("Does study CXR2814 show cardiomegaly?", "CXR2814", "yes"),
        ("what is drusen?", None, None),
    ]
    assert {e.kind for e in answer.evidence} == {"report", "literature"}
    assert [e.number for e in answer.evidence] == list(range(1, len(answer.evidence) + 1))
    for cited in answer.citations:
        e = answer.evidence[cited.number - 1]
        assert cited.passage_id == e.passage_id
        assert cited.quote == e.text[cited.start - e.start : cited.end - e.start]
    alone = engine.ask("Does study CXR2814 show cardiomegaly?")
    assert answer.parts[0].confidence == alone.confidence
    assert engine.replay(answer.audit_id).outcome == "identical"


def test_a_question_about_two_studies_is_asked_of_each(engine: Engine) -> None:
    answer = engine.ask("Do CXR2814 and CXR1 show cardiomegaly?")
    assert [(p.study, p.verdict) for p in answer.parts] == [("CXR2814", "yes"), ("CXR1", "no")]


def test_a_stream_of_parts_ends_with_the_joined_answer(engine: Engine) -> None:
    events = list(engine.stream(Question(text="Do CXR2814 and CXR1 show cardiomegaly?")))
    told = [e.sentence.text for e in events if e.sentence]
    assert events[-1].answer is not None
    assert told == [s.text for s in events[-1].answer.sentences]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "Is there an effusion in CXR2814 and is it on the left?",
            ["Is there an effusion in CXR2814?", "is effusion on the left?"],
        ),
        ("What is drusen? How is it seen?", ["What is drusen?", "How is drusen seen?"]),
    ],
)
def test_it_is_what_the_part_before_names(engine: Engine, question: str, parts: list[str]) -> None:
    assert [p.question for p in engine.ask(question).parts] == parts


@pytest.mark.parametrize(
    "question",
    ["Does study CXR2814 show cardiomegaly and pleural effusion?", "Is there an effusion or a pneumothorax in CXR1?"],
)
def test_findings_of_one_study_stay_one_question(engine: Engine, question: str) -> None:
    assert engine.ask(question).parts == ()


# ------------------------------------------------------------------ comparison of synthetic studies


@pytest.fixture
def pair(tmp_path, texts: Texts):  # type: ignore[no-untyped-def]
    from rag.indexing import IndexStore

    def made(earlier: str, later: str, *, dated: bool = True, patients: tuple[str, str] = ("p", "p")) -> dict[str, str]:
        store = IndexStore.create(tmp_path / "pair")
        dates = ("2020-01-01", "2021-01-01") if dated else ("", "")
        rows = [("A1", patients[0], dates[0], earlier), ("B2", patients[1], dates[1], later)]
        publish(store, [document(*row) for row in rows])
        with store.snapshot() as snapshot:
            found = compare_studies(snapshot, texts, "B2", "A1")
            return {row.name: row.change for row in (*found.findings, *found.denied)}

    return made


@pytest.mark.parametrize(
    ("earlier", "later", "name", "change"),
    [
        ("No pleural effusion.", "There is a pleural effusion.", "pleural effusion", "new"),
        ("There is a pleural effusion.", "No pleural effusion.", "pleural effusion", "gone"),
        ("A 5 mm nodule is seen.", "An 8 mm nodule is seen.", "pulmonary nodule", "larger: 5 → 8 mm"),
        ("A 1.2 cm nodule is seen.", "A 9 mm nodule is seen.", "pulmonary nodule", "smaller: 12 → 9 mm"),
        ("A 5 mm nodule is seen.", "A 5 mm nodule is seen.", "pulmonary nodule", "unchanged: 5 mm"),
        ("Small pleural effusion.", "Large pleural effusion.", "pleural effusion", "more: small → large"),
        ("Left pleural effusion.", "Right pleural effusion.", "pleural effusion", "another side: left → right"),
        ("Cardiomegaly.", "No pneumothorax.", "cardiomegaly", "there in A1, not mentioned in the other"),
        ("No pneumothorax.", "No pneumothorax.", "pneumothorax", "denied in both"),
        ("Possible pneumonia.", "Pneumonia.", "pneumonia", "raised in A1, there in B2"),
    ],
)
def test_a_study_and_its_prior(pair, earlier: str, later: str, name: str, change: str) -> None:  # type: ignore[no-untyped-def]
    assert pair(earlier, later)[name] == change


def test_two_patients_have_no_before_and_after(pair) -> None:  # type: ignore[no-untyped-def]
    changes = pair("No pleural effusion.", "There is a pleural effusion.", patients=("p", "q"))
    assert changes["pleural effusion"] == "there in B2, denied in A1"


def test_the_prior_is_the_patients_last_study_before(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from rag.indexing import IndexStore

    store = IndexStore.create(tmp_path / "prior")
    rows = [("A1", "p", "2019", "x."), ("B2", "p", "2020-05", "x."), ("C3", "p", "2021", "x."), ("D4", "q", "", "x.")]
    publish(store, [document(*row) for row in rows])
    with store.snapshot() as snapshot:
        assert prior_of(snapshot, "C3") == "B2"
        with pytest.raises(InputError, match="no earlier study"):
            prior_of(snapshot, "A1")
        with pytest.raises(InputError, match="no date"):
            prior_of(snapshot, "D4")
