"""DICOM frames as they are stored: through their own window they are the picture that everything else shows."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (pip install clincite[dicom])")

from pydicom.data import get_testdata_file

from rag.corpus.dicom_frames import Frames, read_frames
from rag.corpus.images import load_image
from rag.errors import InputError

MOST = 32 << 20
_KINDS = {"int16": np.dtype("<i2"), "uint16": np.dtype("<u2")}


def sample(name: str) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_testdata_file(name, download=False)
    if not isinstance(found, str):
        pytest.skip(f"pydicom's test file {name} is not installed")
    return Path(found)


def values(frames: Frames) -> np.ndarray:
    """Rescaled values, (frames, rows, columns)."""
    stored = np.frombuffer(frames.pixels, _KINDS[frames.stored])
    shaped = stored.reshape(
        len(frames.meanings), frames.rows, frames.columns, *((3,) if frames.stored == "rgb8" else ())
    )
    return np.stack([f * m.slope + m.intercept for f, m in zip(shaped.astype(float), frames.meanings, strict=True)])


def through_window(frames: Frames) -> np.ndarray:
    window = frames.meanings[0].windows[0]
    grey = 255 * ((values(frames)[0] - (window.center - 0.5)) / max(window.width - 1, 1e-9) + 0.5)
    return np.asarray(255 - grey.clip(0, 255) if frames.inverted else grey.clip(0, 255))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "dicomdirtests/77654033/CR1/6154"])
def test_stored_values_through_their_window_are_the_picture(name: str) -> None:
    path = sample(name)
    shown = np.asarray(load_image(path).convert("L"), dtype=float)
    assert np.abs(through_window(read_frames(path, most_bytes=MOST)) - shown).max() <= 2


def test_a_ct_slice_says_what_its_numbers_mean(data: Path) -> None:
    frames = read_frames(data / "dicom" / "dcmqi" / "ct-3slice_01.dcm", most_bytes=MOST)
    assert (frames.rows, frames.columns, frames.total, frames.stored) == (512, 512, 1, "int16")
    assert (frames.unit, frames.spacing, frames.at_detector) == ("HU", (0.810547, 0.810547), False)
    assert frames.meanings[0].position == pytest.approx(-126.69, abs=0.01)
    assert values(frames).min() >= -3024  # of what lies outside the circle, -2000 as stored


def test_a_spacing_of_a_projection_holds_at_its_detector(data: Path) -> None:
    assert read_frames(data / "dicom" / "highdicom" / "dx_image.dcm", most_bytes=MOST).at_detector


def test_frames_come_in_parts_that_fit_and_are_the_same(data: Path) -> None:
    path = data / "dicom" / "dcmqi" / "partial_overlaps.dcm"
    whole = read_frames(path, most_bytes=MOST)
    assert whole.total == len(whole.meanings) == 7
    size = len(whole.pixels) // 7
    part = read_frames(path, 3, most_bytes=2 * size + 1)
    assert (part.first, len(part.meanings)) == (3, 2)
    assert part.pixels == whole.pixels[3 * size : 5 * size]
    with pytest.raises(InputError, match="7 frames"):
        read_frames(path, 7, most_bytes=MOST)


def test_many_small_frames_come_a_few_at_a_time(data: Path) -> None:
    frames = read_frames(data / "dicom" / "highdicom" / "seg_image_sm_dots_tiled_full.dcm", 1000, most_bytes=MOST)
    assert (frames.total, frames.first, len(frames.meanings)) == (1250, 1000, 250)
    first = read_frames(data / "dicom" / "highdicom" / "seg_image_sm_dots_tiled_full.dcm", most_bytes=MOST)
    assert len(first.meanings) == 256


def test_a_frame_that_is_too_large_is_thinned_out_and_still_measured_right(data: Path) -> None:
    path = data / "dicom" / "dcmqi" / "ct-3slice_01.dcm"
    whole, thin = read_frames(path, most_bytes=MOST), read_frames(path, most_bytes=100_000)
    assert thin.reduced == 3
    assert len(thin.pixels) <= 100_000
    assert thin.spacing == pytest.approx((3 * 0.810547, 3 * 0.810547))
    assert np.array_equal(values(thin)[0], values(whole)[0][::3, ::3])


def test_values_of_32_bits_keep_their_meaning(tmp_path: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(sample("CT_small.dcm"))
    wide = dataset.pixel_array.astype(np.int32) * 1000
    dataset.PixelData, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = wide.tobytes(), 32, 32, 31
    dataset.save_as(tmp_path / "wide.dcm")
    found = values(read_frames(tmp_path / "wide.dcm", most_bytes=MOST))[0]
    expected = wide * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert np.abs(found - expected).max() <= (wide.max() - wide.min()) / 65535


@pytest.mark.parametrize("name", ["rtplan.dcm", "badVR.dcm", "MR_truncated.dcm"])
def test_what_has_no_usable_pixels_is_one_sentence(name: str) -> None:
    with pytest.raises(InputError, match=r"\.$"):
        read_frames(sample(name), most_bytes=MOST)
