"""An index meets another encoder: it is refused with a command, and that command brings the index over."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rag.building.reencode
from rag.answering.engine import Engine
from rag.building.ingest import ingest
from rag.building.reencode import reencode
from rag.building.source import Source
from rag.cli import app
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import IndexStateError, InputError
from rag.indexing import IndexStore
from rag.settings import EncoderSettings, Settings, load_settings

TEXTS = ("The heart is enlarged.", "The lungs are clear.", "There is a left pleural effusion.", "Normal chest.")


@pytest.fixture
def corpus(tmp_path: Path, pictures: list[Path]) -> Path:
    """Four cases with a picture and a text each."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for n, text in enumerate(TEXTS):
        shutil.copy(pictures[n], folder / f"{n}.png")
        rows.append({"id": f"c{n}", "image": f"{n}.png", "text": text, "domain": "radiology", "group": f"p{n}"})
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


@pytest.fixture
def store(tmp_path: Path, corpus: Path) -> IndexStore:
    """The index 'mine', built with the default encoders."""
    store = IndexStore.create(tmp_path / "indexes" / "mine")
    usual = Settings().encoders
    ingest([Source(corpus)], store, Encoders.load(usual))
    return store


class Watched:
    """An encoder that counts what it encodes, and stops the run at a given image."""

    def __init__(self, encoder: Any, stop_at: int | None = None) -> None:
        self._encoder, self._stop_at = encoder, stop_at
        self.dim, self.fingerprint, self.n = encoder.dim, encoder.fingerprint, 0

    def encode_images(self, images: Any, **options: Any) -> Any:
        if self._stop_at is not None and self.n + len(images) > self._stop_at:
            raise KeyboardInterrupt
        self.n += len(images)
        return self._encoder.encode_images(images, **options)

    def encode(self, texts: Any, **options: Any) -> Any:
        self.n += len(texts)
        return self._encoder.encode(texts, **options)


@pytest.fixture
def other(tiny: Path) -> EncoderSettings:
    """The default text encoder and another image encoder."""
    return EncoderSettings.model_validate({"image": f"local-dir:{tiny}"})


def vectors(store: IndexStore, version: int, space: str) -> np.ndarray:
    with store.snapshot(version) as snapshot:
        return snapshot.vectors(space, snapshot.rows(space).tolist())


