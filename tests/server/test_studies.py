"""The document behind a quote, the studies of an index, and what could be asked of it."""

from __future__ import annotations

from typing import Any

from .conftest import NAMED_STUDY, QUESTION, Served


def test_the_source_of_a_quote_holds_the_quote(served: Served, refused: Any) -> None:
    answer = served.client.post("/v1/answers", json={"question": QUESTION}).json()
    citation = answer["citations"][0]
    path = f"/v1/answers/{answer['audit_id']}/evidence/{citation['number']}/source"
    found = served.client.get(path).json()
    assert (found["index"], found["index_version"], found["study"]) == ("small", answer["index_version"], NAMED_STUDY)
    assert found["document"]["text"][citation["start"] : citation["end"]] == citation["quote"]
    refused(served.client.get(path, params={"part": "another work's"}), 404)
    refused(served.client.get(f"/v1/answers/{answer['audit_id']}/evidence/99/source"), 404)


def test_studies_are_completed_whatever_the_case(served: Served) -> None:
    def starting(prefix: str, **more: Any) -> list[str]:
        found = served.client.get("/v1/indexes/small/studies", params={"starting": prefix, **more}).json()
        listed: list[str] = found["studies"]
        return listed

    assert NAMED_STUDY in starting("cxr281")
    assert all(s.startswith("CXR1") for s in starting("CXR1"))
    assert len(starting("", limit=3)) == 3
    assert starting("no such beginning") == starting("%") == starting("HP:") == []


def test_a_study_comes_with_its_report_and_images(served: Served, refused: Any) -> None:
    study = served.client.get("/v1/indexes/small/study", params={"id": NAMED_STUDY.lower()}).json()
    assert study["id"] == NAMED_STUDY
    assert any("There is cardiomegaly." in d["text"] for d in study["documents"])
    assert [s["id"] for s in study["studies"]] == [NAMED_STUDY]
    retina = served.client.get("/v1/indexes/small/study", params={"id": "sample/retina"}).json()
    (image,) = [d["id"] for d in retina["documents"] if d["image"]]
    for form in ("image", "pixels"):
        shown = served.client.get(f"/v1/indexes/small/{form}", params={"document": image})
        assert shown.headers["content-type"] == "image/jpeg"
        refused(served.client.get(f"/v1/indexes/small/{form}", params={"document": NAMED_STUDY}), 404)
    for unknown in ("no such study", "HP:0000001"):
        refused(served.client.get("/v1/indexes/small/study", params={"id": unknown}), 404)


def test_the_examples_of_an_index_are_answered(served: Served) -> None:
    examples = served.client.get("/v1/indexes/small/examples").json()["examples"]
    assert len(examples) == 3
    for question in examples:
        assert served.client.post("/v1/answers", json={"question": question}).json()["decision"] == "answered", question
