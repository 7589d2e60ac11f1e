"""A small index of reports and images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of indexes with the index ``small``, and beside it the folder ``images`` with an image to ask about."""
    from rag.building.ingest import ingest
    from rag.building.source import Source
    from rag.corpus.packaged import packaged_file
    from rag.encoders.encoders import Encoders
    from rag.indexing import IndexStore
    from rag.settings import Settings

    folder = tmp_path_factory.mktemp("integrations")
    retina = Image.open(packaged_file("skimage", "data", "retina.jpg")).resize((300, 300))
    retina.save(folder / "retina.png")
    (folder / "images").mkdir()
    retina.crop((10, 10, 290, 290)).save(folder / "images" / "asked.png")
    retina.save(folder / "secret.png")
    rows = [
        {"id": "c1", "text": "The heart is enlarged. No effusion.", "domain": "radiology", "group": "p1"},
        {"id": "c2", "text": "Normal chest. The lungs are clear.", "domain": "radiology", "group": "p2"},
        {"id": "e1", "image": "retina.png", "text": "Normal retina.", "domain": "ophthalmology", "group": "p4"},
    ]
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = Settings().encoders
    store = IndexStore.create(folder / "indexes" / "small")
    ingest([Source(folder / "cases.jsonl")], store, Encoders.load(settings))
    return folder
