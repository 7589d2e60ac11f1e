"""One picture in many forms is one vector, near enough; what has no picture in it is still encoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from rag.corpus.packaged import packaged_file
from rag.encoders.checkpoint import CONFIG
from rag.encoders.compact import Preprocessing
from rag.encoders.image import ImageNetEncoder
from rag.encoders.openclip import OpenClipEncoder

from .conftest import cosine, tiny_config, write_bert, write_model


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OpenClipEncoder:
    """An image tower that knows pictures (ImageNet's weights), so that a broken picture shows in the vector."""
    from rag.encoders.runtime import torch

    config: dict[str, Any] = tiny_config()
    config["model_cfg"]["embed_dim"] = 256
    config["model_cfg"]["vision_cfg"] = {
        "timm_model_name": "tf_efficientnet_lite0",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 224,
    }
    config["preprocess_cfg"] = {"mean": [0.5] * 3, "std": [0.5] * 3}
    folder = write_bert(tmp_path_factory.mktemp("models") / "seeing", seed=0)
    (folder / "model.safetensors").unlink()
    write_model(folder, config)
    assert (folder / CONFIG).is_file()
    encoder = OpenClipEncoder(f"local-dir:{folder}")
    trunk = encoder._model.visual.trunk
    known = {k: v for k, v in ImageNetEncoder()._model.state_dict().items() if k in trunk.state_dict()}
    trunk.load_state_dict(known)
    torch().nn.init.orthogonal_(encoder._model.visual.head.proj.weight)
    return encoder


@pytest.fixture(scope="module")
def grey() -> Image.Image:
    """A dim grey picture with every level from 0 to 255."""
    with Image.open(packaged_file("skimage", "data", "camera.png")) as image:
        levels = np.asarray(image.convert("L"), dtype=float)
    return Image.fromarray(((levels - levels.min()) * 255 / np.ptp(levels)).round().astype(np.uint8))


@pytest.fixture(scope="module")
def colour() -> Image.Image:
    with Image.open(packaged_file("skimage", "data", "chelsea.png")) as image:
        return image.convert("RGB")


def vectors(encoder: OpenClipEncoder, folder: Path, *images: tuple[str, Image.Image, dict[str, Any]]) -> np.ndarray:
    for name, image, options in images:
        image.save(folder / name, **options)
    return encoder.encode_images([folder / name for name, _, _ in images])


def test_the_measure_tells_pictures_apart(
    encoder: OpenClipEncoder, grey: Image.Image, colour: Image.Image, tmp_path: Path
) -> None:
    """What the other tests would see if a picture were lost: another, its negative, it turned, nothing."""
    plain, other, negative, turned, black = vectors(
        encoder,
        tmp_path,
        ("plain.png", grey, {}),
        ("other.png", colour, {}),
        ("negative.png", Image.eval(grey, lambda v: 255 - v), {}),
        ("turned.png", grey.rotate(90), {}),
        ("black.png", Image.new("L", grey.size), {}),
    )
    for some in (other, negative, turned, black):
        assert cosine(plain, some) < 0.97


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
@pytest.mark.parametrize("highest", [65535, 4095])
def test_sixteen_bit_grey_equals_its_eight_bit_version(
    encoder: OpenClipEncoder, grey: Image.Image, tmp_path: Path, name: str, highest: int
) -> None:
    deep = Image.fromarray((np.asarray(grey, dtype=float) * highest / 255).round().astype(np.uint16))
    plain, sixteen = vectors(encoder, tmp_path, ("plain.png", grey, {}), (name, deep, {}))
    assert cosine(plain, sixteen) > 0.999


@pytest.mark.parametrize("turn", range(2, 9))
def test_a_picture_turned_by_exif_equals_the_upright_one(
    encoder: OpenClipEncoder, colour: Image.Image, tmp_path: Path, turn: int
) -> None:
    """The stored pixels are turned so that the mark turns them back."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    upright, marked = vectors(
        encoder, tmp_path, ("upright.png", colour, {}), ("marked.png", colour.transpose(back), {"exif": exif})
    )
    assert cosine(upright, marked) > 0.9999


def test_other_colour_models_equal_rgb(encoder: OpenClipEncoder, colour: Image.Image, tmp_path: Path) -> None:
    plain, cmyk, cmyk_tiff, palette, alpha, lab = vectors(
        encoder,
        tmp_path,
        ("plain.png", colour, {}),
        ("cmyk.jpg", colour.convert("CMYK"), {"quality": 95}),
        ("cmyk.tif", colour.convert("CMYK"), {}),
        ("palette.png", colour.quantize(256), {}),
        ("alpha.png", colour.convert("RGBA"), {}),
        (
            "lab.tif",
            ImageCms.profileToProfile(
                colour, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
            ),
            {},
        ),
    )
    for some in (cmyk, cmyk_tiff, palette, alpha):
        assert cosine(plain, some) > 0.98
    assert cosine(plain, alpha) > 0.99999
    assert cosine(plain, lab) > 0.98


def test_one_bit_and_two_channel_pictures_are_encoded(
    encoder: OpenClipEncoder, grey: Image.Image, tmp_path: Path
) -> None:
    plain, both, dithered = vectors(
        encoder,
        tmp_path,
        ("plain.png", grey, {}),
        ("alpha.png", grey.convert("LA"), {}),
        ("bits.png", grey.convert("1"), {}),
    )
    assert cosine(plain, both) > 0.99999
    assert cosine(plain, dithered) > 0.3


@pytest.mark.parametrize("name", ["film.gif", "film.png", "film.webp", "film.tif"])
def test_of_an_animation_the_first_frame_counts(
    encoder: OpenClipEncoder, colour: Image.Image, tmp_path: Path, name: str
) -> None:
    film = {"save_all": True, "append_images": [Image.new("RGB", colour.size, "blue")] * 2}
    film |= {"lossless": True} if name.endswith("webp") else {}
    still, moving, blue = vectors(
        encoder,
        tmp_path,
        ("still.png", colour, {}),
        (name, colour, film),
        ("blue.png", Image.new("RGB", colour.size, "blue"), {}),
    )
    assert cosine(still, moving) > 0.98 > cosine(still, blue)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "RGBA", "CMYK", "P"])
def test_a_single_pixel_is_encoded_as_its_colour(encoder: OpenClipEncoder, tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    one, many = vectors(
        encoder,
        tmp_path,
        (f"one.{suffix}", Image.new(mode, (1, 1)), {}),
        (f"many.{suffix}", Image.new(mode, (300, 200)), {}),
    )
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert cosine(one, many) > 0.9999


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (30_000, 20), (20, 30_000)])
def test_of_a_strip_the_middle_is_seen(encoder: OpenClipEncoder, tmp_path: Path, size: tuple[int, int]) -> None:
    """A strip resized by its short side would need gigabytes."""
    strip = Image.new("L", size, 40)
    width, height = size
    middle = (
        (width // 2 - 20, 0, width // 2 + 20, height)
        if width > height
        else (0, height // 2 - 20, width, height // 2 + 20)
    )
    strip.paste(200, middle)
    seen, bright, dark = vectors(
        encoder,
        tmp_path,
        ("strip.png", strip, {}),
        ("bright.png", Image.new("L", (64, 64), 200), {}),
        ("dark.png", Image.new("L", (64, 64), 40), {}),
    )
    assert cosine(seen, bright) > 0.999 > cosine(seen, dark)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_pixels_are_those_of_open_clip(encoder: OpenClipEncoder, colour: Image.Image, mode: str) -> None:
    """Only beyond 16:1 does our cut come before the model's own preprocessing."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = PreprocessCfg(size=96, mean=(0.1, 0.2, 0.3), std=(0.3, 0.5, 0.7), resize_mode=mode, fill_color=9)
    transform = image_transform_v2(config, is_train=False)
    ours = OpenClipEncoder(f"local-dir:{encoder._files.config_file.parent}")
    *steps, _, scale = transform.transforms
    ours.__dict__["_preprocessing"] = Preprocessing(steps, scale.mean, scale.std)
    for size in ((1600, 100), (90, 300), (96, 96)):
        assert ours.pixels(colour.resize(size)).equal(transform(colour.resize(size)))
