"""DICOM pixels: what a viewer would show is what is indexed, or a sentence says which decoder is missing."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.corpus.images import check_image, load_image
from rag.corpus.source import read_source
from rag.errors import InputError, MissingDependencyError
from rag.types import Document

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")


@pytest.fixture
def folder() -> Path:
    return Path(pydicom.__file__).parent / "data" / "test_files"


def test_ct_mr_and_colour_become_rgb(folder: Path) -> None:
    for name in ("CT_small.dcm", "MR_small.dcm", "examples_rgb_color.dcm", "examples_palette.dcm"):
        info, image = check_image(folder / name), load_image(folder / name)
        assert (image.mode, image.size) == ("RGB", (info.width, info.height))
        assert image.getextrema()[0][1] > 250  # type: ignore[index]


def test_a_window_decides_the_grey_and_monochrome1_is_inverted(folder: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(folder / "CT_small.dcm")
    plain = np.asarray(load_image(folder / "CT_small.dcm"), dtype=int)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(tmp_path / "inverted.dcm")
    assert np.abs(255 - plain - np.asarray(load_image(tmp_path / "inverted.dcm"))).max() <= 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = [40, 500], [400, 2000]
    dataset.save_as(tmp_path / "windowed.dcm")
    values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    windowed = np.asarray(load_image(tmp_path / "windowed.dcm"))[..., 0]
    assert (windowed[values <= -160] == 0).all()
    assert (windowed[values >= 240] == 255).all()
    assert windowed[(values > -100) & (values < 200)].std() > 0


def test_dicom_without_a_picture_or_cut_short_is_refused(folder: Path) -> None:
    for name in ("rtplan.dcm", "MR_truncated.dcm", "badVR.dcm"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(InputError, match=name):
                check_image(folder / name)


def written(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """A small secondary capture of these 16-bit pixels, one frame or several."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    if pixels.ndim == 3:
        made.NumberOfFrames = len(pixels)
    made.PixelData = pixels.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)
    return path


RAMP = np.arange(4096).reshape(64, 64)


def shown(path: Path) -> np.ndarray:
    return np.asarray(load_image(path), dtype=int)[..., 0]


def test_every_file_of_pydicom_with_pixels_is_decoded_or_its_decoders_are_named(folder: Path) -> None:
    pytest.importorskip("gdcm")
    pytest.importorskip("imagecodecs")
    refused, decoded = {}, 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(path, force=True)
                has_pixels = any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
            except Exception:  # some are there to be refused by pydicom itself
                continue
            if not has_pixels:
                continue
            try:
                assert load_image(path).mode == "RGB"
                decoded += 1
            except InputError as error:
                refused[path.name] = str(error)
    assert decoded >= 90
    assert decoded + len(refused) == 95
    assert set(refused) <= {
        "JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "badVR.dcm", "meta_missing_tsyntax.dcm",
        "nested_priv_SQ.dcm",
    }  # fmt: skip
    assert "could not be decoded by gdcm, pillow, pylibjpeg" in refused["JPEG2000-embedded-sequence-delimiter.dcm"]


def test_the_package_of_a_missing_decoder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_unavailable", {"gdcm": ("gdcm>=3.0.10",)})
    with pytest.raises(MissingDependencyError, match=r"JPEG-LS Lossless.*clincite\[dicom\].*gdcm>=3.0.10"):
        load_image(folder / "MR_small_jpeg_ls_lossless.dcm")


def test_the_function_of_a_window_decides(tmp_path: Path) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    linear = shown(written(tmp_path / "a.dcm", RAMP, **window))
    sigmoid = shown(written(tmp_path / "b.dcm", RAMP, **window, VOILUTFunction="SIGMOID"))
    exact = shown(written(tmp_path / "c.dcm", RAMP, **window, VOILUTFunction="LINEAR_EXACT"))
    expected = 255 / (1 + np.exp(-4 * (RAMP - 2048) / 1024))
    assert np.abs(sigmoid - expected).max() <= 1
    assert linear[20, 0] == 0 < sigmoid[20, 0]
    assert np.abs(exact - ((RAMP - 2048) / 1024 + 0.5).clip(0, 1) * 255).max() <= 1


def test_an_inverse_presentation_is_shown_inverted_and_only_once(tmp_path: Path) -> None:
    plain = shown(written(tmp_path / "a.dcm", RAMP))
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        tags = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": photometric}
        inverse = shown(written(tmp_path / "b.dcm", RAMP, **tags))
        assert np.abs(255 - plain - inverse).max() <= 1


def test_of_a_cine_a_frame_that_shows_something_is_read(tmp_path: Path) -> None:
    black = np.zeros_like(RAMP)
    assert shown(written(tmp_path / "a.dcm", np.stack([black, black, RAMP]))).max() == 255
    named = written(tmp_path / "b.dcm", np.stack([RAMP, RAMP.T]), RepresentativeFrameNumber=2)
    assert (shown(named) == shown(written(tmp_path / "c.dcm", RAMP.T))).all()
    assert shown(written(tmp_path / "d.dcm", np.stack([black, black]))).max() == 0


def test_a_window_is_read_from_the_groups_of_a_multi_frame_object(tmp_path: Path) -> None:
    window, group = pydicom.Dataset(), pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = 1000, 100
    group.FrameVOILUTSequence = [window]
    frames = written(tmp_path / "a.dcm", RAMP[None], SharedFunctionalGroupsSequence=[group])
    single = written(tmp_path / "b.dcm", RAMP, WindowCenter=1000, WindowWidth=100)
    assert (shown(frames) == shown(single)).all()


def test_nothing_of_a_damaged_value_is_shown_or_logged(folder: Path, tmp_path: Path) -> None:
    data = (folder / "badVR.dcm").read_bytes()
    (tmp_path / "x.dcm").write_bytes(data)
    code = (
        "import logging, sys; logging.basicConfig(level=0)\n"
        "from rag.corpus.images import check_image\n"
        "try: check_image(sys.argv[1])\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.dcm")], capture_output=True, text=True, timeout=120, check=True
    )
    assert "damaged or truncated" in done.stdout
    assert "1A" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["deeplesion_pad0.png", "invshape.dcm", "repframe2.dcm", "sigmoid.dcm"])
def test_the_fault_cases_of_this_kind(data: Path, name: str) -> None:
    pixels = shown(data / "faults" / "files" / name)
    assert len(np.unique(pixels)) >= 64
    if name == "invshape.dcm":
        assert pixels[0, 0] == 255 > pixels[0, -1]


def test_which_frame_an_image_is_of_is_said_where_it_is_cited(tmp_path: Path) -> None:
    black = np.zeros((64, 64))
    written(tmp_path / "cine.dcm", np.stack([black, RAMP, RAMP.T]))
    written(tmp_path / "key.dcm", np.stack([black, RAMP, RAMP.T]), RepresentativeFrameNumber=3)
    written(tmp_path / "single.dcm", RAMP)
    titles = {d.id: (d.title, d.metadata.get("frame")) for d in read_source(tmp_path) if isinstance(d, Document)}
    assert titles == {
        "cine:image": ("frame 2 of 3", 2),
        "key:image": ("frame 3 of 3", 3),
        "single:image": ("", None),
    }


def test_frames_of_real_files(data: Path) -> None:
    documents = [d for d in read_source(data / "dicom" / "highdicom") if isinstance(d, Document)]
    found = {d.id: d.title for d in documents if "frames" in d.metadata}
    assert len(found) == 18
    assert found["sm_image_numbers:image"] == "frame 2 of 25", "the first shows nothing"
    assert found["seg_image_sm_dots_tiled_full:image"] == "frame 46 of 1250"
