"""Whoever has to account for an answer: verify, replay, report, export and judge it over HTTP."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rag.corpus.packaged import packaged_file

from .conftest import QUESTION, Served, running


def test_an_answer_is_verified_replayed_reported_and_judged(served: Served, refused: Any) -> None:
    get, post = served.client.get, served.client.post
    asked = post("/v1/answers", json={"question": QUESTION}).json()
    path = f"/v1/audit/{asked['audit_id']}"
    verified = get(f"{path}/verify").json()
    assert verified["ok"]
    assert len(verified["checks"]) >= 6
    assert get(f"{path}/replay").json()["outcome"] == "identical"
    report = get(f"{path}/report")
    assert report.headers["content-type"].startswith("text/html")
    assert "There is cardiomegaly." in report.text
    assert "<script" not in report.text

    judged = post(f"/v1/answers/{asked['audit_id']}/feedback", json={"verdict": "corrected", "correction": "No."})
    assert judged.status_code == 201
    shown = get(path).json()
    assert [(f["mark"], f["correction"]) for f in shown["feedback"]] == [("corrected", "No.")]
    assert shown["answer"] == asked
    for bad in ({"verdict": "corrected"}, {"verdict": "right", "correction": "x"}, {"verdict": "maybe"}, {}):
        refused(post(f"/v1/answers/{asked['audit_id']}/feedback", json=bad), 422)
    refused(post("/v1/answers/a-20260101-22222222/feedback", json={"verdict": "right"}), 404)
    refused(get(f"/v1/audit/{judged.json()['audit_id']}/verify"), 404)  # a judgement is not an answer


def test_an_answer_is_taken_away_as_fhir_and_as_dicom(served: Served, refused: Any) -> None:
    pytest.importorskip("fhir.resources", reason="the interchange extra is not installed")
    pytest.importorskip("highdicom", reason="the interchange extra is not installed")
    asked = served.client.post("/v1/answers", json={"question": QUESTION}).json()
    path = f"/v1/audit/{asked['audit_id']}"
    bundle = served.client.get(f"{path}/fhir")
    assert bundle.headers["content-type"] == "application/fhir+json"
    report = bundle.json()["entry"][0]["resource"]
    assert (report["resourceType"], report["status"], report["id"]) == (
        "DiagnosticReport",
        "preliminary",
        asked["audit_id"],
    )
    sr = served.client.get(f"{path}/sr")
    assert sr.headers["content-type"] == "application/dicom"
    assert sr.content[128:132] == b"DICM"
    for form in ("fhir", "sr"):
        refused(served.client.get(f"/v1/audit/a-20260101-22222222/{form}"), 404)


def test_the_history_is_narrowed_by_words_decision_day_and_judgement(copied: Path, refused: Any) -> None:
    with running(copied) as one:

        def ids(**wanted: Any) -> list[str]:
            return [e["audit_id"] for e in one.client.get("/v1/answers", params=wanted).json()["entries"]]

        asked = [
            one.client.post("/v1/answers", json={"question": q}).json()
            for q in (QUESTION, "What is the capital of France?")
        ]
        study, other = (a["audit_id"] for a in asked)
        assert ids() == [other, study]
        assert ids(q="CARDIOMEGALY there is") == [study]  # in the answer's words, too
        assert ids(q="100%_") == []  # no wildcards
        assert ids(decision="abstained") == [other]
        assert ids(judged=True) == []
        for mark in ("right", "wrong"):
            one.client.post(f"/v1/answers/{study}/feedback", json={"verdict": mark})
        assert ids(judged=True) == [study]
        assert ids(judged=False) == [other]
        (found,) = one.client.get("/v1/answers", params={"judged": True}).json()["entries"]
        assert (found["verdict"], found["mark"], found["study"]) == ("yes", "wrong", "CXR2814")
        day = found["created"][:10]
        assert ids(since=day, until=day) == [other, study]
        assert ids(since="2999-01-01") == ids(until="2000-01-01") == []
        refused(one.client.get("/v1/answers", params={"since": "yesterday"}), 422)


def test_an_image_question_is_replayed_from_the_ledger_s_own_copy(served: Served) -> None:
    files = {"image": packaged_file("skimage", "data", "retina.jpg").read_bytes()}
    asked = served.client.post("/v1/answers", data={"question": "What is seen?"}, files=files).json()
    assert served.client.get(f"/v1/audit/{asked['audit_id']}/replay").json()["outcome"] == "identical"


def test_the_ledger_is_exported_and_an_edit_is_found(copied: Path, refused: Any) -> None:
    with running(copied) as one:
        get = one.client.get
        ids = [one.client.post("/v1/answers", json={"question": QUESTION}).json()["audit_id"] for _ in range(3)]
        lines = [json.loads(line) for line in get("/v1/audit/export").text.splitlines()]
        assert [line["audit_id"] for line in lines] == ids
        assert "cardiomegaly" not in get("/v1/audit/export", params={"texts": "false"}).text
        before = get("/v1/audit/chain").json()
        assert (before["ok"], before["entries"]) == (True, 3)
        assert get("/v1/audit/chain", params={"expect": before["head"]}).json()["ok"]
        with sqlite3.connect(copied / "small" / "ledger.sqlite") as connection:
            connection.execute("DROP TRIGGER IF EXISTS no_update")
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("UPDATE entries SET record = replace(record, 'answered', 'abstained') WHERE number = 2")
        after = get("/v1/audit/chain").json()
        assert (after["ok"], after["broken"]) == (False, 2)
        assert ids[1] in after["broken_at"]
        refused(get("/v1/audit/chain", params={"expect": "x"}), 422)
