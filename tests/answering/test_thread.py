"""And then? What a short question means after another one, said with the answer; one sentence where it is unclear."""

from __future__ import annotations

import sqlite3

import pytest

from rag.answering.engine import Engine
from rag.answering.thread import Remembered, follow
from rag.audit.schema import THREAD
from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon
from rag.types import AskedBack, Question, TakenAs

EFFUSION = Remembered("Does study CXR2814 show a pleural effusion?", "CXR2814", None)
COUNT = Remembered("How many reports mention cardiomegaly?", None, None)
IMAGE = Remembered("Is there a pneumothorax?", None, "chest.png")
BOTH = Remembered("Does study CXR2814 show cardiomegaly and edema?", "CXR2814", None)
OTHER = Remembered("Does CXR1 show a pleural effusion?", "CXR1", None)


@pytest.fixture(scope="module")
def snapshot(engine: Engine) -> Snapshot:
    return engine.pipeline().snapshot


@pytest.mark.parametrize(
    ("before", "then", "means", "study"),
    [
        ([EFFUSION], "Is it on the left?", "Is the pleural effusion on the left?", "CXR2814"),
        ([EFFUSION], "how large is it?", "how large is the pleural effusion?", "CXR2814"),
        ([EFFUSION], "and a pneumothorax?", "Does study CXR2814 show a pneumothorax?", "CXR2814"),
        ([EFFUSION], "what about cardiomegaly?", "Does study CXR2814 show a cardiomegaly?", "CXR2814"),
        ([EFFUSION], "on the right?", "Is the pleural effusion on the right?", "CXR2814"),
        ([EFFUSION], "and in CXR1?", "Does study CXR1 show a pleural effusion?", "CXR1"),
        ([EFFUSION], "Is the heart enlarged?", "Is the heart enlarged?", "CXR2814"),
        ([EFFUSION, OTHER], "and in the other study?", "Does study CXR1 show a pleural effusion?", "CXR1"),
        ([COUNT], "and pneumothorax?", "How many reports mention pneumothorax?", None),
        ([IMAGE], "Is it on the left?", "Is the pneumothorax on the left?", None),
    ],
)
def test_a_short_question_becomes_a_whole_one(
    snapshot: Snapshot, lexicon: Lexicon, before: list[Remembered], then: str, means: str, study: str | None
) -> None:
    read = follow(Question(text=then), before, snapshot, lexicon)
    assert isinstance(read.taken, TakenAs)
    assert (read.taken.means, read.study, read.image) == (means, study, before[0].image)
    assert means in read.taken.notes[0]


@pytest.mark.parametrize(
    ("before", "then", "back"),
    [
        ([BOTH], "Is it on the left?", "do you mean cardiomegaly or edema?"),
        ([EFFUSION], "and in the other study?", "which other study do you mean? Only one has been named"),
    ],
)
def test_where_two_readings_remain_one_sentence_asks_back(
    snapshot: Snapshot, lexicon: Lexicon, before: list[Remembered], then: str, back: str
) -> None:
    assert follow(Question(text=then), before, snapshot, lexicon).taken == AskedBack(back=back)


@pytest.mark.parametrize(
    "then",
    [
        "What is drusen?",
        "Does CXR1 show cardiomegaly?",
        "How many reports mention pneumonia?",
        "Compare CXR1 and CXR227",
    ],
)
def test_a_question_that_stands_by_itself_is_left_as_it_is(snapshot: Snapshot, lexicon: Lexicon, then: str) -> None:
    assert follow(Question(text=then), [EFFUSION], snapshot, lexicon) == Question(text=then)


def test_a_thread_is_recorded_replayed_kept_apart_by_caller_and_forgotten(engine: Engine) -> None:
    first = engine.ask("Does study CXR2814 show cardiomegaly?", thread="rounds", caller="a")
    second = engine.ask("and a pneumothorax?", thread="rounds", caller="a")
    assert second.question.text == "and a pneumothorax?"
    assert second.question.study == "CXR2814"
    assert second.verdict == engine.ask("Does study CXR2814 show a pneumothorax?").verdict
    assert "was taken to mean “Does study CXR2814 show a pneumothorax?”" in second.reason
    assert second.certificate.status == first.certificate.status
    assert engine.replay(second.audit_id).outcome == "identical"
    assert [a.audit_id for a in engine.thread("rounds", "a")] == [second.audit_id, first.audit_id]
    assert engine.thread("rounds", "b") == []
    other = engine.ask("and a pneumothorax?", thread="rounds", caller="b")
    assert other.question.taken is None
    assert engine.forget_thread("rounds", caller="a") == 2
    again = engine.ask("and a pneumothorax?", thread="rounds", caller="a")
    assert again.question.taken is None
    assert engine.ledger.verify_chain().ok


def test_an_answer_that_asks_back_is_an_abstention_of_one_sentence(engine: Engine) -> None:
    engine.ask("Does study CXR2814 show cardiomegaly and edema?", thread="unclear")
    answer = engine.ask("Is it on the left?", thread="unclear")
    assert answer.decision == "abstained"
    assert answer.reason == "do you mean cardiomegaly or edema?"
    assert engine.replay(answer.audit_id).outcome == "identical"


def test_a_turn_without_a_thread_is_recorded_as_before(engine: Engine) -> None:
    answer = engine.ask("Does study CXR2814 show cardiomegaly?")
    recorded = engine.ledger[answer.audit_id]
    assert "thread" not in recorded.fields
    assert not {"thread", "taken"} & answer.model_dump(mode="json")["question"].keys()


def test_only_the_last_turns_are_looked_at_and_quickly(engine: Engine) -> None:
    with sqlite3.connect(engine.ledger._path) as connection:
        engine.ask("Is CXR1 normal?", thread="x")
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT number FROM entries WHERE {THREAD} = 'x' AND {THREAD} IS NOT NULL "
            "ORDER BY number DESC"
        ).fetchall()
    assert "USING INDEX threads" in plan[0][3] or "USING COVERING INDEX threads" in plan[0][3]


def test_a_client_may_bring_its_earlier_questions(engine: Engine) -> None:
    earlier = [Question(text="Does CXR2814 show a pleural effusion?"), Question(text="and a pneumothorax?")]
    read = engine.after(Question(text="Is it on the left?"), earlier)
    assert read.read_as.text == "Is the pneumothorax on the left?"
    assert read.study == "CXR2814"
