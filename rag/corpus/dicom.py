"""DICOM pixels as an ordinary picture: rescaled, windowed, upright in polarity, 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rag.corpus.pseudonyms import pseudonym
from rag.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from pydicom import Dataset

# SOP classes of reports: structured reports and encapsulated PDF files.
REPORTS = (b"1.2.840.10008.5.1.4.1.1.88.", b"1.2.840.10008.5.1.4.1.1.104.1")
_PERCENTILES = (0.5, 99.5)


def is_dicom(path: Path) -> bool:
    """Whether the file says it is DICOM: by its name, or by the mark after its preamble."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone. Raises InputError if the file is no DICOM image."""
    header = read_dataset(path, stop_before_pixels=True)
    if not header.get("Rows") or not header.get("Columns"):
        raise InputError("It is a DICOM file without an image (a report, a plan or a waveform); leave it out.")
    return int(header.Columns), int(header.Rows)


@dataclass(frozen=True, slots=True)
class Study:
    """What a DICOM file belongs to, as pseudonyms (empty where the file does not say), and how it was made."""

    patient: str
    study: str
    modality: str


def study_of(path: Path, salt: str) -> Study:
    """The file's patient and study, from its header. Raises InputError if it is no DICOM file."""
    tags = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID", "Modality"]
    return study_in(read_dataset(path, stop_before_pixels=True, specific_tags=tags), salt)


def study_in(dataset: Dataset, salt: str) -> Study:
    """The same of a data set that has been read."""
    patient, study = (str(dataset.get(tag) or "").strip() for tag in ("PatientID", "StudyInstanceUID"))
    issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
    return Study(
        patient=pseudonym("patient", f"{issuer}\0{patient}" if issuer else patient, salt) if patient else "",
        study=pseudonym("study", study, salt) if study else "",
        modality=str(dataset.get("Modality") or ""),
    )


def names_patient(path: Path) -> bool:
    """Whether a file is DICOM and its header names a patient, without saying that identities were removed."""
    if not is_dicom(path):
        return False
    tags = ["PatientName", "PatientID", "PatientIdentityRemoved"]
    header = read_dataset(path, stop_before_pixels=True, specific_tags=tags)
    is_removed = str(header.get("PatientIdentityRemoved") or "").strip().upper() == "YES"
    return not is_removed and any(str(header.get(tag) or "").strip() for tag in tags[:2])


def load_dicom(path: Path) -> Image.Image:
    """The first frame as 8-bit RGB: by its window if it has one, else from percentile 0.5 to 99.5 of its values."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    dataset = read_dataset(path)
    if "PixelData" not in dataset:
        raise InputError("It is a DICOM file without pixels (or with float pixels, which are not read); leave it out.")
    try:
        stored = pixel_array(dataset, index=0)
    except (RuntimeError, NotImplementedError) as error:
        name = dataset.file_meta.TransferSyntaxUID.name
        raise InputError(f"Its pixels ({name}) cannot be decoded here; convert it to uncompressed DICOM.") from error
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)
        return Image.fromarray(_to_bytes(colours, 8 * colours.dtype.itemsize)).convert("RGB")
    if stored.ndim == 3:
        return Image.fromarray(_to_bytes(stored, int(dataset.BitsStored))).convert("RGB")
    return Image.fromarray(_grey(stored, dataset)).convert("RGB")


def read_dataset(path: Path, **options: Any) -> Dataset:
    """The data set, by pydicom. Raises InputError if it is no DICOM file, MissingDependencyError without pydicom."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingDependencyError('Reading DICOM needs pydicom: pip install "clincite[demo]".') from error
    try:
        return pydicom.dcmread(path, **options)
    except pydicom.errors.InvalidDicomError as error:
        raise InputError("It is not a DICOM file (the DICM mark after its preamble is missing).") from error


def _to_bytes(colours: np.ndarray, bits: int) -> np.ndarray:
    if colours.dtype == np.uint8:
        return colours
    return np.asarray((colours.astype(np.float64) * (255.0 / (2**bits - 1))).clip(0, 255).round().astype(np.uint8))


def _grey(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    window = _window(dataset)
    if window is None and "VOILUTSequence" in dataset:
        values = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), dtype=np.float64)
    if window is None:
        padding = dataset.get("PixelPaddingValue")
        seen = values if padding is None else values[stored != padding]
        window = tuple(np.percentile(seen if seen.size else values, _PERCENTILES))
    low, high = window
    grey = ((values - low) * (255.0 / (high - low) if high > low else 0.0)).clip(0, 255)
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # its lowest value is meant to be shown white
        grey = 255.0 - grey
    return np.asarray(grey.round().astype(np.uint8))


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Lowest and highest value of the first window, by the formula of the linear VOI function, or None."""
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is None or width is None or width <= 1:
        return None
    return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return float(value) if hasattr(value, "__float__") else None
