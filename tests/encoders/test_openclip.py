"""Every image-text model goes through one loader: equal to open_clip itself, in any batch, in the order asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.encoders.checkpoint import CONFIG, WEIGHTS
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.runtime import torch
from rag.errors import InputError, MissingDependencyError, RagError, StorageError

TEXTS = [
    "the heart is enlarged .",
    "no effusion",
    "",
    "the lungs are clear and the heart is normal , with no effusion in the left or right chest . " * 5,
    "no effusion",
]


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> OpenClipEncoder:
    return OpenClipEncoder(f"local-dir:{tiny}", batch_size=3)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint, to be damaged."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def bare(tiny: Path) -> tuple[Any, Any, Any]:
    """The model, its transform and its tokenizer, by open_clip alone."""
    torch()
    import open_clip

    config = json.loads((tiny / CONFIG).read_text())
    config["model_cfg"]["text_cfg"] |= {"hf_model_name": str(tiny), "hf_tokenizer_name": str(tiny)}
    beside = tiny.parent / "bare"
    shutil.copytree(tiny, beside, dirs_exist_ok=True)
    (beside / CONFIG).write_text(json.dumps(config))
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{beside}")
    return model.eval(), transform, open_clip.get_tokenizer(f"local-dir:{beside}")


def test_vectors_equal_those_of_bare_open_clip(encoder: OpenClipEncoder, tiny: Path, pictures: list[Path]) -> None:
    from PIL import Image

    model, transform, tokenizer = bare(tiny)
    with torch().inference_mode():
        pixels = torch().stack([transform(Image.open(p).convert("RGB")) for p in pictures])
        images = model.encode_image(pixels, normalize=True).numpy()
        texts = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    ours = encoder.encode_images(pictures), encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(ours[0], images, atol=1e-5)
    np.testing.assert_allclose(ours[1], texts, atol=1e-5)
    for some in ours:
        assert some.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, atol=1e-5)
    assert ours[0].shape == (len(pictures), encoder.dim) and np.ptp(ours[0] @ ours[0].T) > 0.01


def test_neither_batch_nor_neighbours_nor_order_change_a_vector(tiny: Path, pictures: list[Path]) -> None:
    def encode(size: int, files: list[Path], texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        some = OpenClipEncoder(f"local-dir:{tiny}", batch_size=size)
        return some.encode_images(files), some.encode_texts(texts)

    order = [4, 0, 0, 6, 2, 5, 1, 3, 4]
    images, texts = encode(1, pictures, TEXTS)
    for size in (2, 64):
        again = encode(size, [pictures[n] for n in order], [TEXTS[n % 5] for n in order])
        np.testing.assert_allclose(again[0], images[order], atol=1e-5)
        np.testing.assert_allclose(again[1], texts[[n % 5 for n in order]], atol=1e-5)


def test_padding_that_no_text_needs_is_not_computed(encoder: OpenClipEncoder) -> None:
    assert encoder.tokens(["no effusion", "heart"]).shape == (2, 4)  # with the marks at both ends
    assert encoder.tokens(TEXTS).shape == (5, 32)
    assert encoder.tokens([""]).shape == (1, 2)


def test_equal_texts_are_encoded_once_and_batches_hold_like_lengths(encoder: OpenClipEncoder) -> None:
    seen: list[tuple[int, ...]] = []
    hook = encoder._model.text.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    try:
        encoder.encode_texts(["heart", "no effusion in the left chest", "heart", "no effusion", "lungs", "heart ."])
    finally:
        hook.remove()
    assert [n for n, _ in seen] == [3, 2]
    assert seen[0][1] > seen[1][1] == 3


def test_nothing_gives_no_vectors_and_progress_counts_every_image(
    encoder: OpenClipEncoder, pictures: list[Path]
) -> None:
    counted: list[int] = []
    encoder.encode_images(pictures, progress=counted.append)
    assert sum(counted) == len(pictures)
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 16)


@pytest.mark.parametrize("fits", [1, 2, 5])
def test_a_full_memory_halves_the_batch_and_goes_on(tiny: Path, pictures: list[Path], fits: int) -> None:
    """The model itself refuses batches above what fits, as CUDA does."""
    whole = OpenClipEncoder(f"local-dir:{tiny}", batch_size=64)
    images, texts = whole.encode_images(pictures), whole.encode_texts(TEXTS)
    small = OpenClipEncoder(f"local-dir:{tiny}", batch_size=8)
    tried = _limit(small, fits)
    np.testing.assert_allclose(small.encode_images(pictures), images, atol=1e-5)
    np.testing.assert_allclose(small.encode_texts(TEXTS), texts, atol=1e-5)
    refused = [n for n in tried if n > fits]
    assert 1 <= len(refused) <= 3, "what did not fit once is not tried again"


def test_a_memory_too_small_for_one_input_is_said(tiny: Path, pictures: list[Path]) -> None:
    encoder = OpenClipEncoder(f"local-dir:{tiny}")
    _limit(encoder, 0)
    with pytest.raises(StorageError, match="memory"):
        encoder.encode_images(pictures)


def _limit(encoder: OpenClipEncoder, fits: int) -> list[int]:
    tried: list[int] = []

    def check(module: Any, inputs: Any) -> None:
        tried.append(len(inputs[0]))
        if len(inputs[0]) > fits:
            raise torch().OutOfMemoryError("CUDA out of memory")

    for tower in (encoder._model.visual, encoder._model.text):
        tower.register_forward_pre_hook(check)
    return tried


def test_a_bad_file_among_good_ones_is_named(encoder: OpenClipEncoder, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError, match=r"text\.png"):
        encoder.encode_images([*pictures, tmp_path / "text.png", *pictures])


def test_the_fingerprint_follows_every_file_that_decides_a_vector(tiny: Path, copy: Path) -> None:
    def fingerprint() -> str:
        return OpenClipEncoder(f"local-dir:{copy}").fingerprint.partition(":")[2]

    before = fingerprint()
    assert before == OpenClipEncoder(f"local-dir:{tiny}").fingerprint.partition(":")[2]
    for name in (CONFIG, WEIGHTS, "tokenizer.json", "config.json"):
        saved = (copy / name).read_bytes()
        (copy / name).write_bytes(saved.replace(b"{", b"{ ", 1))
        assert fingerprint() != before, name
        (copy / name).write_bytes(saved)
    (copy / "README.md").write_text("a model")
    assert fingerprint() == before


def test_weights_of_older_forms_are_read(copy: Path, tiny: Path, pictures: list[Path]) -> None:
    """Half precision, torch's own format, a training wrapper's names, BERT's former buffer: the same model."""
    library = torch()
    from safetensors.torch import load_file

    state = {f"module.{k}": v.half() if v.is_floating_point() else v for k, v in load_file(copy / WEIGHTS).items()}
    state["module.text.transformer.embeddings.position_ids"] = library.arange(512)[None]
    (copy / WEIGHTS).unlink()
    library.save({"state_dict": state, "epoch": 3}, copy / "open_clip_pytorch_model.bin")
    old, new = OpenClipEncoder(f"local-dir:{copy}"), OpenClipEncoder(f"local-dir:{tiny}")
    np.testing.assert_allclose(old.encode_images(pictures), new.encode_images(pictures), atol=5e-3)
    assert old._model.visual.conv1.weight.dtype == library.float32


