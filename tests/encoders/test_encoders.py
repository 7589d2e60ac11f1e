"""Encoders give unit vectors of the model they name, in the order they were asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.corpus.packaged import packaged_file
from rag.encoders.image import ImageNetEncoder
from rag.encoders.text import SentenceEncoder
from rag.errors import InputError, MissingDependencyError


@pytest.fixture(scope="module")
def text() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="module")
def image() -> ImageNetEncoder:
    return ImageNetEncoder()


def test_text_vectors_equal_those_of_the_bare_library(text: SentenceEncoder) -> None:
    texts = [
        "The heart is enlarged.",
        "No effusion.",
        "",
        "A much longer sentence about nothing. " * 30,
        "No effusion.",
    ]
    ours = text.encode(texts)
    bare = text._model.encode(texts, normalize_embeddings=True)
    assert ours.dtype == np.float32
    assert ours.shape == (5, text.dim)
    np.testing.assert_allclose(ours, bare, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_meaning_is_near(text: SentenceEncoder) -> None:
    heart, enlarged, fish = text.encode(["enlarged heart", "cardiomegaly", "a recipe for fish soup"])
    assert heart @ enlarged > heart @ fish + 0.2


def test_progress_counts_every_text_once(text: SentenceEncoder) -> None:
    counted: list[int] = []
    text.encode(["a", "b", "a"], progress=counted.append)
    assert sum(counted) == 3


def test_no_texts_give_no_vectors(text: SentenceEncoder) -> None:
    assert text.encode([]).shape == (0, text.dim)


def test_a_model_that_is_not_here_is_one_clear_sentence() -> None:
    with pytest.raises(MissingDependencyError, match="no-such/model"):
        SentenceEncoder("no-such/model").encode(["x"])


@pytest.mark.parametrize(
    ("file", "classes"),
    [("coffee.png", {504, 967, 968}), ("chelsea.png", {281, 282, 285}), ("rocket.jpg", {657, 744, 812})],
)
def test_the_image_weights_are_in_their_places(file: str, classes: set[int], image: ImageNetEncoder) -> None:
    """Coffee is an espresso or a cup, Chelsea is a cat, the rocket is a missile, a projectile or a space shuttle."""
    assert image.classify(packaged_file("skimage", "data", file)) in classes


def test_image_vectors_are_unit_and_keep_their_order(image: ImageNetEncoder) -> None:
    files = [packaged_file("skimage", "data", f) for f in ("retina.jpg", "ihc.png", "retina.jpg")]
    vectors = ImageNetEncoder(batch_size=2).encode_images(files)
    assert vectors.shape == (3, image.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.9


def test_dicom_is_read(image: ImageNetEncoder) -> None:
    file = packaged_file("pydicom", "data", "test_files", "CT_small.dcm")
    assert image.encode_images([file]).shape == (1, image.dim)


def test_a_file_that_is_no_image_is_named(image: ImageNetEncoder, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError, match="text.png"):
        image.encode_images([tmp_path / "text.png"])


def test_fingerprints_name_model_and_weights(text: SentenceEncoder, image: ImageNetEncoder, tmp_path: Path) -> None:
    assert text.fingerprint.startswith("minilm:")
    assert image.fingerprint.startswith("imagenet")
    assert text.fingerprint != image.fingerprint
