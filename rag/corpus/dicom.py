"""What DICOM headers say: of which patient and study a file is, how large its picture, and whether it names anybody.

pydicom's warnings and the messages of its errors quote the values that they are about, and these can be a patient's:
none of them is shown or logged.
"""

from __future__ import annotations

import logging
import re
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
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.1")
# Of the file's own header (0002,0002), or of a data set without one (0008,0016), with its VR or without.
_SOP_CLASS = re.compile(rb"(?:\x02\x00\x02\x00UI..|\x08\x00\x16\x00(?:UI..|..\x00\x00))([0-9.]{5,64})", re.DOTALL)
# How a file without preamble begins: with the header's length, or an early element of the data set.
_BARE = re.compile(rb"\x02\x00\x00\x00UL|\x08\x00[\x00\x01\x05\x08\x12\x16]\x00(?:UL|CS|DA|UI|[\x04-\x40]\x00\x00\x00)")


def is_dicom(path: Path) -> bool:
    """Whether the file says it is DICOM: by its name, or by the mark after its preamble."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return is_dicom_head(file.read(132))


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
            with path.open("rb") as file:
                head = file.read(8)
            found: Dataset = pydicom.dcmread(path, force=is_bare(head), **options)
            if _is_cut(found):
                raise EOFError
            return found
    except pydicom.errors.InvalidDicomError as error:
        raise InputError("It is not a DICOM file (the DICM mark after its preamble is missing).") from error


def is_dicom_head(head: bytes) -> bool:
    """Whether a file's first 132 bytes are of DICOM: its mark after the preamble, or elements without any."""
    return head[128:132] == b"DICM" or is_bare(head)


def is_bare(head: bytes) -> bool:
    """Whether a file begins at once with DICOM's elements, as what was kept without preamble does."""
    return _BARE.match(head) is not None


def sop_class(head: bytes) -> str:
    """The SOP class that a file's first bytes state; empty if they state none.

    >>> sop_class(b"...\\x02\\x00\\x02\\x00UI\\x08\\x001.2.840\\x00...")
    '1.2.840'
    """
    found = _SOP_CLASS.search(head)
    return found[1].decode("ascii", "replace") if found else ""


def _is_cut(dataset: Dataset) -> bool:
    """Whether the last element is shorter than it says to be; pydicom reads what is left of it and says nothing."""
    last = dataset.get_item(max(dataset.keys())) if len(dataset) else None
    value, length = getattr(last, "value", None), getattr(last, "length", None)
    return isinstance(value, bytes) and isinstance(length, int) and len(value) < length < 0xFFFFFFFF
