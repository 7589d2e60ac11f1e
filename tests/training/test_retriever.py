"""`rag train retriever` as a user runs it, on drawn shapes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoders.conftest import tiny_config, write_bert, write_model

from rag.building.source import Source
from rag.cli import main
from rag.encoders.checkpoint import WEIGHTS
from rag.encoders.openclip import OpenClipEncoder
from rag.errors import InputError
from rag.progress import Silent
from rag.training.retriever.journey import train_retriever
from rag.training.retriever.recipe import Recipe

FROZEN = """image_stages = 0
text_layers = 0
views = 1
image_size = 64
dim = 32
epochs = 20
batch_size = 32
context = 16
"""
UNFROZEN = Recipe(image_stages=1, text_layers=1, views=2, image_size=32, dim=16, epochs=3, context=16, batch_size=64)


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, dict, str]:
    monkeypatch.setattr(sys, "argv", ["rag", *arguments, "--json"])
    code = 0
    try:
        main()
    except SystemExit as done:
        code = int(done.code or 0)
    output = capsys.readouterr()
    return code, json.loads(output.out), output.err


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(FROZEN)
    return file


def test_images_and_captions_find_each_other(
    shapes: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "shapes-model"
    command = ("train", "retriever", str(shapes / "cases.jsonl"), "--out", str(out), "--recipe", str(recipe))
    code, report, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert report["images"]["train"] > 150
    for direction in ("image to text", "text to image"):
        found = next(r for r in report["test"] if r["direction"] == direction and r["queries"] == "all")
        assert found["at"]["1"] > 0.5  # one in twelve by chance
        assert found["low"] <= found["at"]["10"] <= found["high"]
    encoder = OpenClipEncoder(f"local-dir:{out}")
    texts = ["A blue circle.", "A blue square.", "A red circle.", "A yellow triangle."]
    assert encoder.encode_texts(texts).shape == (4, 32)
    card = (out / "README.md").read_text()
    for fact in ("CC0-1.0", "CC-BY-4.0", "Not a medical device", "Research use only", " ".join(command[:3]), "seed 0"):
        assert fact in card
    assert f"| image to text | all | {report['images']['test']} |" in card
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "open_clip_config.json", WEIGHTS]
    code, report, words = run(capsys, monkeypatch, *command)
    assert (code, words.count("\n")) == (2, 1)
    assert "holds a model already" in report["error"]


def test_one_domain(shapes: Path, tmp_path: Path) -> None:
    """A retriever of its own for a domain learns from that domain alone (MMed-RAG)."""
    small = UNFROZEN.model_copy(update={"image_stages": 0, "text_layers": 0, "views": 0, "epochs": 1})
    report = train_retriever(Source(shapes), tmp_path / "out", small, Silent(), domains=["pathology"])
    assert sum(report.images.values()) == 120
    assert "radiology |" not in (tmp_path / "out" / "README.md").read_text()


class Killed(Exception):
    pass


class Killer:
    """A progress bar that ends the run at a given stage, after so many units."""

    def __init__(self, stage: str, after: int) -> None:
        self._stage, self._left = stage, after

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
        def tell(n: int) -> None:
            self._left -= n if name.startswith(self._stage) else 0
            if self._left < 0:
                raise Killed

        return tell


def test_a_killed_run_goes_on_to_the_same_weights(shapes: Path, tmp_path: Path) -> None:
    """Killed while it looks at images, in its second epoch, and while it measures."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_retriever(Source(shapes), whole, UNFROZEN, Silent())
    for stage, after in (("looking", 70), ("epoch 2", 100), ("measuring", 3)):
        with pytest.raises(Killed):
            train_retriever(Source(shapes), broken, UNFROZEN, Killer(stage, after))
    report = train_retriever(Source(shapes), broken, UNFROZEN, Silent())
    assert report.epochs == 3
    assert (broken / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_an_unfinished_run_is_not_continued_with_other_settings(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train_retriever(Source(shapes), tmp_path / "out", UNFROZEN, Killer("looking", 1))
    with pytest.raises(InputError, match="unfinished training of other data or another recipe"):
        train_retriever(Source(shapes), tmp_path / "out", UNFROZEN.model_copy(update={"seed": 5}), Silent())


def rows(shapes: Path) -> list[dict]:
    return [json.loads(line) for line in (shapes / "cases.jsonl").read_text().splitlines()]


def without(field: str) -> Callable[[list[dict]], list[dict]]:
    return lambda found: [{k: v for k, v in row.items() if k != field} for row in found]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (without("image"), [], "have no images"),
        (without("text"), [], "have no texts"),
        (lambda found: [row | {"group": "one"} for row in found], [], "1 groups were given"),
        (lambda found: found, ["--domain", "cardiology"], "no domain 'cardiology'"),
        (lambda found: found, ["--base", "local-dir:/nowhere"], "no model folder"),
        (lambda found: found, ["--base", "huge"], "'huge'"),
        (lambda found: [row | {"split": "train"} for row in found], [], "nothing to tune by"),
    ],
)
def test_bad_input_is_one_sentence(
    shapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[list[dict]], list[dict]],
    options: list[str],
    message: str,
) -> None:
    file = shutil.copytree(shapes, tmp_path / "shapes") / "cases.jsonl"
    file.write_text("\n".join(map(json.dumps, change(rows(shapes)))))
    code, report, words = run(
        capsys, monkeypatch, "train", "retriever", str(file), "--out", str(tmp_path / "out"), *options
    )
    assert code == 2
    assert message in report["error"]
    assert words.strip() == f"error: {report['error']}"


