"""The features behind an image's vector come in the same pass, and are the tower's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rag.corpus.images import load_image
from rag.encoders.features import encode_with_features
from rag.encoders.image import ImageNetEncoder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.runtime import torch

from .conftest import tiny_config, write_bert, write_model


def test_vectors_are_those_of_the_search_and_features_those_of_the_tower(tmp_path: Path, pictures: list[Path]) -> None:
    folder = write_bert(tmp_path / "timm", seed=0)
    (folder / "model.safetensors").unlink()
    config = tiny_config()
    tower = {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "linear", "timm_proj_bias": True}
    config["model_cfg"]["vision_cfg"] = {"image_size": 64, "timm_model_pretrained": False} | tower
    encoder = OpenClipEncoder(f"local-dir:{write_model(folder, config)}", batch_size=3)
    done: list[int] = []
    vectors, features = encode_with_features(encoder, pictures, done.append)
    np.testing.assert_allclose(vectors, encoder.encode_images(pictures), atol=1e-5)
    with torch().inference_mode():
        bare = encoder._model.visual.trunk(encoder.pixels(load_image(pictures[0]))[None])[0].numpy()
    np.testing.assert_allclose(features[0], bare / np.linalg.norm(bare), atol=1e-5)
    assert sum(done) == len(pictures)
    assert encode_with_features(encoder, [])[0].shape == (0, encoder.dim)


def test_other_towers_have_their_vectors_as_features(tiny: Path, pictures: list[Path]) -> None:
    vectors, features = encode_with_features(OpenClipEncoder(f"local-dir:{tiny}"), pictures[:2])
    np.testing.assert_array_equal(features, vectors)


def test_an_encoder_that_projects_nothing_has_its_vectors_as_features(pictures: list[Path]) -> None:
    vectors, features = encode_with_features(ImageNetEncoder(), pictures[:1])
    assert features is vectors
