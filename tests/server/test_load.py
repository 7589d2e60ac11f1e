"""Many askers, slow engines, readers that leave, and a server that is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from rag.types import Answer, Question

from .conftest import QUESTION, Served, running

TOPICS = ("effusion", "edema", "pneumonia", "emphysema", "drusen", "cardiomegaly", "atelectasis", "pneumothorax")


def slowed(served: Served, seconds: float) -> list[int]:
    """Make the engine slow, and note how many questions it is asked at once."""
    engine, sizes = served.service.index("small").engine, []
    ask_many = engine.ask_many

    def slow(questions: list[Question], **options: Any) -> list[Answer]:
        sizes.append(len(questions))
        time.sleep(seconds)
        return ask_many(questions, **options)

    engine.ask_many = slow  # type: ignore[method-assign]
    return sizes


def test_questions_that_come_together_are_answered_together_and_each_gets_its_own(copied: Path) -> None:
    with running(copied) as one, ThreadPoolExecutor(16) as pool:
        sizes = slowed(one, 0.1)
        questions = [f"What is {topic}, {n}?" for n in range(4) for topic in TOPICS]
        ask = lambda q: one.client.post("/v1/answers", json={"question": q}).json()  # noqa: E731
        answers = list(pool.map(ask, questions))
    assert [a["question"]["text"] for a in answers] == questions
    assert len({a["audit_id"] for a in answers}) == len(questions)
    assert sum(sizes) == len(questions)
    assert max(sizes) >= 4
    assert len(sizes) < len(questions) / 2


def test_a_bad_question_in_a_batch_hurts_nobody_else(copied: Path) -> None:
    with running(copied) as one, ThreadPoolExecutor(8) as pool:
        slowed(one, 0.1)
        questions = [QUESTION, "Does study CXR999999 show edema?"] * 4
        statuses = list(pool.map(lambda q: one.client.post("/v1/answers", json={"question": q}).status_code, questions))
        recorded = one.client.get("/v1/answers", params={"limit": 100}).json()["entries"]
    assert statuses == [200, 422] * 4
    assert len(recorded) == 4


def test_a_full_queue_says_when_to_come_back(copied: Path, refused: Any) -> None:
    with running(copied, queue=2, batch_size=1) as one, ThreadPoolExecutor(12) as pool:
        slowed(one, 1.0)
        responses = list(
            pool.map(lambda n: one.client.post("/v1/answers", json={"question": f"What is edema {n}?"}), range(12))
        )
        full = [r for r in responses if r.status_code != 200]
        assert 200 in {r.status_code for r in responses}
        assert full
        for response in full:
            refused(response, 429, "questions are waiting")
            assert int(response.headers["retry-after"]) >= 1
        refused(one.client.post("/v1/batch", json={"questions": [{"question": "x"}] * 3}), 429)


def test_a_question_that_takes_too_long_is_given_up(copied: Path, refused: Any, temporary: Path) -> None:
    with running(copied, timeout_s=0.3) as one:
        slowed(one, 1.0)
        refused(one.client.post("/v1/answers", json={"question": QUESTION}), 504, "0.3 s")
    assert not list(temporary.iterdir())


def test_a_reader_who_leaves_stops_the_work(copied: Path, temporary: Path) -> None:
    with running(copied, streams=1) as one:
        engine = one.service.index("small").engine
        stream, at_work, go_on = engine.stream, threading.Event(), threading.Event()

        def slow(question: Question, **options: Any) -> Any:
            for n, happened in enumerate(stream(question, **options)):
                if n == 1:
                    at_work.set()
                    go_on.wait(20)
                yield happened

        engine.stream = slow  # type: ignore[method-assign]
        address, body = urlsplit(one.url), json.dumps({"question": QUESTION, "stream": True})
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = "POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            assert at_work.wait(20)
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
        time.sleep(1.0)  # the server must notice before the engine goes on
        go_on.set()
        deadline = time.monotonic() + 20
        while one.metric("clincite_streams") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert one.metric("clincite_streams") == 0
        assert not one.client.get("/v1/answers").json()["entries"]
        engine.stream = stream  # type: ignore[method-assign]
        assert one.client.post("/v1/answers", json={"question": QUESTION, "stream": True}).status_code == 200
    assert not list(temporary.iterdir())


def test_a_question_whose_asker_left_is_not_answered(copied: Path) -> None:
    with running(copied, batch_size=1) as one, ThreadPoolExecutor(2) as pool:
        sizes = slowed(one, 2.0)
        busy = [pool.submit(one.client.post, "/v1/answers", json={"question": QUESTION}) for _ in range(2)]
        while len(sizes) < 2:
            time.sleep(0.01)
        with pytest.raises(httpx.ReadTimeout):  # both lanes are taken: it waits in the queue
            one.client.post("/v1/answers", json={"question": "What is drusen?"}, timeout=0.2)
        assert [b.result().status_code for b in busy] == [200, 200]
        time.sleep(0.2)
        assert one.client.post("/v1/answers", json={"question": QUESTION}).status_code == 200
        assert len(sizes) == 3
        assert one.metric("clincite_waiting_questions") == 0


def test_an_error_in_the_engine_is_a_sentence_in_both_forms(copied: Path, refused: Any, caplog: Any) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Jane Doe of /secret/path")

    with running(copied) as one:
        engine = one.service.index("small").engine
        engine.ask_many, engine.stream = broken, broken  # type: ignore[method-assign]
        refused(one.client.post("/v1/answers", json={"question": QUESTION}), 500)
        told = one.client.post("/v1/answers", json={"question": QUESTION, "stream": True})
        assert told.text.startswith("event: error\n")
        assert "Jane" not in told.text
    assert "RuntimeError" in caplog.text
    assert "Jane" not in caplog.text


def test_a_server_that_is_told_to_stop_finishes_what_it_began(copied: Path) -> None:
    """As people run it: a process, its first lines, its end."""
    command = [sys.executable, "-c", _SLOW, "serve", "--indexes", str(copied), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(4)]
        url = lines[0].removeprefix("ClinCite listens on ")
        assert lines[1:] == [
            "indexes: small (version 1)",
            "authentication: off (this machine only)",
            "research software, not a medical device",
        ]
        with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=60) as client:
            asked = pool.submit(client.post, "/v1/answers", json={"question": QUESTION})
            time.sleep(2.0)  # until it has begun
            process.send_signal(signal.SIGTERM)
            assert asked.result().json()["verdict"] == "yes"
        assert process.wait(30) in (0, -signal.SIGTERM)
    finally:
        process.kill()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "Traceback" not in errors
    assert QUESTION not in errors


_SLOW = """
import time
from rag.answering.engine import Engine
quick = Engine.ask_many
def slow(self, questions, **options):
    if options.get("record", True):
        time.sleep(4.0)
    return quick(self, questions, **options)
Engine.ask_many = slow
from rag.cli import main
main()
"""
