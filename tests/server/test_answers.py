"""Questions over HTTP: the same answers as in Python, cited, recorded, streamed, with their images."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from rag.corpus.packaged import packaged_file

from .conftest import QUESTION, Served

RETINA = "skimage", "data", "retina.jpg"


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    told = []
    for block in response.text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            name = next(line[7:] for line in lines if line.startswith("event: "))
            told.append((name, json.loads("".join(line[6:] for line in lines if line.startswith("data: ")))))
    return told


def test_an_answer_is_the_engine_s_and_is_recorded(served: Served) -> None:
    answer = served.client.post("/v1/answers", json={"question": QUESTION}).json()
    python = served.service.index("small").engine.ask(QUESTION)
    assert (answer["decision"], answer["verdict"]) == ("answered", "yes")
    assert answer["sentences"] == [s.model_dump(mode="json") for s in python.sentences]
    assert answer["citations"] == [c.model_dump(mode="json") for c in python.citations]
    again = served.client.get(f"/v1/answers/{answer['audit_id']}")
    assert again.json() == answer
    newest = served.client.get("/v1/answers", params={"limit": 2}).json()["entries"]
    assert answer["audit_id"] in [e["audit_id"] for e in newest]
    older = served.client.get("/v1/answers", params={"before": newest[-1]["number"], "limit": 200}).json()["entries"]
    assert all(e["number"] < newest[-1]["number"] for e in older)


def test_events_bring_sentences_with_citations_before_the_answer(served: Served) -> None:
    told = events(served.client.post("/v1/answers", json={"question": "What is drusen?", "stream": True}))
    names = [name for name, _ in told]
    assert names[0] == "stage"
    assert names[-2:] == ["certificate", "answer"]
    assert names.index("evidence") < names.index("sentence") < names.index("answer")
    answer = told[-1][1]
    sentences = [data for name, data in told if name == "sentence"]
    assert [s["sentence"] for s in sentences] == answer["sentences"]
    assert all(s["citations"] and s["citations"][0]["quote"] for s in sentences)
    assert served.client.get(f"/v1/answers/{answer['audit_id']}").json() == answer


@pytest.mark.parametrize("form", ["json", "data url", "multipart"])
def test_an_image_is_asked_about_and_not_kept(served: Served, form: str, temporary: Path) -> None:
    content = packaged_file(*RETINA).read_bytes()
    encoded = base64.b64encode(content).decode()
    asked = {"question": "What is seen?"}
    if form == "multipart":
        response = served.client.post("/v1/answers", data=asked, files={"image": ("r.jpg", content, "image/jpeg")})
    else:
        prefix = "data:image/jpeg;base64," if form == "data url" else ""
        response = served.client.post("/v1/answers", json=asked | {"image": prefix + encoded})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["domain"]["name"] == "ophthalmology"
    (seen,) = answer["image_citations"]
    assert (seen["sentence"], seen["seen_by"]) == (0, answer["sentences"][0]["seen_by"])
    assert seen["label"] == "seen by the model in the image, not verified by a text"
    assert seen["sha256"] == hashlib.sha256(content).hexdigest()
    shown = served.client.get(answer["question"]["image"])  # the ledger keeps it, for whoever replays the answer
    assert shown.headers["content-type"] == "image/jpeg"
    assert not list(temporary.iterdir())


def test_images_of_evidence_come_by_address_and_bounded(served: Served) -> None:
    content = packaged_file(*RETINA).read_bytes()
    asked = served.client.post("/v1/answers", data={"question": "What is seen?"}, files={"image": content})
    addresses = [e["image"] for e in asked.json()["evidence"] if e["image"]]
    assert addresses
    assert all(a.startswith("/v1/answers/") for a in addresses)
    shown = served.client.get(addresses[0], params={"edge": 256})
    assert shown.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(shown.content)) as image:
        assert max(image.size) <= 256
        assert image.format == "JPEG"


def test_an_image_that_is_not_the_indexed_one_is_not_shown(copied: Path, tmp_path: Path, refused: Any) -> None:
    from .conftest import running

    picture = tmp_path / "corpus" / "scan.png"
    picture.parent.mkdir()
    Image.new("RGB", (64, 64), "red").save(picture)
    (picture.with_suffix(".txt")).write_text("A red square without findings.")
    with running(copied, ingest_roots=(str(tmp_path / "corpus"),)) as one:
        job = one.client.post("/v1/indexes/small/ingest", json={"path": "scan.png"}).json()
        with one.client.stream("GET", f"/v1/jobs/{job['id']}/events") as following:
            assert "done" in following.read().decode()
        with picture.open("rb") as stream:
            asked = one.client.post("/v1/answers", data={"question": "What is seen?"}, files={"image": stream}).json()
        address = next(e["image"] for e in asked["evidence"] if e["text"].startswith("A red square"))
        assert one.client.get(address).status_code == 200
        Image.new("RGB", (64, 64), "blue").save(picture)
        refused(one.client.get(address), 410, "no longer what was indexed")
    refused_number = address.rsplit("/", 2)[0] + "/99/image"
    with running(copied) as one:
        refused(one.client.get(refused_number), 404)


def test_a_search_finds_what_python_finds(served: Served) -> None:
    found = served.client.post("/v1/search", json={"question": "hyperinflated lungs", "k": 3}).json()
    python = served.service.index("small").engine.search("hyperinflated lungs", 3)
    assert [h["passage"]["id"] for h in found["hits"]] == [h.passage.id for h in python]
    assert found["index_version"] == 1
    assert all(h["document"]["image"] is None for h in found["hits"])


def test_a_batch_answers_in_order_and_one_bad_question_hurts_nobody(served: Served) -> None:
    questions = [
        {"question": QUESTION},
        {"question": "Does study CXR999999 show edema?"},
        {"question": "What is drusen?"},
    ]
    results = served.client.post("/v1/batch", json={"questions": questions}).json()["results"]
    assert [r["answer"] is not None for r in results] == [True, False, True]
    assert results[0]["answer"]["question"]["study"] == "CXR2814"
    assert results[1]["problem"]["status"] == 422
    assert "CXR999999" in results[1]["problem"]["detail"]


def test_an_index_says_what_it_holds_and_under_which_licences(served: Served) -> None:
    assert served.client.get("/v1/indexes").json()["indexes"][0]["name"] == "small"
    detail = served.client.get("/v1/indexes/small").json()
    assert {"CC BY-NC-ND 4.0", "CC BY 4.0"} <= {c["licence"] for c in detail["corpora"]}
    assert detail["spaces"]["text"]["backends"]
    assert [v["number"] for v in served.client.get("/v1/indexes/small/versions").json()["versions"]] == [1]


def test_every_response_carries_the_security_headers(served: Served) -> None:
    for path in ("/healthz", "/nowhere", "/v1/indexes"):
        headers = served.client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