def test_a_recipe_names_its_wrong_field(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.toml").write_text("dropout = 2")
    command = ("train", "retriever", str(shapes), "--out", str(tmp_path / "x"), "--recipe", str(tmp_path / "bad.toml"))
    code, report, _ = run(capsys, monkeypatch, *command)
    assert code == 2
    assert "'dropout'" in report["error"]


def test_unreadable_records_are_listed_and_the_rest_is_learned(shapes: Path, tmp_path: Path) -> None:
    file = shutil.copytree(shapes, tmp_path / "shapes") / "cases.jsonl"
    (file.parent / "images" / "broken.png").write_bytes(b"not an image")
    bad = {"id": "broken", "image": "images/broken.png", "text": "A red circle.", "group": "x"}
    file.write_text("\n".join(map(json.dumps, [*rows(shapes), bad])) + "\n{not json\n")
    small = UNFROZEN.model_copy(update={"image_stages": 0, "text_layers": 0, "views": 0, "epochs": 1})
    report = train_retriever(Source(file), tmp_path / "out", small, Silent())
    assert sum(report.images.values()) == 240
    assert len(report.refused) == 2
    assert "line 241" in report.words()


def test_recall_counts_what_is_ahead() -> None:
    """Against a slow count; texts that two images share are right for both."""
    from rag.training.retriever.ranking import rank_pairs, recall

    rng = np.random.default_rng(2)
    images, texts = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 30, 5)).astype(np.float32)
    )
    keys = np.arange(30) // 2
    texts = texts[keys * 2]
    found = rank_pairs(images, texts, keys)
    for i in range(30):
        own = images[i] @ texts[i]
        assert found.image_to_text[i] == sum(images[i] @ texts[j] > own + 1e-6 for j in range(30) if keys[j] != keys[i])
        best = max(images[j] @ texts[i] for j in range(30) if keys[j] == keys[i])
        wrong = [images[j] @ texts[i] for j in range(30) if keys[j] != keys[i]]
        assert found.text_to_image[i] == sum(s > best + 1e-6 for s in wrong)
    assert recall(np.array([0, 4, 5, 30]), 5) == 0.5


def test_every_layer_of_a_model_of_ones_own_can_be_trained(shapes: Path, tmp_path: Path) -> None:
    """A local open_clip model: nothing is frozen, batches are larger than a chunk, and the copy needs nothing else."""
    config = tiny_config()
    config["model_cfg"]["vision_cfg"] = {
        "timm_model_name": "test_efficientnet",
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 32,
    }
    own = write_bert(tmp_path / "own", seed=0)
    (own / "model.safetensors").unlink()
    write_model(own, config)
    before = OpenClipEncoder(f"local-dir:{own}")
    image, text = shapes / "images" / "0.png", "A red circle."
    vectors = before.encode_images([image]), before.encode_texts([text])
    recipe = Recipe(
        base=f"local-dir:{own}", image_stages=99, text_layers=99, views=1, chunk=50, epochs=1, head_epochs=0
    )
    train_retriever(Source(shapes), tmp_path / "out", recipe, Silent())
    shutil.move(own, tmp_path / "away")
    after = OpenClipEncoder(f"local-dir:{tmp_path / 'out'}")
    for old, new in zip(vectors, (after.encode_images([image]), after.encode_texts([text])), strict=True):
        assert np.isfinite(new).all()
        assert np.abs(new - old).max() > 0
