"""Counting and conversations over REST and the chat door."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import openai

from rag.server.access.keys import KeyFile

from .conftest import QUESTION, Problem, Served, running


def test_a_count_comes_with_its_words_its_error_and_a_page_of_quotes(served: Served) -> None:
    found = served.client.post("/v1/find", json={"question": "How many reports mention cardiomegaly?", "limit": 2})
    body = found.json()
    assert found.status_code == 200
    assert body["words"].startswith(f"{body['count']} of {body['scope']} reports")
    assert any("missed" in note for note in body["notes"])
    assert len(body["hits"]) == 2
    assert body["next_offset"] == 2
    again = served.client.post("/v1/find", json={"criteria": body["question"], "offset": 2, "limit": 1}).json()
    assert again["count"] == body["count"]
    assert again["hits"][0]["document_id"] not in {h["document_id"] for h in body["hits"]}


def test_every_hit_comes_as_a_file(served: Served) -> None:
    asked = {"question": "cardiomegaly"}
    count = served.client.post("/v1/find", json=asked).json()["count"]
    table = served.client.post("/v1/find", json=asked | {"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert len({row["document_id"] for row in csv.DictReader(io.StringIO(table.text))}) == count
    lines = served.client.post("/v1/find", json=asked | {"format": "jsonl"}).text.splitlines()
    assert len([json.loads(line) for line in lines]) == count


def test_what_cannot_be_counted_is_one_sentence(served: Served, refused: Problem) -> None:
    refused(served.client.post("/v1/find", json={"question": "zebra stripes"}), 422, "zebra stripes")
    refused(served.client.post("/v1/find", json={"question": "zebras", "format": "csv"}), 422, "zebras")
    refused(served.client.post("/v1/find", json={}), 422, "question")
    refused(served.client.post("/v1/find", json={"question": "mass", "limit": 5000}), 422, "limit")
    refused(served.client.post("/v1/find", json={"question": "mass", "index": "other"}), 404, "other")


def test_a_key_that_may_not_ask_may_not_count(copied: Path, tmp_path: Path, refused: Problem) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    audits, _ = keys.add("auditor", ["audit"])
    asks, _ = keys.add("asker", ["ask"])
    with running(copied, keys=tmp_path / "keys.json") as one:
        refused(one.client.post("/v1/find", json={"question": "mass"}), 401)
        told = one.client.post("/v1/find", json={"question": "mass"}, headers={"Authorization": f"Bearer {audits}"})
        refused(told, 403)
        done = one.client.post("/v1/find", json={"question": "mass"}, headers={"Authorization": f"Bearer {asks}"})
        assert done.status_code == 200


def test_a_thread_goes_on_and_is_forgotten(served: Served) -> None:
    def ask(question: str) -> Any:
        return served.client.post("/v1/answers", json={"question": question, "thread": "rounds"}).json()

    first, second = ask(QUESTION), ask("and a pneumothorax?")
    assert second["question"]["study"] == first["question"]["study"]
    assert second["question"]["taken"]["means"] == "Does study CXR2814 show a pneumothorax?"
    assert "was taken to mean" in second["reason"]
    listed = served.client.get("/v1/threads/rounds").json()["answers"]
    assert [a["audit_id"] for a in listed] == [second["audit_id"], first["audit_id"]]
    assert served.client.delete("/v1/threads/rounds").json() == {"turns": 2}
    assert "taken" not in ask("and a pneumothorax?")["question"]


def test_a_chat_client_that_resends_its_questions_is_understood(served: Served) -> None:
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
    done = client.chat.completions.create(
        model="small",
        messages=[
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "Yes, and also an effusion on the moon."},
            {"role": "user", "content": "and a pneumothorax?"},
        ],
    )
    about = (done.model_extra or {})["clincite"]
    assert about["taken"]["means"] == "Does study CXR2814 show a pneumothorax?"
