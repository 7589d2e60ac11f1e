"""A corpus becomes an index, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.building import reading as module
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import InputError
from rag.indexing import IndexStore
from rag.settings import Settings


def corpus(path: Path, rows: int, changed: int = -1) -> Path:
    lines = (
        json.dumps({"id": f"c{n}", "text": f"Case {n}: the heart is {'normal' if n == changed else 'enlarged'}."})
        for n in range(rows)
    )
    path.write_text("\n".join(lines))
    return path


class Counting:
    """The real text encoder, counting what it is asked to encode."""

    def __init__(self) -> None:
        self._encoder = load_text_encoder(Settings().encoders)
        self.dim, self.fingerprint, self.texts = self._encoder.dim, self._encoder.fingerprint, 0

    def encode(self, texts, **options):  # type: ignore[no-untyped-def]
        self.texts += len(texts)
        return self._encoder.encode(texts, **options)


@pytest.fixture
def image():  # type: ignore[no-untyped-def]
    return load_image_encoder(Settings().encoders)


def test_unchanged_documents_cost_no_encoding(tmp_path: Path, image) -> None:  # type: ignore[no-untyped-def]
    store, text = IndexStore.create(tmp_path / "index"), Counting()
    assert ingest([Source(corpus(tmp_path / "c.jsonl", 20))], store, Encoders(text, image)).added == 20
    again = ingest([Source(corpus(tmp_path / "c.jsonl", 20, changed=7))], store, Encoders(text, image))
    assert (again.added, again.updated, again.unchanged, text.texts) == (0, 1, 19, 21)


def test_sync_removes_what_has_left_the_source(tmp_path: Path, image) -> None:  # type: ignore[no-untyped-def]
    store, text = IndexStore.create(tmp_path / "index"), Counting()
    ingest([Source(corpus(tmp_path / "c.jsonl", 20))], store, Encoders(text, image))
    fewer = Source(corpus(tmp_path / "c.jsonl", 15))
    assert ingest([fewer], store, Encoders(text, image)).removed == 0
    assert ingest([fewer], store, Encoders(text, image), sync=True).removed == 5


def test_an_interrupted_ingest_goes_on_from_its_last_checkpoint(
    tmp_path: Path, image, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "BATCH", 10)
    store, text = IndexStore.create(tmp_path / "index"), Counting()
    source = Source(corpus(tmp_path / "c.jsonl", 50))
    whole = text.encode

    def failing(texts, **options):  # type: ignore[no-untyped-def]
        if text.texts >= 30:
            raise KeyboardInterrupt
        return whole(texts, **options)

    monkeypatch.setattr(text, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        ingest([source], store, Encoders(text, image))
    assert store.version() == 0, "nothing is seen before it is complete"
    monkeypatch.setattr(text, "encode", whole)
    report = ingest([source], store, Encoders(text, image))
    assert (report.added, report.version, text.texts) == (50, 1, 50)
    assert not store.verify().problems


def test_killed_while_encoding_the_next_run_completes(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", 1500)
    command = [
        sys.executable,
        "-c",
        "from rag.cli import main; main()",
        "ingest",
        str(source),
        "--index",
        "mine",
        "--json",
    ]
    environment = {**os.environ, "RAG_INDEXES": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    staged = tmp_path / "mine" / "staging"
    deadline = time.monotonic() + 120
    first_batch = 1024 * (384 + 256) * 4  # bytes of its vectors, for texts and for images
    while time.monotonic() < deadline and _bytes(staged) < first_batch:
        time.sleep(0.05)
    time.sleep(0.5)  # the batch is staged once its line follows its vectors; the next one takes seconds
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    report = json.loads(done.stdout)
    assert (report["added"], report["version"]) == (1500, 1)
    assert report["passages"] < 1500, "the staged batches were not encoded again"


def _bytes(folder: Path) -> int:
    """Size of the files under ``folder``, some of which may vanish while we look."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def test_a_description_is_one_json_object(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from rag.cli import main; main()", "corpus", "describe", "--json"]
    done = subprocess.run(
        [*command, str(corpus(tmp_path / "c.jsonl", 3))], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout)["by_kind"] == {"report": 3}


def test_an_ingest_of_images_says_how_fast_it_decodes_and_encodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rag.cli.console import show_ingest

    with IndexStore.create(tmp_path / "index") as store:
        report = ingest([Source("samples")], store, Encoders(Counting(), load_image_encoder(Settings().encoders)))
    assert report.images_a_second["decode"] > 0 and report.images_a_second["encode"] > 0
    show_ingest(report)
    assert "images/s: decode" in (said := capsys.readouterr().out) and "passages/s written" in said


def test_what_is_published_on_the_way_is_searched_while_the_rest_is_read(
    tmp_path: Path, image, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "BATCH", 10)
    store, text = IndexStore.create(tmp_path / "index"), Counting()
    seen: list[tuple[int, int]] = []
    whole = text.encode

    def watching(texts, **options):  # type: ignore[no-untyped-def]
        if version := store.version():
            with store.snapshot() as snapshot:
                seen.append((version, len(snapshot.search_words("heart", 100))))
        return whole(texts, **options)

    monkeypatch.setattr(text, "encode", watching)
    source = Source(corpus(tmp_path / "c.jsonl", 50), publish_every=20)
    report = ingest([source], store, Encoders(text, image))
    assert seen == [(1, 20), (1, 20), (2, 40)]
    assert (report.version, report.added, text.texts) == (3, 50, 50)
    fewer = Source(corpus(tmp_path / "c.jsonl", 45, changed=2), publish_every=1)
    again = ingest([fewer], store, Encoders(text, image), sync=True)
    assert (again.updated, again.removed, again.unchanged) == (1, 5, 44)
    with pytest.raises(InputError, match="every 0 documents"):
        ingest([Source(tmp_path / "c.jsonl", publish_every=0)], store, Encoders(text, image))