def _refused(folder: Path, *words: str) -> None:
    """One sentence, ours, with the file or field in it."""
    with pytest.raises(RagError) as caught:
        OpenClipEncoder(f"local-dir:{folder}").encode_texts(["heart"])
    said = str(caught.value)
    assert isinstance(caught.value, InputError) and "\n" not in said and len(said) < 600
    for word in words:
        assert word in said, said


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    _refused(tmp_path / "nowhere", "nowhere")
    for name in ("tokenizer.json", "config.json", WEIGHTS, CONFIG):
        (copy / name).unlink()
        (copy / "vocab.txt").unlink(missing_ok=True)
        _refused(copy, name)


class Hostile:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_damaged_and_hostile_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    good = (copy / WEIGHTS).read_bytes()
    for damage in (good[: len(good) // 2], b"", b"\xff" * 64, (2**63).to_bytes(8, "little") + good[8:]):
        (copy / WEIGHTS).write_bytes(damage)
        _refused(copy, WEIGHTS, "damaged")
    (copy / WEIGHTS).write_bytes(good)
    state = load_file(copy / WEIGHTS)
    for name, change, words in (
        ("logit_scale", None, ["lack", "logit_scale"]),
        ("extra", torch().zeros(2), ["no place", "extra"]),
        ("visual.proj", torch().zeros(2, 2), ["visual.proj", "size mismatch"]),
        ("visual.proj", state["visual.proj"] * float("nan"), ["not finite", "visual.proj"]),
    ):
        changed = {k: v for k, v in {**state, name: change}.items() if v is not None}
        save_file(changed, copy / WEIGHTS)
        _refused(copy, WEIGHTS, *words)
    (copy / WEIGHTS).unlink()
    binary = copy / "open_clip_pytorch_model.bin"
    for content in ({"x": Hostile(tmp_path / "hacked")}, [1, 2], {"x": "text"}, 7):
        torch().save(content, binary)
        _refused(copy, binary.name)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("model_cfg", None, ["model_cfg"]),
        ("model_cfg.embed_dim", "wide", ["model_cfg.embed_dim"]),
        ("model_cfg.vision_cfg", [], ["model_cfg.vision_cfg"]),
        ("model_cfg.text_cfg", None, ["model_cfg.text_cfg"]),
        ("model_cfg.embed_dim", 17, ["do not fit"]),
        ("model_cfg.embed_dim", -3, ["model_cfg.embed_dim"]),
        ("model_cfg.vision_cfg.colour", "red", ["colour"]),
        ("model_cfg.vision_cfg.timm_model_name", "no_such_tower", ["no_such_tower"]),
        ("model_cfg.text_cfg.hf_pooler_type", "no_such_pooler", ["no_such_pooler"]),
        ("model_cfg.text_cfg.hf_proj_type", "no_such_form", [CONFIG]),
        ("preprocess_cfg.mean", [0.5, 0.5], ["preprocess_cfg"]),
        ("preprocess_cfg.mean", "red", ["preprocess_cfg"]),
        ("preprocess_cfg.interpolation", "spline", ["preprocess_cfg"]),
    ],
)
def test_a_wrong_field_of_the_configuration_is_named(
    copy: Path, pictures: list[Path], field: str, value: Any, words: list[str]
) -> None:
    config = json.loads((copy / CONFIG).read_text())
    *path, last = field.split(".")
    inner = config
    for name in path:
        inner = inner[name]
    inner[last] = value
    (copy / CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError) as caught:
        OpenClipEncoder(f"local-dir:{copy}").encode_images(pictures[:1])
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in words), said


