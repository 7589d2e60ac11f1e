"""DICOM frames as they are stored, with what their numbers mean, for whoever windows and measures them.

``dicom_pixels`` makes a picture of a file, once and for all; here nothing is decided: values stay as they are, and
rescale, windows, spacing and polarity go beside them. Nothing that names a patient does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag.corpus.dicom import read_dataset, unquoted
from rag.corpus.dicom_pixels import decode_frame
from rag.errors import InputError
from rag.types import sha256_of

if TYPE_CHECKING:
    from pydicom import Dataset

Stored = Literal["int16", "uint16", "rgb8"]
_MOST_WINDOWS = 8
_MOST_FRAMES = 256  # at once: decoding takes time however small they are
_PERCENTILES = (0.5, 99.5)  # of the values of a frame that comes without a window
# What a multi-frame object keeps by frame, and in which sequence of a functional group.
_BY_FRAME = (
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
)
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")  # the first that is there
_PROJECTIONS = ("CR", "DX", "MG", "RF", "XA")


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Center and width in rescaled values, and what the file calls them."""

    center: float
    width: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class FrameMeaning:
    """What the stored values of one frame mean: value = stored * slope + intercept."""

    slope: float
    intercept: float
    windows: tuple[FrameWindow, ...]
    position: float | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """Some frames of a file, one after the other.

    >>> frames = read_frames(Path("slice.dcm"))                             # doctest: +SKIP
    >>> frames.rows, frames.columns, frames.total, frames.stored            # doctest: +SKIP
    (512, 512, 1, 'int16')

    Args:
        rows, columns: of each frame as it is here, in pixels.
        total: frames of the file.
        first: index of the first one here, from 0.
        stored: of the pixels: 16-bit integers, little endian, or red, green and blue in a byte each.
        pixels: frames x rows x columns (x 3).
        meanings: of each frame here.
        inverted: the lowest value is meant to be shown white.
        spacing: mm from one row, and from one column, to the next; None where the file does not say.
        at_detector: the spacing was measured at the detector: what is nearer to the source looks larger there.
        unit: of the rescaled values, as "HU"; empty where unknown.
        padding: the stored value that stands for no value.
        reduced: every so many-th row and column is here; 1 where all are.
        series: the same for all files of a series, and says nothing else.
        number: of the file in its series.
    """

    rows: int
    columns: int
    total: int
    first: int
    stored: Stored
    pixels: bytes
    meanings: tuple[FrameMeaning, ...]
    inverted: bool
    spacing: tuple[float, float] | None
    at_detector: bool
    unit: str
    padding: int | None
    reduced: int
    series: str
    number: int | None
    modality: str


def read_frames(path: Path, first: int = 0, *, most_bytes: int) -> Frames:
    """As many frames of a DICOM file from ``first`` on as fit into ``most_bytes``, at least one and at most 256.

    A frame that does not fit by itself is reduced to every second, third, … row and column.

    Raises:
        InputError: there are no pixels, they are damaged, or there is no such frame.
        MissingDependencyError: their decoder is not installed.
    """
    with unquoted():
        dataset = read_dataset(path)
        if "PixelData" not in dataset:
            raise InputError("It is a DICOM file without pixels (or with float pixels, which are not read).")
        total = int(dataset.get("NumberOfFrames") or 1)
        if not 0 <= first < total:
            raise InputError(f"first: the file has {total} frames, counted from 0.")
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        colour = int(dataset.SamplesPerPixel) > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR"
        step, fit = _fitting(rows, columns, 3 if colour else 2, most_bytes)
        made = [_frame(dataset, n, step, colour) for n in range(first, min(total, first + fit))]
        stored: Stored = "rgb8" if colour else "int16" if made[0][0].dtype == np.int16 else "uint16"
        spacing, at_detector = _spacing(dataset, first)
        padding = dataset.get("PixelPaddingValue")
        return Frames(
            rows=made[0][0].shape[0],
            columns=made[0][0].shape[1],
            total=total,
            first=first,
            stored=stored,
            pixels=b"".join(values.astype(values.dtype.newbyteorder("<")).tobytes() for values, _ in made),
            meanings=tuple(meaning for _, meaning in made),
            inverted=dataset.PhotometricInterpretation == "MONOCHROME1"
            or dataset.get("PresentationLUTShape") == "INVERSE",
            spacing=(spacing[0] * step, spacing[1] * step) if spacing else None,
            at_detector=at_detector,
            unit=_unit(dataset),
            padding=int(padding) if isinstance(padding, int) and not colour else None,
            reduced=step,
            series=sha256_of(str(dataset.get("SeriesInstanceUID") or ""))[:16],
            number=int(dataset.InstanceNumber) if str(dataset.get("InstanceNumber") or "").strip().isdigit() else None,
            modality=str(dataset.get("Modality") or "")[:16],
        )


