"""Encoders give unit vectors of the model they name, in the order they were asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from rag.corpus.packaged import packaged_file
from rag.encoders import runtime
from rag.encoders.bert import read_tensors
from rag.encoders.compact import CompactModel
from rag.encoders.image import ImageNetEncoder
from rag.encoders.minilm import MiniLmEncoder, minilm_folder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.text import SentenceEncoder
from rag.errors import InputError, MissingDependencyError


@pytest.fixture(scope="module")
def text() -> MiniLmEncoder:
    return MiniLmEncoder()


@pytest.fixture(scope="module")
def image() -> ImageNetEncoder:
    return ImageNetEncoder()


# Whatever a report, a question or a hostile record may hold.
TEXTS = [
    "The heart is enlarged.",
    "No effusion.",
    "",
    "A much longer sentence about nothing. " * 60,
    "No effusion.",
    "caf\u00e9 &amp;lt; na\u00efve, \u201ccurly\u201d \ufb01gures, sch\u00c3\u00b6n, \u5fc3\u81d3",
    "x\x1b[31mred\x1b[0m  \t tab\n\nnew\x00line a\u200bb &lt;b&gt; 5 < 6 & 7",
]


@pytest.mark.parametrize(
    ("copies", "kind"),
    [(1, "passage"), (40, "passage"), (40, "query")],
    ids=["few, by numpy", "many passages", "many questions"],
)
def test_text_vectors_equal_those_of_the_bare_library(
    text: MiniLmEncoder, copies: int, kind: Literal["query", "passage"]
) -> None:
    """To the last digits; those of a corpus to the precision of the device's quick arithmetic."""
    texts = [f"{text[:200]} {n}" if n else text for n in range(copies) for text in TEXTS]
    bare = SentenceEncoder(str(minilm_folder()))._model.encode(texts, normalize_embeddings=True)
    ours = text.encode(texts, kind=kind) if copies > 1 else np.concatenate([text.encode([one]) for one in texts])
    exact = copies == 1 or kind == "query"
    assert ours.dtype == np.float32
    assert ours.shape == (len(texts), text.dim)
    np.testing.assert_allclose(ours, bare, atol=1e-6 if exact else 5e-3)
    assert (ours * bare).sum(axis=1).min() > (1 - 1e-6 if exact else 0.9998)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_question_has_one_vector_whoever_asks_beside_it(text: MiniLmEncoder) -> None:
    crowd = [f"Is the heart of patient number {n} enlarged?" for n in range(300)]
    for encode in (lambda t: text.encode(t, kind="query"), lambda t: OpenClipEncoder("compact").encode_texts(t[:200])):
        np.testing.assert_allclose(encode(crowd)[:3], np.concatenate([encode([one]) for one in crowd[:3]]), atol=1e-6)


def test_the_compact_model_is_open_clips_own(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [packaged_file("skimage", "data", f) for f in ("retina.jpg", "ihc.png", "rocket.jpg", "camera.png")]
    ours = OpenClipEncoder("compact")
    monkeypatch.setattr(CompactModel, "of", lambda *_: None)
    bare = OpenClipEncoder("compact")
    assert ours._compact is not None and bare._compact is None
    assert ours.fingerprint == bare.fingerprint
    np.testing.assert_array_equal(ours.encode_images(files), bare.encode_images(files))
    np.testing.assert_array_equal(ours.encode_images_and_features(files)[1], bare.encode_images_and_features(files)[1])
    one_by_one = np.concatenate([ours.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, bare.encode_texts(TEXTS), atol=2e-6)


_FRUGAL = """
import sys
from rag.encoders.minilm import MiniLmEncoder
from rag.encoders.openclip import OpenClipEncoder
MiniLmEncoder().encode(["Is the heart enlarged?"], kind="query")
image = OpenClipEncoder("compact")
image.encode_texts(["Is the heart enlarged?"])
heavy = ("torch", "transformers", "sentence_transformers", "sklearn", "open_clip", "scipy")
assert not (found := [name for name in heavy if name in sys.modules]), found
image.encode_images([sys.argv[1]])
MiniLmEncoder().encode([f"Report {n}: the heart is not enlarged." for n in range(100)])
assert not (found := [name for name in heavy[1:5] if name in sys.modules]), found
"""


def test_a_question_imports_no_torch_and_nothing_imports_transformers() -> None:
    file = packaged_file("skimage", "data", "camera.png")
    done = subprocess.run([sys.executable, "-c", _FRUGAL, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_damaged_weights_of_the_text_tower_are_one_clear_sentence(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes((minilm_folder() / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"model\.safetensors are damaged"):
        read_tensors(weights)


def test_meaning_is_near(text: MiniLmEncoder) -> None:
    heart, enlarged, fish = text.encode(["enlarged heart", "cardiomegaly", "a recipe for fish soup"])
    assert heart @ enlarged > heart @ fish + 0.2


def test_progress_counts_every_text_once(text: MiniLmEncoder) -> None:
    counted: list[int] = []
    text.encode(["a", "b", "a"], progress=counted.append)
    assert sum(counted) == 3


def test_no_texts_give_no_vectors(text: MiniLmEncoder) -> None:
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


def test_fingerprints_name_model_and_weights(text: MiniLmEncoder, image: ImageNetEncoder, tmp_path: Path) -> None:
    assert text.fingerprint.startswith("minilm:")
    assert image.fingerprint.startswith("imagenet")
    assert text.fingerprint != image.fingerprint


@pytest.mark.parametrize(("where", "size"), [("cpu", 32), ("cuda", 1024)])
def test_batches_suit_the_device_and_are_halved_where_they_do_not_fit(
    where: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "device", lambda: where)
    monkeypatch.setattr(runtime.torch().cuda, "empty_cache", lambda: None)
    tried: list[int] = []

    def forward(size: int) -> int:
        tried.append(size)
        if len(tried) < 3:
            raise runtime.torch().OutOfMemoryError("out of memory")
        return size

    batch = runtime.BatchSize()
    assert batch.fit(forward) == batch.size == size // 4
    assert runtime.BatchSize(5).size == 5


def test_the_pace_of_decoding_and_encoding_is_told() -> None:
    files = [packaged_file("skimage", "data", f) for f in ("retina.jpg", "ihc.png", "camera.png")]
    encoder = OpenClipEncoder("compact", batch_size=2, workers=3)
    assert encoder.pace.rates() == {}
    encoder.encode_images(files)
    assert encoder.pace.images == 3 and encoder.pace.threads == 3
    rates = encoder.pace.rates()
    assert rates["decode"] == pytest.approx(9 / encoder.pace.decoding)
    assert rates["encode"] == pytest.approx(3 / encoder.pace.encoding)
