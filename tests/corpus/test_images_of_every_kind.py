from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rag.corpus import images
from rag.corpus.images import check_image, load_image
from rag.errors import InputError

Picture = Callable[..., Path]
RNG = np.random.default_rng(0)


def noise(path: Path, **options: object) -> Path:
    Image.fromarray(RNG.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(path, **options)
    return path


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of a few hundred bytes whose header promises width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_a_good_image_gives_hash_and_size(picture: Picture) -> None:
    path = picture(size=(12, 8))
    info = check_image(path)
    assert (info.width, info.height) == (12, 8)
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "a.gif"])
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    path = noise(tmp_path / name)
    assert check_image(path).width == 128
    assert (load_image(path).mode, load_image(path).size) == ("RGB", (128, 128))


@pytest.mark.parametrize("function", [check_image, load_image])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, function: Callable[[Path], object]) -> None:
    for width, height in ((30_000, 30_000), (11_000, 11_000)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(InputError, match="100,000,000"):
                function(bomb(tmp_path / "bomb.png", width, height))


def test_pillow_is_left_as_it_was(picture: Picture) -> None:
    before = Image.MAX_IMAGE_PIXELS
    check_image(picture())
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.tif", "cut.webp", "cut.bmp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_caught(tmp_path: Path, name: str, share: float) -> None:
    path = noise(tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    for function in (check_image, load_image):
        with pytest.raises(InputError, match="cut"):
            function(path)


def test_a_progressive_jpeg_cut_short_is_caught(tmp_path: Path) -> None:
    path = noise(tmp_path / "cut.jpg", progressive=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="truncated"):
        check_image(path)


def test_what_is_no_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    files = {
        "text.png": b"just text",
        "empty.png": b"",
        "text.dcm": b"no" * 200,
        "ps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        for function in (check_image, load_image):
            with pytest.raises(InputError, match=name):
                function(tmp_path / name)
    with pytest.raises(InputError, match="no image file"):
        check_image(tmp_path / "absent.png")
    with pytest.raises(InputError, match="no image file"):
        check_image(tmp_path)


def test_a_file_that_is_too_large_is_refused(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="at most 10"):
        check_image(picture())


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (10, 20)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_by_its_own_range(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(np.array([[1000, 1500, 2000]], dtype=np.uint16)).save(path)
    assert np.asarray(load_image(path))[0, :, 0].tolist() == [0, 128, 255]


def test_float_and_flat_images_are_readable(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, np.nan, 1.0]], dtype=np.float32)).save(tmp_path / "float.tif")
    assert np.asarray(load_image(tmp_path / "float.tif"))[0, :, 0].tolist() == [0, 0, 255]
    Image.fromarray(np.full((2, 2), 7, dtype=np.uint16)).save(tmp_path / "flat.png")
    assert load_image(tmp_path / "flat.png").getextrema()[0] == (0, 0)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (2, 2), (0, 0)).save(tmp_path / "grey.png")
    Image.new("P", (2, 2), 0).save(tmp_path / "palette.png", transparency=0)
    for name in ("clear.png", "grey.png", "palette.png"):
        assert load_image(tmp_path / name).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_and_animation_are_read(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    red, green, blue = load_image(tmp_path / "print.jpg").getpixel((4, 4))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert load_image(tmp_path / "two.gif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("padding", [0, 65535])
def test_padding_does_not_take_the_range(tmp_path: Path, padding: int) -> None:
    pixels = np.full((64, 64), padding, dtype=np.uint16)
    pixels[16:48, 16:48] = np.linspace(31_768, 33_768, 1024).reshape(32, 32)  # 2,000 HU, stored with 32,768 added
    Image.fromarray(pixels).save(tmp_path / "ct.png")
    shown = np.asarray(load_image(tmp_path / "ct.png"))[..., 0]
    assert len(np.unique(shown[16:48, 16:48])) == 256
    assert (shown[:8] == (255 if padding else 0)).all()