def _fitting(rows: int, columns: int, size: int, most_bytes: int) -> tuple[int, int]:
    """Every so many-th row and column of a frame fits, and then so many frames do."""
    step = 1
    while (each := -(-rows // step) * -(-columns // step) * size) > most_bytes:
        step += 1
    return step, min(_MOST_FRAMES, max(1, most_bytes // max(1, each)))


def _frame(dataset: Dataset, index: int, step: int, colour: bool) -> tuple[np.ndarray, FrameMeaning]:
    """A frame as 16-bit values or RGB bytes, and what its values mean."""
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    values = decode_frame(dataset, index)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = np.asarray(apply_color_lut(values, dataset))
    values = np.ascontiguousarray(values[::step, ::step])
    if colour:
        bits = 8 * values.dtype.itemsize if dataset.PhotometricInterpretation == "PALETTE COLOR" else dataset.BitsStored
        if values.dtype != np.uint8:
            values = (values.astype(np.float64) * (255.0 / (2 ** int(bits) - 1))).round().clip(0, 255).astype(np.uint8)
        return values[..., :3], FrameMeaning(1.0, 0.0, ())
    said = _said(dataset, index)
    slope, intercept = said("RescaleSlope", 1.0), said("RescaleIntercept", 0.0)
    if "ModalityLUTSequence" in dataset:
        values, slope, intercept = np.asarray(apply_modality_lut(values, dataset)), 1.0, 0.0
    values, scale, base = _as_16_bit(values, np.int16 if dataset.get("PixelRepresentation") else np.uint16)
    slope, intercept = slope * scale, intercept + slope * base
    windows = tuple(_windows(dataset, index)) or (_window_of(values, dataset, slope, intercept),)
    return values, FrameMeaning(slope, intercept, windows, _position(dataset, index))


def _as_16_bit(values: np.ndarray, kind: type[np.int16] | type[np.uint16]) -> tuple[np.ndarray, float, float]:
    """Values in 16 bits, and slope and intercept that lead back: 1 and 0 unless they need more bits than that."""
    low, high, bounds = float(values.min()), float(values.max()), np.iinfo(kind)
    if bounds.min <= low and high <= bounds.max:
        return values.astype(kind), 1.0, 0.0
    scale = (high - low) / 65535.0
    squeezed = ((values.astype(np.float64) - low) / scale + bounds.min).round().astype(kind)
    return squeezed, scale, low - bounds.min * scale


def _groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    """Where a file says something of a frame, the most particular place first."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (own[index] if index < len(own) else None, shared[0] if shared else None):
        for name in _BY_FRAME:
            yield from (group.get(name) or [])[:1] if group is not None else ()
    yield dataset


def _found(dataset: Dataset, index: int, name: str) -> Any:
    return next((v for group in _groups(dataset, index) if (v := group.get(name)) not in (None, "")), None)


def _said(dataset: Dataset, index: int) -> Any:
    def number(name: str, otherwise: float) -> float:
        found = _numbers(_found(dataset, index, name))
        return found[0] if found else otherwise

    return number


def _numbers(value: Any) -> list[float]:
    """The finite numbers of an element that has one or several."""
    several: Iterable[Any] = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        found = [float(v) for v in several if v not in (None, "")]
    except (TypeError, ValueError):
        return []
    return found if all(np.isfinite(found)) else []


def _windows(dataset: Dataset, index: int) -> Iterator[FrameWindow]:
    centers, widths = (_numbers(_found(dataset, index, name)) for name in ("WindowCenter", "WindowWidth"))
    names = _found(dataset, index, "WindowCenterWidthExplanation") or ()
    told = [names] if isinstance(names, str) else [str(n) for n in names]
    for n, (center, width) in enumerate(list(zip(centers, widths, strict=False))[:_MOST_WINDOWS]):
        if width >= 1:
            yield FrameWindow(center, width, told[n][:64] if n < len(told) else "")


def _window_of(values: np.ndarray, dataset: Dataset, slope: float, intercept: float) -> FrameWindow:
    """A window that shows most of the values, for a file that names none."""
    padding = dataset.get("PixelPaddingValue")
    seen = values if not isinstance(padding, int) else values[values != padding]
    low, high = (float(v) * slope + intercept for v in np.percentile(seen if seen.size else values, _PERCENTILES))
    return FrameWindow((low + high + 1) / 2, abs(high - low) + 1)  # as PS3.3, C.11.2.1.2 counts


def _spacing(dataset: Dataset, index: int) -> tuple[tuple[float, float] | None, bool]:
    """Row and column spacing in mm, and whether that holds at the detector only."""
    for name in _SPACINGS:
        found = _numbers(_found(dataset, index, name))
        if len(found) == 2 and min(found) > 0:
            calibrated = "PixelSpacingCalibrationType" in dataset
            projected = dataset.get("Modality") in _PROJECTIONS and not calibrated
            return (found[0], found[1]), projected or name != "PixelSpacing"
    return None, False


def _position(dataset: Dataset, index: int) -> float | None:
    """How far along its normal a slice lies, in mm."""
    where = _numbers(_found(dataset, index, "ImagePositionPatient"))
    how = _numbers(_found(dataset, index, "ImageOrientationPatient"))
    if len(where) != 3 or len(how) != 6:
        return None
    return float(np.dot(np.cross(how[:3], how[3:]), where))


def _unit(dataset: Dataset) -> str:
    named = str(dataset.get("RescaleType") or "").strip()
    if named and named != "US":  # "US" is: unspecified
        return named[:16]
    return "HU" if dataset.get("Modality") == "CT" and "RescaleIntercept" in dataset else ""
