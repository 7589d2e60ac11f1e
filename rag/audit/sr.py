"""A recorded answer as a DICOM structured report, shaped like a measurement report (TID 1500).

Content items are built by ``highdicom``; the object around them is not, because its classes want the images that a
report measures, and an answer may rest on texts alone. The report is preliminary and unverified, and says so.
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

from rag.audit.fhir import NOTICE, patient_of
from rag.audit.record import Entry
from rag.corpus.own import MAKER, SR_SCHEME
from rag.errors import MissingDependencyError
from rag.types import Answer

_DCM = "DCM"


def structured_report(entry: Entry) -> bytes:
    """A DICOM file (Comprehensive SR, explicit little endian) with question, answer, quotes and audit id.

    >>> pydicom.dcmread(BytesIO(structured_report(entry))).VerificationFlag                    # doctest: +SKIP
    'UNVERIFIED'

    PatientID is the patient as the evidence names them, a pseudonym where the corpus had an identifier; the archive
    that takes the report puts its own patient and study in.

    Raises:
        MissingDependencyError: ``highdicom`` is not installed.
    """
    try:
        from highdicom.sr import RelationshipTypeValues as Is
        from highdicom.version import __version__
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, generate_uid
    except ImportError as error:
        raise MissingDependencyError('highdicom is not installed: pip install "clincite[interchange]"') from error
    answer, when = entry.answer, datetime.fromisoformat(entry.created)
    root = _container("126000", "Imaging Measurement Report", Is.CONTAINS)
    del root.RelationshipType
    root.ContentSequence = _items(answer, entry.audit_id)
    report = Dataset()
    report.update(root)
    report.file_meta = FileMetaDataset()
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = ComprehensiveSRStorage
    uid = generate_uid(entropy_srcs=[entry.audit_id, entry.sha256])
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID = uid
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.StudyInstanceUID = generate_uid(entropy_srcs=[entry.audit_id, "study"])
    report.SeriesInstanceUID = generate_uid(entropy_srcs=[entry.audit_id, "series"])
    report.PatientID, report.PatientName = patient_of(answer)[:64], ""
    report.PatientBirthDate = report.PatientSex = report.StudyID = report.AccessionNumber = ""
    report.ReferringPhysicianName, report.SeriesNumber, report.InstanceNumber = "", 1, 1
    report.Modality, report.Manufacturer = "SR", MAKER
    report.ManufacturerModelName, report.SoftwareVersions = MAKER, [f"highdicom {__version__}"]
    report.StudyDate = report.ContentDate = report.SeriesDate = when.strftime("%Y%m%d")
    report.StudyTime = report.ContentTime = report.SeriesTime = when.strftime("%H%M%S")
    report.CompletionFlag = "COMPLETE" if answer.decision == "answered" else "PARTIAL"
    report.VerificationFlag, report.PreliminaryFlag = "UNVERIFIED", "PRELIMINARY"
    report.SpecificCharacterSet = "ISO_IR 192"
    report.ReferencedPerformedProcedureStepSequence, report.PerformedProcedureCodeSequence = [], []
    file = BytesIO()
    report.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _items(answer: Answer, audit_id: str) -> list[Any]:
    from highdicom.sr import CodeContentItem, CodedConcept
    from highdicom.sr import RelationshipTypeValues as Is

    def code(value: str, meaning: str, scheme: str = _DCM) -> CodedConcept:
        return CodedConcept(value, scheme, meaning)

    language = code("121049", "Language of Content Item and Descendants")
    items = [
        CodeContentItem(language, code("en", "English", "RFC5646"), Is.HAS_CONCEPT_MOD),
        CodeContentItem(code("121005", "Observer Type"), code("121007", "Device"), Is.HAS_OBS_CONTEXT),
        _text("121013", "Device Observer Name", MAKER, Is.HAS_OBS_CONTEXT),
        _text("AUDIT", "Audit id", audit_id, scheme=SR_SCHEME),
        _text("QUESTION", "Question", answer.question.text, scheme=SR_SCHEME),
    ]
    if answer.decision != "answered":
        return [*items, _text("REASON", "Not answered", answer.reason, scheme=SR_SCHEME), _notice(answer)]
    for n, sentence in enumerate(answer.sentences):
        finding = _text("121071", "Finding", sentence.text)
        quotes = [
            _text("QUOTE", "Quote", f"{c.document_id}, {c.verdict}: “{c.quote}”", Is.INFERRED_FROM, SR_SCHEME)
            for c in answer.citations
            if c.sentence == n
        ]
        quotes += [
            _text("IMAGE", "Image", f"{c.label} ({c.seen_by}; SHA-256 {c.sha256})", Is.INFERRED_FROM, SR_SCHEME)
            for c in answer.image_citations
            if c.sentence == n
        ]
        if quotes:
            finding.ContentSequence = quotes
        items.append(finding)
    return [*items, _notice(answer)]


def _notice(answer: Answer) -> Any:
    certificate = f"{answer.certificate.status}: {answer.certificate.why}"
    return _text("121106", "Comment", f"{NOTICE} Confidence {answer.confidence:.2f}. Certificate {certificate}.")


def _text(value: str, meaning: str, text: str, how: Any = None, scheme: str = _DCM) -> Any:
    from highdicom.sr import CodedConcept, RelationshipTypeValues, TextContentItem

    return TextContentItem(CodedConcept(value, scheme, meaning), text, how or RelationshipTypeValues.CONTAINS)


def _container(value: str, meaning: str, how: Any) -> Any:
    from highdicom.sr import CodedConcept, ContainerContentItem

    return ContainerContentItem(CodedConcept(value, _DCM, meaning), template_id="1500", relationship_type=how)
