"""One wrong bit anywhere in an index is found by ``verify``, or changes nothing; and it is never a traceback.

``RAG_FLIPS=2000`` for the full run.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rag.errors import RagError
from rag.indexing import Filter, IndexStore

from .brute_force import fill, make_document, unit

FLIPS = int(os.environ.get("RAG_FLIPS", "250"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two versions with a document removed in the second."""
    store = IndexStore.create(tmp_path_factory.mktemp("whole") / "index")
    fill(store, [make_document(f"d{n}", f"The lungs are clear {n}. The heart is large.") for n in range(12)])
    with store.writer() as writer:
        writer.remove(document_ids=["d3"])
        writer.publish("removed", {})
    assert store.verify().sound
    return store.path


def look(path: Path) -> Any:
    """What a reader sees of the index: all documents, and what searches find, in both versions."""
    store = IndexStore.open(path)
    seen = []
    for version in (1, 2):
        with store.snapshot(version) as snapshot:
            documents = {k: [d.model_dump() for d in snapshot.documents(k)] for k in ("report", "image", "literature")}
            near = [(s.row, s.score) for s in snapshot.search("text", unit(5), 4, Filter())[0]]
            words = [(s.row, round(s.score, 9)) for s in snapshot.search_words("large heart lungs", 30, Filter())]
            texts = [(p.model_dump(), d.id) for p, d in snapshot.passages([r for r, _ in (*near, *words)])]
            seen.append((documents, near, words, texts, snapshot.spaces(), snapshot.has_case("c-D5")))
    return seen, [v.number for v in store.versions()]


def flip(file: Path, chance: random.Random) -> tuple[int, int]:
    data = bytearray(file.read_bytes())
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    data[place] ^= 1 << bit
    file.write_bytes(bytes(data))
    return place, bit


def test_a_wrong_bit_is_found_or_harmless(whole: Path, tmp_path: Path) -> None:
    expected = look(whole)
    path, chance, outcomes = tmp_path / "index", random.Random(20261127), Counter[str]()
    shutil.copytree(whole, path)
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.stat().st_size)
    content = {f: f.read_bytes() for f in files}
    for n in range(FLIPS):
        file = files[n % len(files)]
        place, bit = flip(file, chance)
        where = f"bit {bit} of byte {place} of {file.relative_to(path)}"
        try:
            found = [] if (report := IndexStore.open(path).verify()).sound else list(report.problems)
        except RagError as error:
            found = [str(error)]
        try:
            same = look(path) == expected
            outcome = "the same" if same else "different"
        except RagError:
            outcome = "refused"
        assert found or outcome == "the same", f"{where}: not found, and what is read is {outcome}"
        assert not found or all("Traceback" not in p for p in found)
        outcomes["found" if found else "harmless"] += 1
        if file.parent != path:
            assert outcome != "different", f"{where}: a damaged segment was searched"
        for f in path.iterdir():
            if f.is_file() and f not in content:
                f.unlink()
        file.write_bytes(content[file])
    assert outcomes["found"] > FLIPS // 3


def test_an_image_that_is_gone_or_changed_is_named(tmp_path: Path) -> None:
    picture, store = tmp_path / "p.png", IndexStore.create(tmp_path / "index")
    Image.new("RGB", (8, 8)).save(picture)
    about = {"kind": "image", "image": str(picture), "image_sha256": hashlib.sha256(picture.read_bytes()).hexdigest()}
    fill(store, [make_document("d1", "A picture.", **about)])
    assert store.verify().sound
    Image.new("RGB", (9, 9)).save(picture)
    assert "the image of document 'd1' has changed" in str(store.verify().problems)
    picture.unlink()
    assert "the image of document 'd1' is no longer at" in str(store.verify().problems)
