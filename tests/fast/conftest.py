"""Ten documents, indexed with encoders that need no weights: what every test of the fast lane starts from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from rag import Engine, Index, Settings

# Synthetic: written for these tests. Every report says whether it shows cardiomegaly.
REPORTS = {
    "r1": "The heart is enlarged. No pleural effusion.",
    "r2": "Heart size is normal. There is a left pleural effusion.",
    "r3": "Cardiomegaly is present. The lungs are clear.",
    "r4": "The heart is not enlarged. There is a right pneumothorax.",
    "r5": "Marked cardiomegaly. No pneumothorax.",
    "r6": "Normal heart size. The lungs are clear.",
}
ENLARGED = {"r1", "r3", "r5"}
LITERATURE = {
    "l1": "Drusen are yellow deposits of extracellular material under the retina.",
    "l2": "Cardiomegaly is an enlargement of the heart on a chest radiograph.",
}
IMAGES = {"i1": ("red", "Retinal haemorrhage."), "i2": ("blue", "Normal retina.")}


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Fake encoders; the reader answers, as by default."""
    return Settings.model_validate({"encoders": {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}})


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten cases as JSON lines: six reports, two texts of the literature, two images."""
    folder = tmp_path_factory.mktemp("corpus")
    rows: list[dict[str, str]] = []
    for name, text in REPORTS.items():
        rows.append({"id": name, "text": text, "kind": "report", "domain": "radiology", "group": f"p-{name}"})
    for name, text in LITERATURE.items():
        rows.append({"id": name, "text": text, "kind": "literature", "domain": "general", "group": name})
    for name, (colour, text) in IMAGES.items():
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
        rows.append({"id": name, "image": f"{name}.png", "text": text, "domain": "ophthalmology", "group": name})
    file = folder / "cases.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def built(corpus: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the ten, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("fast") / "ten"
    with Index.create(folder, settings) as index:
        index.ingest(corpus)
    return folder


@pytest.fixture
def own(built: Path, settings: Settings, tmp_path: Path) -> Engine:
    """An engine on a copy of that index, to do with as a test likes."""
    return Engine.open(shutil.copytree(built, tmp_path / "ten"), settings)
