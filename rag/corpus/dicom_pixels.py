"""DICOM pixels as an ordinary picture: a frame that shows something, rescaled, windowed, upright in polarity, 8-bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.corpus import jpeg12
from rag.corpus.dicom import read_dataset, unquoted
from rag.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from PIL import Image
    from pydicom import Dataset

FRAMES_TRIED = 64
_PERCENTILES = (0.5, 99.5)
_WITH_CONTENT = (1.0, 99.0)  # percentiles between which a frame that shows something has more than one value
# What a multi-frame object keeps by frame, and in which sequence of a functional group.
_BY_FRAME = ("FrameVOILUTSequence", "PixelValueTransformationSequence")


def load_dicom(path: Path) -> Image.Image:
    """A frame as 8-bit RGB: by its window if it has one, else from percentile 0.5 to 99.5 of its values.

    Of several frames it is the one that the file calls representative, or the first that is not of one colour. Raises
    InputError for what has no pixels or damaged ones, MissingDependencyError where their decoder is not installed.
    """
    from PIL.Image import fromarray
    from pydicom.pixels.processing import apply_color_lut

    with unquoted():
        dataset = read_dataset(path)
        if "PixelData" not in dataset:
            raise InputError(
                "It is a DICOM file without pixels (or with float pixels, which are not read); leave it out."
            )
        index, stored = _frame(dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            colours = apply_color_lut(stored, dataset)
            return fromarray(_to_bytes(colours, 8 * colours.dtype.itemsize)).convert("RGB")
        if stored.ndim == 3:
            return fromarray(_to_bytes(stored, int(dataset.BitsStored))).convert("RGB")
        _lift(dataset, index)
        return fromarray(_grey(stored, dataset)).convert("RGB")


def chosen_frame(path: Path) -> tuple[int, int]:
    """Of which frame ``load_dicom`` makes its picture, counted from 1, and how many there are. Raises as it does.

    >>> chosen_frame(Path("cine.dcm"))                                                          # doctest: +SKIP
    (3, 30)
    """
    with unquoted():
        header = read_dataset(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        frames = int(header.get("NumberOfFrames") or 1)
        return (_frame(read_dataset(path))[0] + 1, frames) if frames > 1 else (1, 1)


def _frame(dataset: Dataset) -> tuple[int, np.ndarray]:
    """The frame to show, and its stored values."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    named = int(dataset.get("RepresentativeFrameNumber") or 0)
    if 1 <= named <= frames:
        return named - 1, decode_frame(dataset, named - 1)
    first = decode_frame(dataset, 0)
    tried = [(0, first), *((n, None) for n in range(1, min(frames, FRAMES_TRIED)))]
    for index, values in tried:
        pixels = decode_frame(dataset, index) if values is None else values
        low, high = np.percentile(pixels, _WITH_CONTENT) if len(tried) > 1 else (0, 1)
        if high > low:
            return index, pixels
    return 0, first


def decode_frame(dataset: Dataset, index: int) -> np.ndarray:
    """The stored values of a frame; colours as red, green and blue. Raises as ``load_dicom`` does."""
    from pydicom.pixels import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    _register_12_bit()
    try:
        return np.asarray(pixel_array(dataset, index=index))
    except NotImplementedError as error:
        raise InputError(f"Its pixels ({syntax.name}) are of a form that no decoder reads; convert it.") from error
    except RuntimeError as error:
        decoder = get_decoder(syntax)
        if not decoder.is_available:
            wanted = "; ".join(decoder.missing_dependencies)
            raise MissingDependencyError(
                f'Its pixels ({syntax.name}) need a decoder: pip install "clincite[dicom]" ({wanted}).'
            ) from error
        tried = ", ".join(decoder.available_plugins)
        raise InputError(
            f"Its pixels ({syntax.name}) could not be decoded by {tried}; if they are not damaged, convert it to "
            "uncompressed DICOM."
        ) from error


@cache
def _register_12_bit() -> None:
    from pydicom.pixels.decoders import JPEGExtended12BitDecoder

    if jpeg12.LABEL not in JPEGExtended12BitDecoder.available_plugins:
        JPEGExtended12BitDecoder.add_plugin(jpeg12.LABEL, (jpeg12.__name__, jpeg12.decode_frame.__name__))


def _lift(dataset: Dataset, index: int) -> None:
    """Write what a multi-frame object says of this frame where single-frame objects say it."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in (shared[0], own[index] if index < len(own) else None):
        for name in _BY_FRAME:
            for values in (group.get(name) or [])[:1] if group is not None else []:
                dataset.update(values)


def _to_bytes(colours: np.ndarray, bits: int) -> np.ndarray:
    if colours.dtype == np.uint8:
        return colours
    return np.asarray((colours.astype(np.float64) * (255.0 / (2**bits - 1))).clip(0, 255).round().astype(np.uint8))


def _grey(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    rescaled = apply_modality_lut(stored, dataset)
    values = np.asarray(rescaled, dtype=np.float64)
    window = _window(dataset)
    if window is None and "VOILUTSequence" in dataset:
        values = np.asarray(apply_voi_lut(rescaled, dataset), dtype=np.float64)
    if window is None:
        padding = dataset.get("PixelPaddingValue")
        seen = values if padding is None else values[stored != padding]
        low, high = np.percentile(seen if seen.size else values, _PERCENTILES)
        grey = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    else:
        grey = 255.0 * _windowed(
            values, *window, function=str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
        )
    grey = grey.clip(0, 255)
    # Its lowest value is meant to be shown white: MONOCHROME1, or by its presentation LUT.
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        grey = 255.0 - grey
    return np.asarray(grey.round().astype(np.uint8))


def _windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """From 0 to 1 and beyond, by the VOI LUT function (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp((-4.0 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR_EXACT":
        return np.asarray((values - center) / width + 0.5)
    return np.asarray((values - (center - 0.5)) / max(width - 1, 1e-9) + 0.5)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Center and width of the first window, or None."""
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    least = 0 if dataset.get("VOILUTFunction") in ("SIGMOID", "LINEAR_EXACT") else 1
    return None if center is None or width is None or width <= least else (center, width)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return float(value) if hasattr(value, "__float__") else None


def blacken(dataset: Dataset, boxes: Sequence[tuple[float, float, float, float]]) -> None:
    """Overwrite boxes (x0, y0, x1, y1 in pixels) in every frame with its lowest value, and leave them uncompressed.

    Raises InputError as ``load_dicom`` does.
    """
    if not boxes:
        return
    from pydicom.pixels.utils import pixel_array

    if int(dataset.BitsAllocated) not in (8, 16, 32):
        raise InputError(f"Its pixels have {dataset.BitsAllocated} bits, and text is blackened in 8, 16 and 32 only.")
    decode_frame(dataset, 0)  # where it cannot be decoded, this says by what it could
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    frames = np.array(pixel_array(dataset, raw=True))
    samples = int(dataset.SamplesPerPixel)
    pixels = frames.reshape(-1, int(dataset.Rows), int(dataset.Columns), samples)
    for x0, y0, x1, y1 in boxes:
        rows = slice(max(int(y0) - 1, 0), int(np.ceil(y1)) + 2)
        columns = slice(max(int(x0) - 1, 0), int(np.ceil(x1)) + 2)
        pixels[:, rows, columns] = pixels.min(axis=(1, 2), keepdims=True)
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    if samples > 1:
        dataset.PlanarConfiguration = 0
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        dataset.PhotometricInterpretation = "YBR_FULL"
    dataset.BurnedInAnnotation = "NO"
