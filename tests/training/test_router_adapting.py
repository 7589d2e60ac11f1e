"""A user's own images teach a router, in a file apart, and can be taken back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rag.errors import InputError
from rag.retrieval.head import FILE, TrainedHead
from rag.retrieval.router import Router
from rag.settings import RoutingSettings
from rag.training.router.adapt import adapt_router, read_folder, undo_adaptation
from rag.training.router.recipe import RouterRecipe

BLUE, GREEN, RED = np.eye(3, dtype=np.float32)[[2, 1, 0]]
VIOLET = (200, 30, 200)  # of slides: neither blue nor green
NO_LOOKS = RouterRecipe(looks=0)


@pytest.fixture
def head(colours: Any) -> TrainedHead:
    """Trained, as it were, on blue radiology, green ophthalmology and red pathology."""
    known = np.stack([GREEN, RED, BLUE])
    reach = np.full(3, 0.1, dtype=np.float32)
    names = ("ophthalmology", "pathology", "radiology")
    about = {"examples": 300, "data": []}
    return TrainedHead(
        names, colours.fingerprint, 9 * known, np.zeros(3, np.float32), 1.5, known, np.arange(3), reach, about
    )


def paint(folder: Path, n: int, colour: tuple[int, int, int] = VIOLET, inner: str = "") -> Path:
    random = np.random.default_rng(n)
    for i in range(n):
        file = folder / inner / f"{inner}{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        shade = np.clip(random.normal(colour, 9), 0, 255).astype(np.uint8)
        Image.fromarray(np.tile(shade, (4, 4, 1))).save(file)
    return folder


def test_fifty_images_of_another_laboratory_are_learned(tmp_path: Path, head: TrainedHead, colours: Any) -> None:
    out = tmp_path / "index" / FILE
    report = adapt_router(head, {"pathology": paint(tmp_path / "slides", 50)}, colours, out, NO_LOOKS)
    assert report.before["pathology"].hits == 0
    assert report.after["pathology"].hits >= 45  # of images that the one who judged had not learned
    assert report.kept.hits == report.kept.of == 2
    learned = TrainedHead.load(out)
    unseen = colours.encode_images([next(paint(tmp_path / "more", 1).iterdir())])
    assert head.strangeness(unseen)[0] > 1 >= learned.strangeness(unseen)[0]
    assert learned.domains[int(learned.logits(unseen).argmax())] == "pathology"
    for colour, name in ((GREEN, "ophthalmology"), (BLUE, "radiology"), (RED, "pathology")):
        assert learned.domains[int(learned.logits(colour[None]).argmax())] == name
        assert learned.strangeness(colour[None])[0] <= 1
    assert learned.strangeness(np.array([[0.7, 0.7, 0.1]], np.float32))[0] > 1  # yellow is still like nothing


def test_the_new_router_is_another_one_and_the_old_file_stays(tmp_path: Path, head: TrainedHead, colours: Any) -> None:
    shipped = tmp_path / "shipped.safetensors"
    head.save(shipped)
    before = shipped.read_bytes()
    out = tmp_path / "index" / FILE
    adapt_router(TrainedHead.load(shipped), {"pathology": paint(tmp_path / "s", 30)}, colours, out, NO_LOOKS)
    assert shipped.read_bytes() == before
    opened = [Router.open(RoutingSettings.model_validate({"model": file}), colours, ()) for file in (shipped, out)]
    assert opened[0].fingerprint != opened[1].fingerprint  # what certificates are bound to
    first = out.read_bytes()
    again = tmp_path / "again" / FILE
    adapt_router(TrainedHead.load(shipped), {"pathology": tmp_path / "s"}, colours, again, NO_LOOKS)
    assert again.read_bytes() == first  # the same images give the same file
    assert str(tmp_path) not in json.dumps(dict(TrainedHead.load(out).about))


def test_each_addition_is_taken_back_in_turn(tmp_path: Path, head: TrainedHead, colours: Any) -> None:
    out = tmp_path / FILE
    adapt_router(head, {"pathology": paint(tmp_path / "s", 30)}, colours, out, NO_LOOKS)
    first = out.read_bytes()
    grey = paint(tmp_path / "g", 30, (150, 150, 150))
    adapt_router(TrainedHead.load(out), {"radiology": grey}, colours, out, NO_LOOKS)
    assert len(TrainedHead.load(out).about["added"]) == 2
    undo_adaptation(out)
    assert out.read_bytes() == first
    undo_adaptation(out)
    assert list(tmp_path.glob("*.safetensors")) == []
    with pytest.raises(InputError, match="nothing to undo"):
        undo_adaptation(out)


def test_a_router_that_was_trained_there_comes_back_and_is_never_undone(
    tmp_path: Path, head: TrainedHead, colours: Any
) -> None:
    out = tmp_path / FILE
    head.save(out)
    mine = out.read_bytes()
    adapt_router(head, {"pathology": paint(tmp_path / "s", 30)}, colours, out, NO_LOOKS)
    undo_adaptation(out)
    assert out.read_bytes() == mine
    with pytest.raises(InputError, match="nothing to undo"):
        undo_adaptation(out)
    assert out.read_bytes() == mine


def test_a_domain_that_the_router_never_saw_is_learned(tmp_path: Path, head: TrainedHead, colours: Any) -> None:
    two = replace(
        head,
        domains=("ophthalmology", "radiology"),
        weights=head.weights[[0, 2]],
        bias=head.bias[:2],
        prototypes=head.prototypes[[0, 2]],
        owners=np.arange(2),
        thresholds=head.thresholds[:2],
    )
    out = tmp_path / FILE
    report = adapt_router(two, {"pathology": paint(tmp_path / "s", 40, (220, 10, 10))}, colours, out, NO_LOOKS)
    learned = TrainedHead.load(out)
    assert learned.domains == ("ophthalmology", "radiology", "pathology")
    assert report.farthest["pathology"][0] is None
    assert learned.strangeness(RED[None])[0] <= 1
    assert learned.domains[int(learned.logits(RED[None]).argmax())] == "pathology"
    assert learned.domains[int(learned.logits(BLUE[None]).argmax())] == "radiology"


def test_images_of_one_patient_count_once(tmp_path: Path, head: TrainedHead, colours: Any) -> None:
    folder = paint(tmp_path / "s", 40, inner="patient")
    with pytest.raises(InputError, match=r"images of 1 patients or slides; for 5% false alarms it needs 19"):
        adapt_router(head, {"pathology": folder}, colours, tmp_path / FILE, NO_LOOKS)
    assert not (tmp_path / FILE).exists()


def test_a_damaged_file_is_named_and_copies_count_once(tmp_path: Path) -> None:
    folder = paint(tmp_path / "s", 3)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "notes.txt").write_text("not an image")
    rows, spoilt = read_folder("pathology", folder)
    assert len(rows) == 3
    assert [q.record for q in spoilt] == ["broken.png"]


@pytest.mark.parametrize(
    ("domain", "folder", "message"),
    [
        ("pathologie", "s", "no domain 'pathologie' to add images to; use one of .*pathology"),
        ("general", "s", "no domain 'general'"),
        ("pathology", "nowhere", "there is no folder .*nowhere"),
        ("pathology", "empty", "no image that can be read"),
    ],
)
def test_what_cannot_be_added_is_one_sentence(
    tmp_path: Path, head: TrainedHead, colours: Any, domain: str, folder: str, message: str
) -> None:
    paint(tmp_path / "s", 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        adapt_router(head, {domain: tmp_path / folder}, colours, tmp_path / FILE)
