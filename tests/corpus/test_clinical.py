"""What hospitals hold: FHIR, DICOM reports, and the ties of DICOM images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pdfs import pdf_of

from rag.answering.contexts import evidence_of
from rag.corpus.chunking import passages_of
from rag.corpus.pseudonyms import pseudonym
from rag.corpus.source import read_source, survey
from rag.types import Hit

from .conftest import split

pydicom = pytest.importorskip("pydicom")
FORMATS = Path(__file__).parent.parent / "data" / "formats"


class TestFhir:
    def test_a_bundle_is_told_resource_by_resource(self) -> None:
        documents, quarantined = split(read_source(FORMATS / "bundle.json", salt="s"))
        told = {d.id: d for d in documents}
        assert told.keys() == {"ImagingStudy/im", "DiagnosticReport/r1", "Condition/c1", "Composition/d1"}
        report = told["DiagnosticReport/r1"]
        assert report.text.split("\n") == [
            "Chest radiograph",
            "Haemoglobin: < 7.2 mmol/L (reference 8.7 mmol/L to 11.2 mmol/L) [Low]",
            "No effusion.",
            "The lungs are clear.",
        ]
        assert (report.kind, report.domain, report.title) == ("report", "radiology", "Chest radiograph")
        assert told["Condition/c1"].text == "Pneumonia: absent (verification: refuted)"
        assert told["Composition/d1"].text == "Discharge\nCOURSE: Stable.\nDay | 2"
        reasons = {q.record: q.reason for q in quarantined if not q.empty}
        assert (
            "entered in error" in reasons["Condition/c2"]
            and "not fetched" in reasons["DocumentReference/e1, attachment 1"]
        )
        assert len(reasons) == 2

    def test_patient_and_study_are_those_of_dicom(self) -> None:
        documents, _ = split(read_source(FORMATS / "bundle.json", salt="s"))
        report = next(d for d in documents if d.id == "DiagnosticReport/r1")
        assert report.case_id == pseudonym("study", "1.2.3.4", "s")
        assert report.group_id == pseudonym("patient", "p", "s") != pseudonym("patient", "p", "t")

    def test_what_is_no_fhir_is_set_aside(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"resourceType": "Observation", "id": "x", "component": 5, "code": "y"}')
        (tmp_path / "b.json").write_text('{"resourceType": "Bundle", "entry": [')
        (tmp_path / "c.json").write_text('{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": ["x"]}}]}')
        documents, quarantined = split(read_source(tmp_path))
        assert (documents, len(quarantined)) == ([], 3)

    def test_the_official_examples(self, data: Path) -> None:
        documents, quarantined = split(read_source(data / "fhir"))
        assert len(documents) > 140
        expected = ("entered in error", "cancelled", "not fetched", "damaged PDF")  # an example's PDF is three letters
        assert all(any(one in q.reason for one in expected) for q in quarantined if not q.empty)


def dicom(path: Path, patient: str, study: str, **more: Any) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.PatientID, dataset.StudyInstanceUID = patient, study
    dataset.SOPClassUID = more.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1")
    dataset.SOPInstanceUID = generate_uid()
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


PIXELS: dict[str, Any] = {
    "Rows": 4, "Columns": 4, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
    "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Modality": "DX",
    "PixelData": np.arange(16, dtype=np.uint8).tobytes(),
}  # fmt: skip


def item(kind: str, name: str, **value: Any) -> Any:
    from pydicom.dataset import Dataset

    one, code = Dataset(), Dataset()
    code.CodeMeaning, code.CodeValue = name, value.pop("code", "1")
    one.ValueType, one.ConceptNameCodeSequence = kind, [code]
    for key, content in value.items():
        setattr(one, key, content)
    return one


class TestDicom:
    def test_patient_and_study_tie_images_and_nobody_is_named(self, tmp_path: Path) -> None:
        dicom(tmp_path / "d/IM0001", "SECRET-1", "1.2.3", **PIXELS)
        dicom(tmp_path / "d/1.2.840.99.1", "SECRET-1", "1.2.4", **PIXELS)
        dicom(tmp_path / "d/1.2.840.99.2", "SECRET-2", "1.2.5", **PIXELS)
        made = survey(tmp_path / "d")
        made.salt = "pepper"
        documents = [record for _, _, record in made.records()]
        assert [d.id for d in documents] == ["1.2.840.99.1:image", "1.2.840.99.2:image", "IM0001:image"]
        assert documents[0].group_id == documents[2].group_id != documents[1].group_id
        assert len({d.case_id for d in documents}) == 3
        assert documents[0].metadata["modality"] == "DX"
        assert "SECRET" not in str(documents)

    def test_slices_of_a_series_are_of_one_series(self, tmp_path: Path) -> None:
        for number, series in enumerate(("1.2.3.8", "1.2.3.8", "1.2.3.9")):
            dicom(tmp_path / f"d/{number}", "p", "1.2.3", SeriesInstanceUID=series, **PIXELS)
        dicom(tmp_path / "d/4", "p", "1.2.3", **PIXELS)
        documents, _ = split(read_source(tmp_path / "d", salt="s"))
        told = [d.metadata.get("series") for d in documents]
        one, other = (pseudonym("series", f"1.2.3.{n}", "s") for n in (8, 9))
        assert told == [one, one, other, None] and len({d.case_id for d in documents}) == 1
        hits = [Hit(passage=passages_of(d)[0], document=d, score=1, channel="words", ranks={}) for d in documents]
        shown = [evidence_of(1, hit).model_dump().get("series") for hit in hits]
        assert shown == told, "and evidence without one is written as before"

    def test_a_structured_report_is_its_tree(self, tmp_path: Path) -> None:
        measured, unit = pydicom.Dataset(), pydicom.Dataset()
        unit.CodeValue, measured.NumericValue = "mm", "12"
        measured.MeasurementUnitsCodeSequence = [unit]
        code = pydicom.Dataset()
        code.CodeMeaning = "Left lower lobe"
        findings = item(
            "CONTAINER",
            "Findings",
            ContentSequence=[
                item("TEXT", "Finding", TextValue="A nodule."),
                item("CODE", "Site", ConceptCodeSequence=[code]),
                item("NUM", "Diameter", MeasuredValueSequence=[measured]),
                item("PNAME", "Observer", PersonName="Doe^Jane"),
                item("TEXT", "Person Observer Name", TextValue="Doe", code="121008"),
            ],
        )
        sr = "1.2.840.10008.5.1.4.1.1.88.33"
        dicom(tmp_path / "sr.dcm", "p", "1.2.3", SOPClassUID=sr, ContentSequence=[findings], Modality="SR")
        dicom(tmp_path / "image.dcm", "p", "1.2.3", **PIXELS)
        documents, quarantined = split(read_source(tmp_path))
        report, image = documents
        assert quarantined == []
        assert report.text == "FINDINGS:\nFinding: A nodule.\nSite: Left lower lobe\nDiameter: 12 mm"
        assert (report.case_id, report.group_id) == (image.case_id, image.group_id)

    def test_an_encapsulated_pdf_is_read_by_pages(self, tmp_path: Path) -> None:
        content = pdf_of(tmp_path / "x.pdf", [["The lungs are clear."]]).read_bytes()
        path = dicom(
            tmp_path / "d/report", "p", "1.2.3", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
            EncapsulatedDocument=content + b"\0" * (len(content) % 2), MIMETypeOfEncapsulatedDocument="application/pdf",
        )  # fmt: skip
        (page,) = split(read_source(path))[0]
        assert (page.text, page.kind, page.metadata["page"]) == ("The lungs are clear.", "report", 1)

    def test_one_without_an_image_is_set_aside(self, tmp_path: Path, picture: Callable[..., Path]) -> None:
        picture("a.png")
        dicom(tmp_path / "plan.dcm", "p", "1.2.3", Modality="RTPLAN")
        _, (aside,) = split(read_source(tmp_path))
        assert (aside.record, "without an image" in aside.reason) == ("plan.dcm", True)