def follow(refusal: IndexStateError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the command that a refusal names, as a shell would."""
    words = shlex.split(str(refusal).partition("re-encode the index with: ")[2])
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        monkeypatch.setenv(name, value)
    assert words.pop(0) == "rag"
    app(words, standalone_mode=False)


@pytest.mark.parametrize("named_by", ["profile", "python", "environment"])
def test_the_refusal_names_the_command_that_works(
    named_by: str, store: IndexStore, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Path]
) -> None:
    indexes, image = store.path.parent, f"local-dir:{tiny}"
    monkeypatch.chdir(tmp_path)  # where ./indexes is
    if named_by == "profile":
        (tmp_path / "my own.toml").write_text(f'indexes = "{indexes}"\n[encoders]\nimage = "{image}"\n')
        settings = load_settings("my own.toml")
    elif named_by == "environment":
        monkeypatch.setenv("RAG_ENCODERS__IMAGE", image)
        settings = load_settings()
    else:
        settings = Settings(encoders=EncoderSettings.model_validate({"image": image}))
    with pytest.raises(IndexStateError, match="rag index reencode mine") as refused:
        Engine.open(indexes / "mine", settings)
    assert ("--profile 'my own.toml'" in str(refused.value)) == (named_by == "profile")
    follow(refused.value, monkeypatch)
    engine = Engine.open(indexes / "mine", settings)
    assert engine.version == 2
    answer = engine.ask("Is there a pleural effusion?", image=str(pictures[2]), domain="radiology")
    assert answer.evidence[0].case_id == "c2" and answer.evidence[0].score == pytest.approx(1, abs=1e-4)


def test_an_index_in_another_folder_is_named_with_it(
    store: IndexStore, other: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "else where"
    store.path.parent.rename(elsewhere)
    with pytest.raises(IndexStateError, match="--indexes") as refused:
        Engine.open(elsewhere / "mine", Settings(encoders=other))
    follow(refused.value, monkeypatch)
    assert Engine.open(elsewhere / "mine", Settings(encoders=other)).version == 2


def test_an_ingest_with_another_encoder_is_refused_and_works_afterwards(
    store: IndexStore, tiny: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(f'[encoders]\nimage = "local-dir:{tiny}"\n')
    (corpus / "more.jsonl").write_text(json.dumps({"id": "m", "image": "0.png", "text": "Clear.", "group": "m"}))
    command = ["ingest", str(corpus / "more.jsonl"), "--index", "mine", "--profile", "own.toml", "--json"]
    with pytest.raises(IndexStateError, match=r"rag index reencode mine --profile own\.toml$") as refused:
        app(command, standalone_mode=False)
    assert store.version() == 1
    follow(refused.value, monkeypatch)
    app(command, standalone_mode=False)
    assert (store.version(), store.versions()[-1].documents) == (3, 10)


def test_only_the_changed_encoder_runs_and_passages_stay(store: IndexStore, other: EncoderSettings) -> None:
    text = Watched(load_text_encoder(other))
    report = reencode(store, Encoders(text, load_image_encoder(other)))
    assert (report.version, report.documents, report.encoded, report.kept) == (2, 8, {"image": 4, "joint": 4}, ["text"])
    assert report.plans["image"].startswith("4 vectors of 16 dimensions")
    assert text.n == 0
    np.testing.assert_array_equal(vectors(store, 1, "text"), vectors(store, 2, "text"))
    with store.snapshot(1) as old, store.snapshot(2) as new:
        both = [[p for p, _ in s.passages(s.rows("text").tolist())] for s in (old, new)]
        assert both[0] == both[1]
    assert store.verify().problems == ()


def test_vectors_are_those_of_the_new_encoder_and_old_versions_keep_theirs(
    store: IndexStore, other: EncoderSettings, corpus: Path
) -> None:
    old, new = load_image_encoder(Settings().encoders), load_image_encoder(other)
    reencode(store, Encoders(load_text_encoder(other), new))
    files = [corpus / f"{n}.png" for n in range(4)]
    for version, encoder in ((1, old), (2, new)):
        expected = encoder.encode_images(files)
        np.testing.assert_allclose(vectors(store, version, "image"), expected, atol=1e-5)
        with store.snapshot(version) as snapshot:
            assert snapshot.spaces()["image"].fingerprint == encoder.fingerprint
            for n, hits in enumerate(snapshot.search("image", expected, 1)):
                _, document = snapshot.passages([hits[0].row])[0]
                assert document.case_id == f"c{n}"


def test_going_back_and_forgetting(store: IndexStore, other: EncoderSettings) -> None:
    usual = Settings().encoders
    reencode(store, Encoders.load(other))
    assert store.rollback(1) == 3
    assert Engine.open(store.path).version == 3
    with pytest.raises(IndexStateError, match="reencode"):
        Engine.open(store.path, Settings(encoders=other))
    assert reencode(store, Encoders.load(usual)).version == 3, "nothing to do"
    assert reencode(store, Encoders.load(other)).version == 4
    store.compact(())
    assert [v.number for v in store.versions()] == [4] and store.verify().problems == ()
    assert Engine.open(store.path, Settings(encoders=other)).ask("What is seen?", study="c1").evidence


def test_interrupted_it_publishes_nothing_and_goes_on_from_there(
    store: IndexStore, other: EncoderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.building.reencode, "BATCH", 2)  # one case
    text, image = load_text_encoder(other), load_image_encoder(other)
    with pytest.raises(KeyboardInterrupt):
        reencode(store, Encoders(text, Watched(image, stop_at=2)))
    assert store.version() == 1 and Engine.open(store.path).version == 1
    rest = Watched(image)
    report = reencode(store, Encoders(text, rest))
    assert (report.version, rest.n, store.versions()[-1].documents) == (2, 2, 8)
    assert store.verify().problems == ()
    np.testing.assert_allclose(
        vectors(store, 2, "image"), image.encode_images([d.image for d in _images(store)]), atol=1e-5
    )


def _images(store: IndexStore) -> Any:
    with store.snapshot() as snapshot:
        return snapshot.documents("image")


def test_an_image_that_is_gone_or_another_is_named_and_nothing_is_published(
    store: IndexStore, other: EncoderSettings, corpus: Path, pictures: list[Path]
) -> None:
    encoders = load_text_encoder(other), load_image_encoder(other)
    whole = (corpus / "1.png").read_bytes()
    (corpus / "1.png").unlink()
    with pytest.raises(InputError, match=r"no longer at .*1\.png.*rag index remove mine --document") as gone:
        reencode(store, Encoders(*encoders))
    (corpus / "1.png").write_bytes(pictures[5].read_bytes())
    with pytest.raises(InputError, match=r"has changed.*1\.png"):
        reencode(store, Encoders(*encoders))
    assert store.version() == 1
    command = str(gone.value).partition("with: ")[2].split()
    with store.writer() as writer:
        writer.remove(document_ids=[command[command.index("--document") + 1]])
        writer.publish("remove")
    assert reencode(store, Encoders(*encoders)).encoded == {"image": 3, "joint": 4}
    (corpus / "1.png").write_bytes(whole)


def test_changed_weights_of_the_same_name_are_refused(
    store: IndexStore, tiny: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """The hash counts, not the name: a model retrained in its place is another encoder."""
    from safetensors.torch import load_file, save_file

    from rag.encoders.checkpoint import WEIGHTS
    from rag.encoders.openclip import OpenClipEncoder

    model = Path(shutil.copytree(tiny, tmp_path / "model"))
    text = load_text_encoder(Settings().encoders)
    reencode(store, Encoders(text, OpenClipEncoder(f"local-dir:{model}")))
    state = load_file(model / WEIGHTS)
    save_file(state | {"visual.proj": state["visual.proj"] + 0.1}, model / WEIGHTS)
    settings = Settings(encoders=EncoderSettings.model_validate({"image": f"local-dir:{model}"}))
    with pytest.raises(IndexStateError, match="image vectors of another encoder"):
        Engine.open(store.path, settings)
    assert reencode(store, Encoders(text, OpenClipEncoder(f"local-dir:{model}"))).version == 3
    assert Engine.open(store.path, settings).version == 3
