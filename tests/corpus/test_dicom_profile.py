"""Copies without identities: nothing of the header that names anybody is left, and what belongs together still does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.building.copying import CopyReport, copy_without_identities
from rag.corpus.pseudonyms import key_of
from rag.corpus.scrub import Scrubber
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.types import Document

from .test_clinical import PIXELS, dicom

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("dicomanonymizer")
from rag.corpus.dicom_profile import Profile, _table  # noqa: E402

KEY = "a key of the tests"


def nested(depth: int) -> Any:
    """A data set with a name at its bottom, in sequences that the table does not list."""
    item = pydicom.Dataset()
    item.OperatorsName, item.PatientID, item.ReferencedSOPInstanceUID = "SECRET^OP", "SECRET-9", "1.2.999.7"
    item.add_new(0x00091001, "LO", "SECRET private")
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.ReferencedSeriesSequence = [item]
        item = outer
    return item


def patient(path: Path, number: str, **more: Any) -> Path:
    named = {
        "PatientName": "SECRET^JANE", "PatientBirthDate": "19500102", "ReferringPhysicianName": "SECRET^DOC",
        "AccessionNumber": "SECRET", "StudyDate": "20200304", "InstitutionName": "SECRET CLINIC",
        "SeriesInstanceUID": "1.2.999.4",
        "StudyDescription": "Seen by Dr. SECRET", "ImageComments": "SECRET", "FrameOfReferenceUID": "1.2.999.8",
        "ReferencedSeriesSequence": [nested(2)], "BodyPartExamined": "CHEST", "ViewPosition": "PA",
    }  # fmt: skip
    return dicom(path, number, "1.2.999.3", **PIXELS, **named, **more)


def copied(source: Path, target: Path, key: str = KEY) -> tuple[CopyReport, list[Any]]:
    report = copy_without_identities(source, target, key, Scrubber("mask"))
    return report, [pydicom.dcmread(path) for path in sorted(target.glob("*.dcm"))]


def test_nobody_is_named_and_what_is_needed_stays(tmp_path: Path) -> None:
    patient(tmp_path / "in/SECRET^JANE/IM1", "SECRET-1")
    report, (copy,) = copied(tmp_path / "in", tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    content = file.read_bytes()
    assert (
        b"SECRET" not in content and b"1.2.999" not in content and b"1950" not in content and b"20200304" not in content
    )
    assert "SECRET" not in file.name
    assert (copy.BodyPartExamined, copy.ViewPosition, copy.Modality) == ("CHEST", "PA", "DX")
    assert copy.pixel_array.tolist() == np.arange(16).reshape(4, 4).tolist()
    assert (copy.PatientIdentityRemoved, copy.DeidentificationMethodCodeSequence[0].CodeValue) == ("YES", "113100")
    assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
    assert report.images == 1 and report.header["remapped"] >= 4
    assert not any(element.tag.is_private for element in copy.iterall())


def test_what_belongs_together_still_does(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c")):
        patient(tmp_path / f"in/{name}", "SECRET-2" if name == "c" else "SECRET-1", InstanceNumber=number)
    _, one = copied(tmp_path / "in", tmp_path / "one")
    _, again = copied(tmp_path / "in", tmp_path / "again")
    _, other = copied(tmp_path / "in", tmp_path / "other", "another key of the tests")
    by_number = sorted(one, key=lambda d: d.InstanceNumber)
    assert by_number[0].PatientID == by_number[1].PatientID != by_number[2].PatientID
    assert len({d.StudyInstanceUID for d in one}) == 1
    assert [d.SOPInstanceUID for d in one] == [d.SOPInstanceUID for d in again], "the same key, the same UIDs"
    assert one[0].StudyInstanceUID != other[0].StudyInstanceUID
    read = [d for d in read_source(tmp_path / "one") if isinstance(d, Document)]
    assert len({d.group_id for d in read}) == 2, "and a reader finds two patients"


def test_a_pseudonym_that_exists_is_kept(tmp_path: Path) -> None:
    patient(tmp_path / "in/a", "SUBJ-007", PatientIdentityRemoved="YES")
    _, (copy,) = copied(tmp_path / "in", tmp_path / "out")
    assert copy.PatientID == "SUBJ-007"


def test_every_attribute_of_the_table_is_dealt_with() -> None:
    from pydicom.datadict import dictionary_VR

    actions, ranges = _table()
    assert len(actions) + len(ranges) >= 621
    for (group, element), action in actions.items():
        if group == 2:
            continue  # of the file's own header only what is needed is kept
        dataset = pydicom.Dataset()
        try:
            vr = dictionary_VR((group, element)).split(" or ")[0]
        except KeyError:
            vr = "LO"  # newer than the dictionary
        inner = pydicom.Dataset()
        inner.PatientName, inner.ReferencedSOPInstanceUID = "SECRET", "1.2.999.5"
        value = {
            "SQ": [inner],
            "DA": "20200304",
            "DT": "20200304",
            "TM": "111111",
            "AS": "070Y",
            "UI": "1.2.999.5",
        }.get(vr)
        numeric = {"DS": "77", "IS": "77", "US": 77, "UL": 77, "SS": 77, "SL": 77, "FD": 77.0, "FL": 77.0}.get(vr)
        raw = b"SECRET" if vr in ("OB", "OW", "UN") else "SECRET"
        dataset.add_new((group, element), vr, value if value is not None else numeric if numeric is not None else raw)
        Profile(KEY).apply(dataset)
        left = str(getattr(dataset.get((group, element)), "value", ""))
        assert not any(s in left for s in ("SECRET", "20200304", "111111", "070Y", "1.2.999", "77")), (dataset, action)


def test_copies_name_what_they_leave_out(tmp_path: Path) -> None:
    patient(tmp_path / "in/a.dcm", "p")
    dicom(tmp_path / "in/sr.dcm", "p", "1.2.3", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    (tmp_path / "in/note.txt").write_text("MRN: 123456. The lungs are clear.")
    (tmp_path / "in/x.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "in/cut.dcm").write_bytes((tmp_path / "in/a.dcm").read_bytes()[:200])
    report, copies = copied(tmp_path / "in", tmp_path / "out")
    assert (report.images, report.texts, len(copies)) == (1, 1, 1)
    assert next((tmp_path / "out").glob("*.txt")).read_text() == "MRN: [REMOVED]. The lungs are clear."
    assert {f.name for f in report.foreign} | {q.record for q in report.quarantined} == {"sr.dcm", "x.pdf", "cut.dcm"}
    with pytest.raises(InputError, match="new or empty folder"):
        copied(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="new or empty folder"):
        copied(tmp_path / "in", tmp_path / "in/inside")


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    dataset = nested(60)
    with pytest.raises(InputError, match="more than 50 deep"):
        Profile(KEY).apply(dataset)


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    first = key_of(tmp_path / "k")
    assert key_of(tmp_path / "k") == first
    assert (tmp_path / "k").stat().st_mode & 0o077 == 0
    assert key_of(None) != key_of(None)
    (tmp_path / "short").write_text("abc")
    with pytest.raises(InputError, match="fewer than 16"):
        key_of(tmp_path / "short")


def test_the_command_copies(tmp_path: Path) -> None:
    patient(tmp_path / "in/a.dcm", "SECRET-1")
    command = [sys.executable, "-c", "from rag.cli import main; main()", "deidentify", str(tmp_path / "in")]
    done = subprocess.run(
        [*command, str(tmp_path / "out"), "--key", str(tmp_path / "k"), "--json"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["images"] == 1


def test_real_files_keep_no_name_and_their_picture(data: Path, tmp_path: Path) -> None:
    """Twelve of pydicom's own and the made-up patients of Presidio's."""
    from rag.corpus.images import load_image

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    files = [p for p in sorted(folder.glob("*.dcm")) if p.stat().st_size < 200_000][:40]
    files += sorted((data / "dicom" / "presidio").glob("*.dcm"))
    checked = 0
    for number, path in enumerate(files):
        report, copies = copied(path, tmp_path / str(number))
        if not copies:
            assert report.foreign or report.quarantined
            continue
        original = pydicom.dcmread(path, force=True)
        tags = ["SOPInstanceUID", "StudyInstanceUID"] + ["PatientName"] * (
            original.get("PatientIdentityRemoved") != "YES"
        )
        values = {str(original.get(tag) or "").strip() for tag in tags}
        content = next((tmp_path / str(number)).iterdir()).read_bytes().decode("latin-1")
        assert not any(v in content for v in values if len(v) > 4), path.name
        try:
            before = np.asarray(load_image(path))
        except InputError:
            continue
        after = np.asarray(load_image(next((tmp_path / str(number)).iterdir())))
        assert (before == after).all(), path.name
        checked += 1
    assert checked >= 12
