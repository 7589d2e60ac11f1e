"""Indexes change while they are served: ingest, rollback, compaction; and what a restart leaves."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rag.server.web.metrics import Metrics
from rag.server.web.problems import Problem
from rag.server.work.jobs import Jobs, Listener, new_id

from .conftest import QUESTION, Served, running

NEW = "Is there a zebra pattern in study new-1?"


def followed(one: Served, job: dict[str, Any]) -> dict[str, Any]:
    """The job when it is over."""
    text = one.client.get(f"/v1/jobs/{job['id']}/events").text
    last = [line[6:] for line in text.splitlines() if line.startswith("data: ")][-1]
    whole: dict[str, Any] = json.loads(last)
    assert whole == one.client.get(f"/v1/jobs/{job['id']}").json()
    return whole


def cases(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def test_uploaded_cases_are_asked_about_at_once_and_rolled_back(copied: Path, refused: Any) -> None:
    upload = cases(
        {"id": "new-1", "text": "Large right pleural effusion.", "domain": "radiology", "group": "p-new"},
        {"id": "new-2"},
    )
    with running(copied) as one:
        post = one.client.post
        refused(post("/v1/answers", json={"question": "Does study new-1 show pleural effusion?"}), 422, "new-1")
        response = post("/v1/indexes/small/ingest", files={"file": ("cases.jsonl", upload)})
        assert response.status_code == 202
        job = followed(one, response.json())
        assert job["state"] == "done", job
        assert (job["result"]["added"], job["result"]["version"]) == (1, 2)
        assert [q["record"] for q in job["result"]["quarantined"]] == ["line 2"]
        assert str(copied) not in json.dumps(job)
        assert job["progress"]
        answer = post("/v1/answers", json={"question": "Does study new-1 show pleural effusion?"}).json()
        assert (answer["verdict"], answer["index_version"]) == ("yes", 2)
        assert not list((copied / "small").glob("uploads/*"))  # a text is in the catalogue: the file is not needed

        assert post("/v1/indexes/small/rollback", json={"version": 1}).json() == {"index": "small", "version": 3}
        refused(post("/v1/answers", json={"question": "Does study new-1 show pleural effusion?"}), 422)
        refused(post("/v1/indexes/small/rollback", json={"version": 99}), 422, "no version 99")
        compacted = followed(one, post("/v1/indexes/small/compact").json())
        assert compacted["state"] == "done"
        assert compacted["result"]["segments_after"] <= compacted["result"]["segments_before"]
        assert one.client.get(f"/v1/answers/{answer['audit_id']}").json() == answer
        assert [j["kind"] for j in one.client.get("/v1/jobs").json()["jobs"]] == ["compact", "ingest"]


def test_an_archive_of_images_is_kept_because_they_are_evidence(copied: Path) -> None:
    out, picture = io.BytesIO(), io.BytesIO()
    Image.radial_gradient("L").save(picture, "PNG")
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("scans/ring.png", picture.getvalue())
        archive.writestr("scans/ring.txt", "A bright ring around a dark centre.")
    with running(copied) as one:
        job = one.client.post("/v1/indexes/small/ingest", files={"file": ("a.zip", out.getvalue())}).json()
        assert followed(one, job)["state"] == "done"
        files = {"image": picture.getvalue()}
        asked = one.client.post("/v1/answers", data={"question": "What is seen?"}, files=files).json()
        ring = next(e for e in asked["evidence"] if e["text"].startswith("A bright ring"))
        assert one.client.get(ring["image"]).headers["content-type"] == "image/jpeg"
    assert [p.name for p in (copied / "small" / "uploads").rglob("*.*")] == ["ring.png"]


def test_a_source_without_anything_usable_fails_with_its_reason(copied: Path) -> None:
    with running(copied) as one:
        response = one.client.post("/v1/indexes/small/ingest", files={"file": ("cases.jsonl", b"not json\n")})
        job = followed(one, response.json())
        assert job["state"] == "failed"
        assert "no record of cases.jsonl could be used" in job["error"]
        assert str(copied) not in json.dumps(job)


def test_a_job_is_cancelled_and_resumed(copied: Path, monkeypatch: pytest.MonkeyPatch, refused: Any) -> None:
    upload = cases({"id": "new-1", "text": "Large right pleural effusion.", "domain": "radiology", "group": "p"})
    with running(copied) as one:
        stage = Listener.stage

        def cancelled(self: Listener, name: str, total: int | None = None) -> Any:
            monkeypatch.setattr(Listener, "stage", stage)  # the second time it goes through
            one.service.jobs.cancel(next(iter(one.service.jobs._active)))
            return stage(self, name, total)

        monkeypatch.setattr(Listener, "stage", cancelled)
        response = one.client.post("/v1/indexes/small/ingest", files={"file": ("cases.jsonl", upload)})
        job = followed(one, response.json())
        assert (job["state"], job["result"]) == ("cancelled", None)
        assert one.client.get("/v1/indexes/small").json()["version"] == 1
        assert one.client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
        assert followed(one, job)["state"] == "done"
        assert one.client.get("/v1/indexes/small").json()["version"] == 2
        refused(one.client.post(f"/v1/jobs/{job['id']}/resume"), 409, "done")
        assert one.client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "done"


def test_what_a_dead_server_left_is_resumed_by_the_next(copied: Path) -> None:
    upload = cases({"id": "new-1", "text": "Large right pleural effusion.", "domain": "radiology", "group": "p"})
    with running(copied) as one:
        one.service._working.submit(one.service.jobs.interrupt)
        one.service.jobs._start = lambda identity: None  # type: ignore[method-assign] # killed before its turn
        job = one.client.post("/v1/indexes/small/ingest", files={"file": ("cases.jsonl", upload)}).json()
        assert job["state"] == "queued"
    with running(copied) as one:
        assert one.client.get(f"/v1/jobs/{job['id']}").json()["state"] == "interrupted"
        assert one.client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
        assert followed(one, job)["state"] == "done"


def test_no_question_fails_and_none_mixes_versions_while_the_index_changes(copied: Path) -> None:
    from rag.audit.checks import check_entry, documents_in

    upload = cases(
        *({"id": f"n-{n}", "text": f"Pleural effusion, number {n}.", "domain": "radiology"} for n in range(40))
    )
    with running(copied) as one, ThreadPoolExecutor(6) as pool:
        post = one.client.post

        def change() -> None:
            for _ in range(3):
                job = post("/v1/indexes/small/ingest", files={"file": ("cases.jsonl", upload)}).json()
                assert followed(one, job)["state"] == "done"
                assert post("/v1/indexes/small/rollback", json={"version": 1}).status_code == 200
                assert followed(one, post("/v1/indexes/small/compact").json())["state"] == "done"

        changing = pool.submit(change)
        asked = []
        while not changing.done():
            asked += list(
                pool.map(lambda n: post("/v1/answers", json={"question": f"What is pleural effusion? {n}"}), range(8))
            )
        changing.result()
        assert {r.status_code for r in asked} == {200}
        answers = [r.json() for r in asked]
        assert len({a["index_version"] for a in answers}) > 1
        served = one.service.index("small")
        chain, lookup = served.engine.ledger.verify_chain(), documents_in(served.store)
        for answer in answers:
            entry = served.engine.ledger.get(answer["audit_id"])
            report = check_entry(entry, lookup, chain)
            assert report.ok, report
        assert post("/v1/answers", json={"question": QUESTION}).status_code == 200


def test_two_servers_over_one_folder_leave_each_others_jobs_alone(tmp_path: Path) -> None:
    begun, go_on, path = threading.Event(), threading.Event(), tmp_path / "jobs.sqlite"

    def work(request: dict[str, Any], listener: Listener) -> dict[str, Any]:
        begun.set()
        go_on.wait(30)
        return {}

    with ThreadPoolExecutor(1) as pool:
        first = Jobs(path, {"compact": work}, pool, Metrics())
        job = first.submit("compact", "small", {}, "local", new_id())
        assert begun.wait(30)
        second = Jobs(path, {"compact": work}, pool, Metrics())
        assert second.get(job.id).state == "running"
        with pytest.raises(Problem, match="another server"):
            second.cancel(job.id)
        first._alive.release()  # the operating system does, when the first is killed
        third = Jobs(path, {"compact": work}, pool, Metrics())
        assert third.get(job.id).state == "interrupted"
        go_on.set()
        for jobs in (first, second, third):
            jobs.close()
