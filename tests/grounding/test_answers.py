"""What regions an answer has, on the wire as in Python: of what is said to be there, where that may be told."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server.conftest import Problem, Served, running

from rag import Engine, Index, InputError, Settings
from rag.grounding.answers import phrases_in, targets_of_report
from rag.grounding.region import Region
from rag.language.clinical_text import Texts

# Synthetic. The picture is dark red with a bright spot on its left.
REPORT = "There is a small nodule in the left lung. No pleural effusion. Possible rib fracture."
ASKED = "Does study c1 show a nodule?"
SPOT = (0.175, 0.35)
Measured = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spots")
    image = Image.new("RGB", (200, 100), (120, 20, 20))
    image.paste((255, 0, 0), (20, 20, 50, 50))
    image.save(folder / "c1.png")
    row = {"id": "c1", "text": REPORT, "image": "c1.png", "domain": "radiology", "group": "p1"}
    (folder / "cases.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    encoders = {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}
    return Settings.model_validate(
        {"encoders": encoders, "grounder": "fakes:make_spots", "indexes": folder / "indexes"}
    )


@pytest.fixture(scope="module")
def spots(folder: Path, settings: Settings) -> Engine:
    index = Index.create("spots", settings)
    index.ingest(folder / "cases.jsonl")
    return Engine.open(index, settings)


def points_at_the_spot(region: Region) -> bool:
    (box,) = region.boxes
    return box.x0 < SPOT[0] < box.x1 < 0.5 and box.y0 < SPOT[1] < box.y1


def test_a_study_s_report_is_shown_in_the_image_of_its_case(spots: Engine, measured: Measured) -> None:
    measured("radiology", shown=True)
    answer = spots.ask(ASKED)
    (found,) = spots.regions(answer.audit_id)
    region = found.region
    assert (region.phrase, region.evidence, region.sentence) == ("left pulmonary nodule", 1, 0)
    assert REPORT[region.start : region.end] == "There is a small nodule in the left lung."
    assert points_at_the_spot(region)
    assert (region.cannot_say, region.standing) == (None, "as measured on coloured spots")


def test_a_yes_about_an_image_is_shown_in_it_and_what_is_absent_nowhere(
    spots: Engine, folder: Path, measured: Measured
) -> None:
    measured("radiology", shown=True)
    image = str(folder / "c1.png")
    yes = spots.ask("Does this image show a nodule?", image=image)
    assert yes.verdict == "yes"
    own, similar = (g.region for g in spots.regions(yes.audit_id))
    assert (own.evidence, own.phrase, similar.evidence, similar.phrase) == (
        None, "pulmonary nodule", 1, "left pulmonary nodule",
    )  # fmt: skip
    assert points_at_the_spot(own)
    no = spots.ask("Does this image show a pleural effusion?", image=image)
    assert (no.verdict, spots.regions(no.audit_id)) == ("no", [])
    told = spots.ask("What does this image show?", image=image, domain="radiology")
    assert [g.region.evidence for g in spots.regions(told.audit_id)] == [1]  # of the similar case, not of this image


@pytest.mark.parametrize("domain", ["radiology", "ophthalmology"])
def test_where_a_model_was_not_good_enough_or_not_measured_nothing_is_shown(
    domain: str, spots: Engine, folder: Path, measured: Measured
) -> None:
    measured(domain, shown=False)
    (found,) = spots.regions(spots.ask(ASKED).audit_id)
    why = "as measured on coloured spots" if domain == "radiology" else "never measured in this domain"
    assert found.region.boxes == ()
    assert why in str(found.region.cannot_say)
    (sent,) = spots.ground(folder / "c1.png", ["red spot"], domain)
    assert sent.region.boxes == ()


def test_every_finding_of_a_report_has_its_place(spots: Engine, texts: Texts, measured: Measured) -> None:
    measured("radiology", shown=True)
    assert phrases_in("Bilateral effusions. Right pneumothorax, no rib fracture.", texts) == (
        "pleural effusion", "right pneumothorax",
    )  # fmt: skip
    assert [t.phrase for t in targets_of_report(1, f"{REPORT} {REPORT}", texts)] == ["left pulmonary nodule"]
    assert len(targets_of_report(1, "Cardiomegaly. Nodule. Fracture. Goiter. Ascites. " * 9, texts)) == 5
    audit_id = spots.ask(ASKED).audit_id
    (found,) = spots.regions(audit_id, report=1)
    assert points_at_the_spot(found.region)
    with pytest.raises(InputError, match="no evidence 7 with an image"):
        spots.regions(audit_id, report=7)


def test_an_image_that_changed_or_was_redacted_has_no_regions(
    spots: Engine, folder: Path, measured: Measured, tmp_path: Path
) -> None:
    measured("radiology", shown=True)
    sent = tmp_path / "sent.png"
    with Image.open(folder / "c1.png") as image:
        image.resize((100, 50)).save(sent)
    answer = spots.ask("Does this image show a nodule?", image=str(sent))
    assert points_at_the_spot(spots.regions(answer.audit_id)[0].region)
    spots.ledger.redact(lambda entry: {"image"} if entry.audit_id == answer.audit_id else (), "asked to be forgotten")
    assert not [g for g in spots.regions(answer.audit_id) if g.region.evidence is None and g.region.boxes]


@pytest.fixture
def served(spots: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("RAG_ENCODERS__TEXT", settings.encoders.text)
    monkeypatch.setenv("RAG_ENCODERS__IMAGE", settings.encoders.image)
    monkeypatch.setenv("RAG_GROUNDER", settings.grounder)
    with running(settings.indexes) as one:
        yield one


def opacity(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
        return np.asarray(image)[:, :, 3]


def test_regions_and_their_maps_are_served(served: Served, folder: Path, measured: Measured, refused: Problem) -> None:
    measured("radiology", shown=True)
    with (folder / "c1.png").open("rb") as sent:
        question = {"question": "Does this image show a nodule?"}
        audit_id = served.client.post("/v1/answers", data=question, files={"image": sent}).json()["audit_id"]
    answer = f"/v1/answers/{audit_id}"
    listed = served.client.get(f"{answer}/regions").json()
    assert (listed["audit_id"], listed["cannot_say"]) == (audit_id, None)
    own, similar = listed["regions"]
    assert (own["image"], own["map"]) == (f"{answer}/image", f"{answer}/regions/0/map")
    assert (similar["image"], similar["map"]) == (f"{answer}/evidence/1/image", f"{answer}/regions/1/map")
    assert {"x0", "y0", "x1", "y1", "heat"} == own["boxes"][0].keys()
    for region in (own, similar):
        assert served.client.get(region["image"]).headers["content-type"] == "image/jpeg"
        heat = opacity(served.client.get(region["map"]).content)
        assert heat.shape == (256, 512)  # the picture's proportions
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        assert (x / 512, y / 256) == pytest.approx(SPOT, abs=0.08)
    (report,) = served.client.get(f"{answer}/evidence/1/regions").json()["regions"]
    assert report["map"] == f"{answer}/evidence/1/regions/0/map"
    assert served.client.get(report["map"]).status_code == 200
    assert REPORT[report["start"] : report["end"]] == "There is a small nodule in the left lung."
    refused(served.client.get(f"{answer}/regions/9/map"), 404, "there are 2")
    refused(served.client.get(f"{answer}/evidence/9/regions"), 404, "no evidence")
    refused(served.client.get("/v1/answers/a-nobody/regions"), 404)


def test_an_image_that_is_sent_is_looked_at_and_forgotten(
    served: Served, folder: Path, measured: Measured, refused: Problem
) -> None:
    measured("radiology", shown=True)
    picture = (folder / "c1.png").read_bytes()
    before = served.client.get("/v1/answers").json()
    fields = {"phrases": ["red spot", "green spot"], "domain": "radiology"}
    sent = served.client.post("/v1/regions", data=fields, files={"image": picture})
    assert sent.status_code == 200, sent.text
    red, _ = sent.json()["regions"]
    assert points_at_the_spot(Region.model_validate({k: v for k, v in red.items() if k != "map"}))
    assert opacity(base64.b64decode(red["map"].partition(",")[2])).shape == (256, 512)
    body = fields | {"image": base64.b64encode(picture).decode()}
    assert served.client.post("/v1/regions", json=body).json()["regions"][0] == red
    assert served.client.get("/v1/answers").json() == before
    refused(served.client.post("/v1/regions", json={"phrases": [], "image": ""}), 422, "phrases")
    refused(served.client.post("/v1/regions", data={"phrases": ["x"]}), 415)
    refused(served.client.post("/v1/regions", json={"phrases": ["x" * 999], "image": ""}), 422, "phrases")


def test_what_may_not_be_told_is_not_drawn(served: Served, measured: Measured, refused: Problem) -> None:
    measured("radiology", shown=False)
    audit_id = served.client.post("/v1/answers", json={"question": ASKED}).json()["audit_id"]
    (region,) = served.client.get(f"/v1/answers/{audit_id}/regions").json()["regions"]
    assert (region["boxes"], region["map"], region["cannot_say"]) == ([], None, "as measured on coloured spots")
    refused(served.client.get(f"/v1/answers/{audit_id}/regions/0/map"), 404, "as measured on coloured spots")
