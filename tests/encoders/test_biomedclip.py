"""BiomedCLIP's full architecture and MedCPT's pair of text models, with random weights, from folder to answer.

The configuration is the published one, and as in the published repository the folder holds the tokenizer but no shape
of the text tower. Real weights in such a folder need one line of a profile.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.answering.engine import Engine
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.encoders.runtime import torch
from rag.encoders.text import AsymmetricEncoder, SentenceEncoder
from rag.errors import InputError, MissingDependencyError
from rag.indexing import IndexStore
from rag.settings import Settings, knowledge_dir, load_settings

from .conftest import write_bert, write_model

PUBLISHED = {
    "model_cfg": {
        "embed_dim": 512,
        "vision_cfg": {
            "timm_model_name": "vit_base_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        "text_cfg": {
            "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The profile 'biomedclip' with its models in folders; that of the image model is not there yet."""
    root = tmp_path_factory.mktemp("biomedclip")
    queries, passages = write_bert(root / "queries", seed=1), write_bert(root / "articles", seed=2)
    lines = (knowledge_dir() / "profiles" / "biomedclip.toml").read_text(encoding="utf-8").splitlines()
    own = {"image": f"local-dir:{root / 'BiomedCLIP'}", "text": str(passages), "queries": str(queries)}
    changed = [
        f'{key} = "{own[key]}"' if (key := line.partition(" = ")[0]) in own else line
        for line in lines
    ]  # fmt: skip
    (root / "profile.toml").write_text("\n".join(changed), encoding="utf-8")
    return load_settings(str(root / "profile.toml"), indexes=root / "indexes")


@pytest.fixture(scope="module")
def settings(profile: Settings) -> Iterator[Settings]:
    """The same, and the image model is there: 196 million random weights."""
    model = write_model(Path(profile.encoders.image.removeprefix("local-dir:")), PUBLISHED, half=True, binary=True)
    yield profile
    shutil.rmtree(model)  # 400 MB


@pytest.mark.slow
def test_the_architecture_is_whole(settings: Settings) -> None:
    encoder = load_image_encoder(settings.encoders)
    model = encoder._model  # type: ignore[attr-defined]
    assert len(model.visual.trunk.blocks) == len(model.text.transformer.encoder.layer) == 12
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(196e6, rel=0.01)
    assert encoder._tokenizer.context_length == 256  # type: ignore[attr-defined]


@pytest.mark.slow
def test_images_and_texts_meet_in_one_space(settings: Settings, pictures: list[Path]) -> None:
    encoder = load_image_encoder(settings.encoders)
    texts = ["the heart is enlarged", "no effusion", "retina " * 1000]
    images, words = encoder.encode_images(pictures[:2]), encoder.encode_texts(texts)  # type: ignore[attr-defined]
    assert (images.shape, words.shape) == ((2, 512), (3, 512))
    for some in (images, words):
        np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, atol=1e-5)
        assert np.isfinite(some).all() and some.std(axis=0).max() > 1e-3


@pytest.mark.slow
def test_a_corpus_becomes_an_index_and_a_question_an_answer(
    settings: Settings, pictures: list[Path], tmp_path: Path
) -> None:
    rows = []
    for n, text in enumerate(("The heart is enlarged.", "The lungs are clear.", "There is a left pleural effusion.")):
        shutil.copy(pictures[n], tmp_path / f"{n}.png")
        rows.append({"id": f"c{n}", "image": f"{n}.png", "text": text, "domain": "radiology", "group": f"p{n}"})
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text, image = load_text_encoder(settings.encoders), load_image_encoder(settings.encoders)
    with IndexStore.create(settings.indexes / "mine") as store:
        report = ingest([Source(tmp_path / "cases.jsonl")], store, Encoders(text, image))
        assert report.added == 6 and not report.quarantined
        with store.snapshot() as snapshot:
            spaces = snapshot.spaces()
            assert {name: (info.dim, info.n) for name, info in spaces.items()} == {
                "text": (32, 3),
                "image": (512, 3),
                "joint": (512, 3),
            }
            assert spaces["image"].fingerprint.startswith("BiomedCLIP:")
    engine = Engine.open(settings.indexes / "mine", settings)
    answer = engine.ask("Is there a pleural effusion?", image=str(pictures[2]))
    assert answer.evidence[0].case_id == "c2" and answer.evidence[0].channel == "image"
    assert answer.evidence[0].score == pytest.approx(1, abs=1e-4)
    assert {e.case_id for e in engine.ask("What do the images show?", domain="radiology").evidence} >= {"c0"}


def test_without_the_models_the_profile_says_what_is_missing() -> None:
    published = load_settings("biomedclip").encoders
    with pytest.raises(MissingDependencyError, match=r"BiomedCLIP.*local-dir:<folder>"):
        load_image_encoder(published)
    with pytest.raises(MissingDependencyError, match="MedCPT-Article-Encoder"):
        load_text_encoder(published).encode(["x"])


class TestAsymmetric:
    """Questions go through one model and passages through the other."""

    def test_each_kind_has_its_model(self, profile: Settings) -> None:
        torch()
        from transformers import AutoModel, AutoTokenizer

        encoder, texts = load_text_encoder(profile.encoders), ["the heart is enlarged", "no effusion"]
        for kind, folder in (("query", profile.encoders.queries), ("passage", profile.encoders.text)):
            tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
            with torch().inference_mode():
                first = model(**tokenizer(texts, return_tensors="pt", padding=True)).last_hidden_state[:, 0].numpy()
            ours = encoder.encode(texts, kind=kind)  # type: ignore[arg-type]
            np.testing.assert_allclose(ours, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-5)
        assert abs(encoder.encode(texts, kind="query") - encoder.encode(texts)).max() > 0.01
        assert encoder.encode([], kind="query").shape == (0, encoder.dim)

    def test_the_fingerprint_names_both(self, profile: Settings) -> None:
        chosen = profile.encoders
        both = load_text_encoder(chosen).fingerprint
        for other in ({"queries": chosen.text}, {"pooling": "mean"}, {"queries": None}, {"text": chosen.queries}):
            assert load_text_encoder(chosen.model_copy(update=other)).fingerprint != both

    def test_models_of_different_widths_are_refused(self, tmp_path: Path) -> None:
        wide, narrow = (SentenceEncoder(str(write_bert(tmp_path / str(n), 0, hidden=n))) for n in (64, 32))
        with pytest.raises(InputError, match="64.*32.*one space"):
            _ = AsymmetricEncoder(wide, narrow).dim

    def test_a_damaged_folder_is_named(self, tmp_path: Path) -> None:
        folder = write_bert(tmp_path / "bert", seed=0)
        (folder / "model.safetensors").write_bytes(b"cut")
        with pytest.raises(InputError, match="bert"):
            SentenceEncoder(str(folder)).encode(["x"])

    def test_a_full_memory_halves_the_batch(self, profile: Settings) -> None:
        texts = [f"the heart is {n}" for n in range(20)]
        free, tight = SentenceEncoder(profile.encoders.text), SentenceEncoder(profile.encoders.text, batch_size=16)
        tried: list[int] = []

        def check(module: object, inputs: object, options: dict[str, object]) -> None:
            tried.append(len(options["input_ids"]))  # type: ignore[arg-type]
            if tried[-1] > 5:
                raise torch().OutOfMemoryError("CUDA out of memory")

        tight._model[0].auto_model.embeddings.register_forward_pre_hook(check, with_kwargs=True)
        np.testing.assert_allclose(tight.encode(texts), free.encode(texts), atol=1e-5)
        assert [n for n in tried if n > 5] == [16, 8]
