"""``rag ground`` as people run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import environment, rag
from PIL import Image

from rag.encoders.registry import load_image_encoder
from rag.grounding.standing import load_standings
from rag.settings import Settings

SPOTS = {"RAG_GROUNDER": "fakes:make_spots"}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = Image.new("RGB", (200, 100), (20, 20, 120))
    image.paste((255, 0, 0), (140, 20, 170, 50))
    image.save(tmp_path / "c1.png")
    return tmp_path / "c1.png"


def test_a_place_is_told_and_drawn_where_one_insists(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.png"
    words = ["ground", str(picture), "red spot", "--domain", "radiology", "--out", str(out)]
    done = rag(*words, "--anyway", env=environment(**SPOTS))
    assert done.returncode == 0, done.stderr
    assert "red spot: 7" in done.stdout
    assert "never measured in this domain" in done.stdout
    with Image.open(out) as drawn:
        assert (drawn.mode, drawn.size) == ("RGBA", (512, 256))
    out.unlink()
    told = json.loads(rag(*words, "--json", env=environment(**SPOTS)).stdout)
    assert (told["boxes"], out.exists()) == ([], False)
    assert "never measured" in told["cannot_say"]


def test_mistakes_are_told_in_a_sentence(picture: Path) -> None:
    for words, said in (
        (["ground", "nowhere.png", "red spot"], "There is no image file"),
        (["ground", str(picture), " "], "name a finding"),
        (["ground", str(picture), "red", "--domain", "astrology"], "there is no domain 'astrology'"),
        (["ground", str(picture), "red", "--by", "telepathy"], "there is no grounder 'telepathy'"),
        (["ground", str(picture), "red", "--by", "similarity", "--anyway"], "does not compare texts with places"),
    ):
        done = rag(*words, env=environment(**SPOTS))
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert said in done.stderr


def test_what_was_measured_is_of_the_model_that_ships() -> None:
    """A model that was trained again has not been measured: python benchmarks/grounding.py ../shared/data --save."""
    shipped = load_image_encoder(Settings().encoders).fingerprint
    standings = {(s.model, s.method, s.domain): s for s in load_standings()}
    for method in ("similarity", "gradient"):
        for domain in ("radiology", "ophthalmology", "pathology"):
            assert (shipped, method, domain) in standings
    # a heat map on a radiograph is no better than a guess: it is not shown before it is
    assert not standings[shipped, "similarity", "radiology"].shown
