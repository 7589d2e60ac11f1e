"""Three steps answer a question, whoever loops over them: begin → write → decide."""

from __future__ import annotations

from collections import Counter

import pytest

from rag.answering.engine import Engine
from rag.answering.pipeline import Pipeline
from rag.answering.turn import Turn
from rag.risk_control.policy import Policy
from rag.types import Document, Hit, Passage, Question

OWN = {"audit_id", "timings_ms"}
QUESTIONS = ("Does study CXR2814 show cardiomegaly?", "What is drusen?", "What is the capital of France?")


@pytest.fixture
def pipeline(engine: Engine) -> Pipeline:
    return engine.pipeline()


def given(text: str, channel: str = "text", kind: str = "literature") -> Hit:
    document = Document.model_validate(
        {"id": "g1", "kind": kind, "text": text, "title": "", "case_id": "g1", "group_id": "g1", "source": "given"}
    )
    passage = Passage(id="g1#0", document_id="g1", start=0, end=len(text), text=text)
    return Hit(passage=passage, document=document, score=1.0, channel=channel, ranks={channel: 1})


@pytest.mark.parametrize("text", QUESTIONS)
def test_the_three_steps_give_what_the_engine_gives(text: str, engine: Engine, pipeline: Pipeline) -> None:
    (turn,) = pipeline.begin([Question(text=text)])
    told = [e.sentence for e in pipeline.write(turn) if e.kind == "sentence"]
    answer = pipeline.decide(turn)
    assert answer.model_dump(exclude=OWN) == engine.ask(text).model_dump(exclude=OWN)
    assert told == list(answer.sentences)
    assert turn.answer is answer


def test_a_turn_can_be_answered_under_another_policy_without_a_new_search(pipeline: Pipeline) -> None:
    (turn,) = pipeline.begin([Question(text="What is drusen?")])
    narrow = turn.under(Policy(1, 100.0, 0.0), turn.certificate)
    strict = turn.under(Policy(1, 100.0, 1.0), turn.certificate)
    assert len(pipeline.finish(narrow).evidence) == 1
    assert pipeline.finish(strict).decision == "abstained"
    assert narrow.found is turn.found
    assert turn.selection is None, "the turn that they came from is as it was"


def test_given_evidence_is_read_verified_and_decided_as_if_it_had_been_found(pipeline: Pipeline) -> None:
    report = given("The heart is enlarged. No effusion.", "study", "report")
    answer = pipeline.finish(pipeline.begin_with(Question(text="Is there cardiomegaly?"), [report]))
    assert (answer.verdict, answer.citations[0].quote) == ("yes", "The heart is enlarged.")
    about_all = Question(text="Does aspirin prevent stroke in adults?")
    literature = given("Aspirin did not prevent stroke in adults.")
    assert pipeline.finish(pipeline.begin_with(about_all, [literature])).verdict == "no"
    assert pipeline.finish(pipeline.begin_with(about_all, [])).decision == "abstained"


def test_nothing_is_computed_twice(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    for name in (
        "select_contexts",
        "evidence_of",
        "admit",
        "signals_of",
        "certificate_for",
        "read_question",
        "pose",
    ):
        whole = f"rag.answering.pipeline.{name}"
        real = getattr(__import__("rag.answering.pipeline", fromlist=[name]), name)
        monkeypatch.setattr(whole, lambda *a, _n=name, _f=real: calls.update([_n]) or _f(*a))
    (turn,) = pipeline.begin([Question(text="Does study CXR2814 show cardiomegaly?")])
    pipeline.finish(turn)
    assert calls.pop("evidence_of") == len(turn.evidence)
    assert set(calls.values()) == {1}


def test_a_turn_that_is_not_finished_has_no_answer(pipeline: Pipeline) -> None:
    (turn,) = pipeline.begin([Question(text="What is drusen?")])
    assert isinstance(turn, Turn)
    assert not hasattr(turn, "answer")
