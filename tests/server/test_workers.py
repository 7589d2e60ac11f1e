"""Answers from several processes: the same ones, each recorded once, whatever becomes of a process."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.types import Answer, Question

from .conftest import NAMED_STUDY, QUESTION, Served, running

FINDINGS = ("cardiomegaly", "edema", "effusion", "pneumothorax", "emphysema", "scoliosis", "atelectasis", "nodule")
QUESTIONS = [f"Does study {NAMED_STUDY} show {finding}?" for finding in FINDINGS] + [f"What is {f}?" for f in FINDINGS]


@pytest.fixture(scope="module")
def pooled(copy_index: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that answers in two processes, in small batches, so that both are asked."""
    folder = tmp_path_factory.mktemp("pooled")
    copy_index(folder / "small")
    with running(folder, workers=2, batch_size=2) as one:
        assert len(processes()) == 2
        yield one
    assert not processes()


def processes() -> list[int]:
    return [p.pid for p in multiprocessing.active_children() if p.name == "answering" and p.pid is not None]


def ask(one: Served, question: str = QUESTION) -> Any:
    return one.client.post("/v1/answers", json={"question": question})


def together(one: Served, questions: list[str]) -> list[Any]:
    with ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(lambda q: ask(one, q), questions))


def test_they_answer_as_one_process_does_and_record_it_in_one_chain(pooled: Served) -> None:
    before = pooled.metric("clincite_answers_total", index="small", decision="answered")
    given = [Answer.model_validate(r.json()) for r in together(pooled, QUESTIONS)]
    here = Engine.open(pooled.folder / "small")
    same = {"question", "answer", "verdict", "decision", "reason", "sentences", "certificate", "index_version"}
    for answer, question in zip(given, QUESTIONS, strict=True):
        (alone,) = here.ask_many([Question(text=question)], record=False)
        assert answer.model_dump(include=same) == alone.model_dump(include=same)
        assert answer.model_dump() == here.ledger.get(answer.audit_id).answer.model_dump()
    assert here.ledger.verify_chain().ok
    answered = sum(a.decision == "answered" for a in given)
    assert pooled.metric("clincite_answers_total", index="small", decision="answered") == before + answered


def test_a_bad_question_in_a_batch_hurts_nobody_else(pooled: Served, refused: Any) -> None:
    responses = together(pooled, [QUESTION, "Does study CXR999999 show edema?"] * 4)
    assert [r.status_code for r in responses] == [200, 422] * 4
    refused(responses[1], 422, "CXR999999")


def test_a_new_version_is_answered_from_by_all(pooled: Served) -> None:
    row = {"id": "new-1", "text": "Large right pleural effusion.", "domain": "radiology", "group": "p-new"}
    upload = {"file": ("cases.jsonl", json.dumps(row).encode())}
    job = pooled.client.post("/v1/indexes/small/ingest", files=upload).json()
    assert "done" in pooled.client.get(f"/v1/jobs/{job['id']}/events").text
    answers = [r.json() for r in together(pooled, ["Does study new-1 show pleural effusion?", *QUESTIONS])]
    assert answers[0]["verdict"] == "yes"
    assert {a["index_version"] for a in answers} == {2}
    assert pooled.metric("clincite_index_version", index="small") == 2


def test_a_signal_to_all_leaves_stopping_to_the_server(pooled: Served) -> None:
    there = processes()
    for pid in there:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    assert {r.status_code for r in together(pooled, QUESTIONS[:4])} == {200}
    assert sorted(processes()) == sorted(there)


def test_one_that_dies_is_replaced_and_what_it_held_is_refused(pooled: Served, refused: Any) -> None:
    there = processes()
    os.kill(there[0], signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, pooled)]
        time.sleep(0.5)
        asked.append(pool.submit(ask, pooled))
        time.sleep(0.5)  # one of the two is with the process that stands still
        os.kill(there[0], signal.SIGKILL)
        answered, lost = sorted((a.result() for a in asked), key=lambda r: r.status_code)
    assert answered.status_code == 200
    refused(lost, 503, "a part that answers are made with has failed")
    assert {r.status_code for r in together(pooled, QUESTIONS[:4])} == {200}
    assert there[1] in processes()
    assert len(processes()) == 2
    assert there[0] not in processes()
    assert pooled.service.index("small").engine.ledger.verify_chain().ok
