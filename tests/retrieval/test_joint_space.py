"""Images find reports and words find images: a small index with a tiny image-text model of random weights.

The model knows nothing, so what must be found is told by its own vectors: the nearest by brute force.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rag.answering.engine import Engine
from rag.building.ingest import ingest
from rag.building.reencode import reencode
from rag.building.source import Source
from rag.encoders import checkpoint
from rag.encoders.encoders import Encoders
from rag.encoders.image import ImageNetEncoder
from rag.encoders.minilm import MiniLmEncoder
from rag.encoders.openclip import OpenClipEncoder
from rag.errors import IndexStateError, InputError
from rag.indexing import IndexStore
from rag.settings import EncoderSettings, RetrievalSettings, Settings, load_settings, profile_text

CASES = 12
CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from safetensors.torch import save_file

    from rag.encoders.runtime import torch

    folder = tmp_path_factory.mktemp("tiny")
    (folder / checkpoint.CONFIG).write_text(json.dumps(CONFIG))
    torch().manual_seed(3)
    built, _ = checkpoint.build(CONFIG, None, None)
    save_file({k: v.contiguous() for k, v in built.state_dict().items()}, folder / checkpoint.WEIGHTS)
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn images with texts, texts alone, one image alone, and literature."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for n in range(CASES):
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{n}.png")
        rows.append({"id": f"c{n}", "image": f"{n}.png", "text": f"Finding number {n}.", "group": f"p{n}"})
        rows.append({"id": f"r{n}", "text": f"Report number {n * n} of nobody's image.", "group": f"q{n}"})
    del rows[0]["text"]
    rows.append({"id": "book", "text": "Finding number 5, as the book has it.", "kind": "literature"})
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def settings(model: str) -> Settings:
    return Settings(encoders=EncoderSettings(image=model), retrieval=RetrievalSettings(min_image_similarity=-1))


def build(corpus: Path, path: Path, image: OpenClipEncoder | ImageNetEncoder, joint: bool = True) -> IndexStore:
    store = IndexStore.create(path)
    ingest([Source(corpus / "cases.jsonl")], store, Encoders(MiniLmEncoder(), image, joint=joint))
    return store


@pytest.fixture(scope="module")
def store(corpus: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    return build(corpus, tmp_path_factory.mktemp("index") / "joint", OpenClipEncoder(model))


@pytest.fixture(scope="module")
def engine(store: IndexStore, settings: Settings) -> Engine:
    return Engine(store, settings)


def ranked(engine: Engine, channel: str, **question: str) -> list[str]:
    """Documents as a channel ranked them."""
    hits = engine.search(question.pop("text", "What is seen?"), k=100, **question)
    return [h.document.id for h in sorted((h for h in hits if channel in h.ranks), key=lambda h: h.ranks[channel])]


def test_an_image_finds_the_reports_nearest_to_it(engine: Engine, corpus: Path, model: str) -> None:
    rows = [json.loads(line) for line in (corpus / "cases.jsonl").read_text().splitlines()]
    reports = [r for r in rows if r.get("text") and r.get("kind") != "literature"]
    encoder = OpenClipEncoder(model)
    closeness = encoder.encode_texts([r["text"] for r in reports]) @ encoder.encode_images([corpus / "3.png"])[0]
    found = ranked(engine, "image-report", image=str(corpus / "3.png"))
    assert found == [reports[i]["id"] for i in np.argsort(-closeness)]
    assert any(name.startswith("r") for name in found), "reports without an image are found by one"


def test_words_find_the_images_nearest_to_them_and_bring_their_texts(engine: Engine, corpus: Path, model: str) -> None:
    encoder, text = OpenClipEncoder(model), "Is there a finding?"
    images = encoder.encode_images([corpus / f"{n}.png" for n in range(CASES)])
    order = np.argsort(-(images @ encoder.encode_texts([text])[0]))
    # the image without a text stands for itself
    assert ranked(engine, "text-image", text=text) == [f"c{n}" if n else "c0:image" for n in order]
    for hit in engine.search(text, k=100):
        assert hit.found_image == (f"{hit.document.case_id}:image" if "text-image" in hit.ranks else None)


def test_words_are_compared_with_images_only_where_those_can_bring_a_text(
    store: IndexStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    encode = OpenClipEncoder.encode_texts

    def counted(self: OpenClipEncoder, texts: Sequence[str]) -> np.ndarray:
        compared.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(OpenClipEncoder, "encode_texts", counted)
    found = settings.retrieval.model_copy(update={"min_relevance": 0.0})  # the first search is enough
    engine = Engine(store, settings.model_copy(update={"retrieval": found}))
    answer = engine.ask("What is pneumonia?", record=False)
    assert [e.kind for e in answer.evidence] == ["literature"] and compared == []
    engine.search("What is pneumonia?")
    assert compared == ["What is pneumonia?"]


def test_words_that_seek_literature_bring_no_patient_by_an_image(engine: Engine) -> None:
    answer = engine.ask("What is finding number 5 in the book?")
    assert answer.domain.kinds == ("literature",)
    assert answer.selection is not None
    assert [c.document_id for c in answer.selection.candidates] == ["book"]


def test_the_same_image_is_first_and_brings_its_text(engine: Engine, corpus: Path) -> None:
    assert ranked(engine, "image", image=str(corpus / "7.png"))[0] == "c7"


def test_what_is_excluded_is_found_in_no_direction(engine: Engine, corpus: Path) -> None:
    hits = engine.search("Finding number 7.", k=100, image=str(corpus / "7.png"), exclude_groups=("p7", "q4"))
    assert hits
    assert not {h.document.group_id for h in hits} & {"p7", "q4"}
    assert {c for h in hits for c in h.ranks} == {"text", "words", "image", "image-report", "text-image"}


def test_literature_is_not_in_the_joint_space(store: IndexStore) -> None:
    with store.snapshot() as snapshot:
        documents = [d for _, d in snapshot.passages(snapshot.rows("joint").tolist())]
        assert {d.kind for d in documents} == {"report"}
        assert len(documents) == 2 * CASES - 1
        assert snapshot.spaces()["joint"].fingerprint == snapshot.spaces()["image"].fingerprint
    assert not store.verify().problems


def test_weights_decide_whose_first_place_leads(store: IndexStore, settings: Settings, corpus: Path) -> None:
    question = {"text": "Finding number 2.", "image": str(corpus / "7.png")}
    for channel, first in (("words", "c2"), ("image", "c7")):
        retrieval = settings.retrieval.model_copy(update={"weights": {channel: 50.0}})
        engine = Engine(store, settings.model_copy(update={"retrieval": retrieval}))
        hits = engine.search(k=100, question=question["text"], image=question["image"])
        assert hits[0].document.id == first
        assert all(0 < h.score <= 1 for h in hits)


def test_an_index_without_a_joint_space_still_answers(
    corpus: Path, model: str, settings: Settings, tmp_path: Path
) -> None:
    store = build(corpus, tmp_path / "index", OpenClipEncoder(model), joint=False)
    with store.snapshot() as snapshot:
        assert set(snapshot.spaces()) == {"text", "image"}
    hits = Engine(store, settings).search("Finding number 7.", k=100, image=str(corpus / "7.png"))
    assert {c for h in hits for c in h.ranks} == {"text", "words", "image", "text-image"}
    # its first reports decided: those that come later are not half of a space
    (tmp_path / "more.jsonl").write_text(json.dumps({"id": "late", "text": "A late report."}))
    ingest([Source(tmp_path / "more.jsonl")], store, Encoders(MiniLmEncoder(), OpenClipEncoder(model), joint=True))
    with store.snapshot() as snapshot:
        assert "joint" not in snapshot.spaces()
        assert snapshot.document("late") is not None


def test_an_index_with_a_joint_space_keeps_it_whole(corpus: Path, model: str, tmp_path: Path) -> None:
    store = build(corpus, tmp_path / "index", OpenClipEncoder(model))
    (tmp_path / "more.jsonl").write_text(json.dumps({"id": "late", "text": "A late report."}))
    more = [Source(tmp_path / "more.jsonl")]
    with pytest.raises(IndexStateError, match="imagenet"):
        ingest(more, store, Encoders(MiniLmEncoder(), ImageNetEncoder()))
    ingest(more, store, Encoders(MiniLmEncoder(), OpenClipEncoder(model), joint=False))
    with store.snapshot() as snapshot:
        assert "late" in {d.id for _, d in snapshot.passages(snapshot.rows("joint").tolist())}


def test_reencoding_adds_the_joint_space_and_takes_it_away(corpus: Path, model: str, tmp_path: Path) -> None:
    store, text, image = IndexStore.create(tmp_path / "index"), MiniLmEncoder(), OpenClipEncoder(model)
    ingest([Source(corpus / "cases.jsonl")], store, Encoders(text, image, joint=False))
    report = reencode(store, Encoders(text, image))
    assert (report.version, report.encoded) == (2, {"joint": 2 * CASES - 1}), "what is there is not encoded again"
    assert reencode(store, Encoders(text, image)).version == 2
    report = reencode(store, Encoders(text, image, joint=False))
    assert (report.version, report.encoded, sorted(report.kept)) == (3, {}, ["image", "text"])
    assert [set(store.snapshot(v).spaces()) for v in (1, 2, 3)] == [
        {"text", "image"},
        {"text", "image", "joint"},
        {"text", "image"},
    ]
    assert not store.verify().problems


def test_an_image_can_ask_an_index_of_reports_alone(
    model: str, settings: Settings, corpus: Path, tmp_path: Path
) -> None:
    rows = [{"id": f"r{n}", "text": f"Report number {n * n}."} for n in range(5)]
    (tmp_path / "reports.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for joint in (True, False):
        store = IndexStore.create(tmp_path / f"index-{joint}")
        ingest(
            [Source(tmp_path / "reports.jsonl")],
            store,
            Encoders(MiniLmEncoder(), OpenClipEncoder(model), joint=joint),
        )
        engine = Engine(store, settings)
        if joint:
            assert len(ranked(engine, "image-report", image=str(corpus / "1.png"))) == 5
        else:
            with pytest.raises(InputError, match="no images to compare with"):
                engine.search("What is seen?", image=str(corpus / "1.png"))


def test_an_index_of_another_model_is_refused(corpus: Path, store: IndexStore) -> None:
    with pytest.raises(IndexStateError, match="vectors of another encoder"):
        Engine(store, Settings(encoders=EncoderSettings(image="imagenet")))


@pytest.mark.parametrize("bad", [{"smell": 1.0}, {"text": 0.0}, {"text": -1.0}])
def test_a_channel_that_is_not_there_or_a_weight_that_is_not_positive_is_refused(
    bad: dict[str, float], tmp_path: Path
) -> None:
    profile = tmp_path / "bad.toml"
    profile.write_text("[retrieval.weights]\n" + "".join(f"{c} = {w}\n" for c, w in bad.items()))
    with pytest.raises(InputError, match=r"retrieval\.weights"):
        load_settings(str(profile))


def test_a_profile_that_was_written_reads_the_same(tmp_path: Path) -> None:
    given = Settings.model_validate(
        {
            "encoders": {"image": 'local-dir:/a "quoted" folder\\ü\n\x7f', "joint": False},
            "retrieval": {
                "depth": 7,
                "weights": {"text": 0.5, "image-report": 2.0},
                "domain_weights": {"a domain.": {"words": 0.25}, "radiology": {"text-image": 1.0}},
            },
            "vectors": {"milvus_token": "secret", "backend": "flat"},
        }
    )
    (tmp_path / "made.toml").write_text(profile_text(given, "Two lines\nof note."), encoding="utf-8")
    read = load_settings(str(tmp_path / "made.toml"))
    assert (read.encoders, read.retrieval) == (given.encoders, given.retrieval)
    assert read.vectors.backend == "flat"
    assert "secret" not in (tmp_path / "made.toml").read_text(encoding="utf-8")
