"""DICOM headers without identities: the Basic Application Level Confidentiality Profile of PS3.15, annex E.

The table of attributes and what becomes of each (E.1-1, as of 2026c: 655 attributes) comes with the package
dicom-anonymizer. Its own function is not used: it looks at the outermost level of a data set alone, and its new UIDs
and those of another run do not agree.

>>> from pydicom import Dataset
>>> image = Dataset()
>>> image.PatientName, image.SOPInstanceUID = "Doe^Jane", "1.2.3"
>>> sorted(Profile("key").apply(image)), image.PatientName == "Doe^Jane"     # doctest: +SKIP
(['blanked', 'remapped'], False)
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from rag.corpus.pseudonyms import pseudonym
from rag.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

Action = Literal["remove", "blank", "replace", "remap", "enter"]

EDITION = "2026c"
MAX_DEPTH = 50
_PROFILE = ("113100", "Basic Application Confidentiality Profile")
_CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
# Where the table leaves a choice by the object's type, what is legal in every type is taken.
_ACTIONS: Mapping[str, Action] = {
    "X_TAGS": "remove",
    "Z_TAGS": "blank",
    "X_Z_TAGS": "blank",
    "D_TAGS": "replace",
    "Z_D_TAGS": "replace",
    "X_D_TAGS": "replace",
    "X_Z_D_TAGS": "replace",
    "U_TAGS": "remap",
    "X_Z_U_STAR_TAGS": "enter",
}
_DUMMIES: Mapping[str, Any] = {
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0", "UR": "urn:removed",
    "FD": 0.0, "FL": 0.0, "SS": 0, "US": 0, "SL": 0, "UL": 0, "SV": 0, "UV": 0, "OB": b"\0\0", "OW": b"\0\0", "UN": b"",
}  # fmt: skip


class Profile:
    """Applies the profile with one key, by which the same patient and UID always get the same pseudonym and UID."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._actions, self._ranges = _table()

    def apply(self, dataset: Dataset, *, pixels_cleaned: bool = False) -> Counter[str]:
        """Take the identities out of a data set, in place, at every depth; counts what was done to how many elements.

        What is not in the table stays, but for private elements and names of persons. A patient's number becomes a
        pseudonym, unless the file says that its identities were removed before. ``pixels_cleaned`` says in the header
        that burnt-in text was looked for and blackened. Raises InputError for what is nested too deeply.
        """
        done = Counter[str]()
        had = str(dataset.get("PatientIdentityRemoved") or "").strip().upper() == "YES"
        patient = str(dataset.get("PatientID") or "").strip()
        self._clean(dataset, done, 0)
        if patient:
            dataset.PatientID = patient if had else pseudonym("patient", patient, self._key)
            dataset.PatientName = dataset.PatientID
        dataset.PatientIdentityRemoved = "YES"
        dataset.LongitudinalTemporalInformationModified = "REMOVED"
        dataset.DeidentificationMethod = f"PS3.15 basic profile {EDITION}"
        options = [_PROFILE, *[_CLEAN_PIXELS] * pixels_cleaned]
        dataset.DeidentificationMethodCodeSequence = [_code(*option) for option in options]
        meta = getattr(dataset, "file_meta", None)
        if meta is not None:
            kept = ("TransferSyntaxUID", "MediaStorageSOPClassUID")
            for element in list(meta):
                if element.keyword not in kept:
                    del meta[element.tag]
            if "SOPInstanceUID" in dataset:
                meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.preamble = b"\0" * 128
        return done

    def _clean(self, dataset: Dataset, done: Counter[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InputError(f"Its sequences are nested more than {MAX_DEPTH} deep, which is refused.")
        for tag in list(dataset.keys()):
            element = dataset[tag]
            action = self._action(element)
            if action == "remove":
                del dataset[tag]
                done["removed"] += 1
            elif action == "blank":
                element.value = [] if element.VR == "SQ" else None
                done["blanked"] += 1
            elif action == "remap" or (action == "replace" and element.VR == "UI"):
                element.value = self._remapped(element.value)
                done["remapped"] += 1
            elif element.VR == "SQ":
                for item in element.value:
                    _fill(item, depth + 1) if action == "replace" else self._clean(item, done, depth + 1)
                done["replaced"] += action == "replace"
            elif action == "replace":
                element.value = _dummy(element)
                done["replaced"] += 1

    def _action(self, element: DataElement) -> Action | None:
        tag = element.tag
        if tag.is_private:
            return "remove"
        if (action := self._actions.get((tag.group, tag.element))) is not None:
            return action
        if any(tag.group & mask[0] == group and tag.element & mask[1] == rest for group, rest, mask in self._ranges):
            return "remove"
        return "blank" if element.VR == "PN" else None

    def _remapped(self, value: Any) -> Any:
        """New UIDs (2.25 and 128 bits of a keyed hash); those that the standard itself gives stay."""
        if not value:
            return value
        if not isinstance(value, str):
            return [self._remapped(one) for one in value]
        if value.startswith("1.2.840.10008."):
            return value
        digest = hmac.new(self._key.encode(), f"uid\0{value}".encode(), hashlib.sha256).digest()
        return f"2.25.{int.from_bytes(digest[:16])}"


@cache
def _table() -> tuple[dict[tuple[int, int], Action], list[tuple[int, int, tuple[int, int]]]]:
    """What becomes of each attribute, and of the repeating groups (curves and overlays), which all go."""
    try:
        from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
    except ImportError as error:
        raise MissingDependencyError(
            'Taking identities out of DICOM needs dicom-anonymizer: pip install "clincite[dicom]".'
        ) from error
    table = dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    actions: dict[tuple[int, int], Action] = {}
    ranges = []
    for name, action in _ACTIONS.items():
        for tag in table[name]:
            if len(tag) == 2:
                actions[tuple(tag)] = action
            else:
                group, element, *mask = tag
                ranges.append((group & mask[0], element & mask[1], (mask[0], mask[1])))
    return actions, ranges


def _dummy(element: DataElement) -> Any:
    return _DUMMIES.get(element.VR, "REMOVED")


def _fill(dataset: Dataset, depth: int) -> None:
    """Every value of a sequence's item by a dummy, for who is named in it cannot be told."""
    if depth > MAX_DEPTH:
        raise InputError(f"Its sequences are nested more than {MAX_DEPTH} deep, which is refused.")
    for tag in list(dataset.keys()):
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                _fill(item, depth + 1)
        elif element.VR == "UI":
            del dataset[tag]
        else:
            element.value = _dummy(element)


def _code(value: str, meaning: str) -> Dataset:
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
