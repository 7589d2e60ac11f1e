"""What DICOM headers say: of which patient and study a file is, how large its picture, and whether it names anybody.

pydicom's warnings and the messages of its errors quote the values that they are about, and these can be a patient's:
none of them is shown or logged.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.corpus.pseudonyms import pseudonym
from rag.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from pydicom import Dataset

# SOP classes of reports: structured reports and encapsulated PDF files.
REPORTS = (b"1.2.840.10008.5.1.4.1.1.88.", b"1.2.840.10008.5.1.4.1.1.104.1")


def is_dicom(path: Path) -> bool:
    """Whether the file says it is DICOM: by its name, or by the mark after its preamble."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone. Raises InputError if the file is no DICOM image."""
    header = read_dataset(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    with unquoted():
        columns, rows = int(header.get("Columns") or 0), int(header.get("Rows") or 0)
    if not columns or not rows:
        raise InputError("It is a DICOM file without an image (a report, a plan or a waveform); leave it out.")
    return columns, rows


@dataclass(frozen=True, slots=True)
class Study:
    """What a DICOM file belongs to, as pseudonyms (empty where the file does not say), and how it was made."""

    patient: str = ""
    study: str = ""
    series: str = ""
    modality: str = ""

    @property
    def told(self) -> dict[str, str]:
        """What documents remember of it beside case and group."""
        return {name: value for name, value in (("modality", self.modality), ("series", self.series)) if value}


def study_of(path: Path, salt: str) -> Study:
    """The file's patient, study and series, from its header. Raises InputError if it is no DICOM file."""
    tags = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"]
    return study_in(read_dataset(path, stop_before_pixels=True, specific_tags=tags), salt)


def study_in(dataset: Dataset, salt: str) -> Study:
    """The same of a data set that has been read."""
    with unquoted():
        names = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "IssuerOfPatientID", "Modality")
        patient, study, series, issuer, modality = (str(dataset.get(tag) or "").strip() for tag in names)
    return Study(
        patient=pseudonym("patient", f"{issuer}\0{patient}" if issuer else patient, salt) if patient else "",
        study=pseudonym("study", study, salt) if study else "",
        series=pseudonym("series", series, salt) if series else "",
        modality=modality,
    )


def names_patient(path: Path) -> bool:
    """Whether a file is DICOM and its header names a patient, without saying that identities were removed."""
    if not is_dicom(path):
        return False
    tags = ["PatientName", "PatientID", "PatientIdentityRemoved"]
    header = read_dataset(path, stop_before_pixels=True, specific_tags=tags)
    with unquoted():
        is_removed = str(header.get("PatientIdentityRemoved") or "").strip().upper() == "YES"
        return not is_removed and any(str(header.get(tag) or "").strip() for tag in tags[:2])


@contextmanager
def unquoted() -> Iterator[None]:
    """Name what is wrong with a file without the values that are: they may be a patient's."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error, EOFError) as error:
        raise InputError(f"It is damaged or truncated ({type(error).__name__}); copy it again.") from error


@cache
def _pydicom() -> Any:
    """pydicom, made silent. Raises MissingDependencyError without it."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingDependencyError('Reading DICOM needs pydicom: pip install "clincite[dicom]".') from error
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    return pydicom


def read_dataset(path: Path, **options: Any) -> Dataset:
    """The data set, by pydicom. Raises InputError if it is no DICOM file, MissingDependencyError without pydicom."""
    pydicom = _pydicom()
    try:
        with unquoted():
            found: Dataset = pydicom.dcmread(path, **options)
            return found
    except pydicom.errors.InvalidDicomError as error:
        raise InputError("It is not a DICOM file (the DICM mark after its preamble is missing).") from error