def test_a_configuration_that_is_no_json_is_refused(copy: Path) -> None:
    for content in (b"not json", b"\xff\xfe", b"[]", b"null"):
        (copy / CONFIG).write_bytes(content)
        _refused(copy, CONFIG)


def test_a_model_in_the_cache_of_the_hub_is_found_and_one_that_is_not_is_one_sentence(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Path]
) -> None:
    torch()
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--somebody--tiny"
    shutil.copytree(tiny, cached / "snapshots" / "0123abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abc")
    encoder = OpenClipEncoder("hf-hub:somebody/tiny")
    assert encoder.fingerprint.startswith("somebody/tiny:")
    local = OpenClipEncoder(f"local-dir:{tiny}")
    np.testing.assert_array_equal(encoder.encode_images(pictures), local.encode_images(pictures))
    for name in ("somebody/else", "not a name", "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"):
        with pytest.raises(MissingDependencyError, match=r"model cache.*HF_HUB_OFFLINE=0.*local-dir:") as caught:
            OpenClipEncoder(f"hf-hub:{name}")
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["", "vit", "local-dir:", "hf-hub:", "https://models/x"])
def test_what_names_no_model_is_refused_with_the_forms(name: str) -> None:
    with pytest.raises(InputError, match="local-dir:<folder>"):
        OpenClipEncoder(name)
