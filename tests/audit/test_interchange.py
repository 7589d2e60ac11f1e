"""Recorded answers as FHIR and as DICOM structured reports: valid, honest, and never evidence again."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle

from audit.samples import QUOTE, WORKING, make_answer
from rag.audit.fhir import fhir_bundle
from rag.audit.ledger import Given, Ledger
from rag.audit.record import Entry
from rag.audit.sr import structured_report
from rag.corpus.own import REASON
from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.types import SEEN, ImageCitation, Sentence


@pytest.fixture
def entry(ledger: Ledger) -> Entry:
    answer = make_answer(group="patient-1a2b")
    ledger.extend([Given(answer, WORKING)])
    return ledger[answer.audit_id]


@pytest.fixture
def refused(ledger: Ledger) -> Entry:
    answer = make_answer().model_copy(
        update={"decision": "abstained", "verdict": None, "sentences": (), "citations": (), "reason": "nothing says so"}
    )
    ledger.extend([Given(answer, WORKING)])
    return ledger[answer.audit_id]


def resources(text: str) -> dict[str, Any]:
    Bundle.model_validate_json(text)
    return {e["resource"]["resourceType"]: e["resource"] for e in json.loads(text)["entry"]}


def test_fhir_is_valid_preliminary_and_names_the_audit(entry: Entry) -> None:
    found = resources(fhir_bundle(entry, "<p>page</p>"))
    report, provenance = found["DiagnosticReport"], found["Provenance"]
    assert report["status"] == "preliminary"
    assert report["identifier"][0]["value"] == entry.audit_id
    assert QUOTE in report["conclusion"] and "not a medical device" in report["conclusion"]
    assert report["subject"]["identifier"]["value"] == "patient-1a2b"
    assert [c["resourceType"] for c in report["contained"]] == ["DocumentReference"]
    assert provenance["target"][0]["reference"] == f"DiagnosticReport/{entry.audit_id}"
    assert [e["what"]["identifier"]["value"] for e in provenance["entity"]] == [entry.sha256, "d"]


def test_a_refusal_is_a_cancelled_report_with_its_reason(refused: Entry) -> None:
    report = resources(fhir_bundle(refused))["DiagnosticReport"]
    assert report["status"] == "cancelled"
    assert report["conclusion"].startswith("Not answered: nothing says so")
    sr = pydicom.dcmread(BytesIO(structured_report(refused)))
    assert sr.CompletionFlag == "PARTIAL"
    assert "nothing says so" in str(sr)


def test_a_structured_report_is_dicom_unverified_and_quotes_its_evidence(entry: Entry) -> None:
    sr = pydicom.dcmread(BytesIO(structured_report(entry)))
    assert (sr.VerificationFlag, sr.PreliminaryFlag, sr.Modality) == ("UNVERIFIED", "PRELIMINARY", "SR")
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    findings = [i for i in sr.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert [QUOTE in i.TextValue for i in findings] == [True]
    (quote,) = findings[0].ContentSequence
    assert (quote.RelationshipType, QUOTE in quote.TextValue) == ("INFERRED FROM", True)
    assert entry.audit_id in [i.get("TextValue") for i in sr.ContentSequence]
    assert sr.SOPInstanceUID == pydicom.dcmread(BytesIO(structured_report(entry))).SOPInstanceUID, (
        "told twice, one object"
    )


def test_what_was_only_seen_in_the_image_is_said_to_be_so(ledger: Ledger) -> None:
    cited = ImageCitation(sentence=0, sha256="1f", seen_by="a model")
    seen = {"sentences": (Sentence(text="Yes.", seen_by="a model"),), "citations": (), "image_citations": (cited,)}
    answer = make_answer().model_copy(update={**seen, "answer": "Yes. [image]"})
    ledger.extend([Given(answer, WORKING)])
    entry = ledger[answer.audit_id]
    assert f"[image]: {SEEN}." in resources(fhir_bundle(entry))["DiagnosticReport"]["conclusion"]
    sr = pydicom.dcmread(BytesIO(structured_report(entry)))
    (finding,) = [i for i in sr.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert finding.ContentSequence[0].TextValue == f"{SEEN} (a model; SHA-256 1f)"


def test_an_answer_that_was_written_out_is_no_evidence(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(fhir_bundle(entry))
    (tmp_path / "answer.dcm").write_bytes(structured_report(entry))
    read = list(read_source(tmp_path))
    aside = [one.reason for one in read if isinstance(one, Quarantined) and not one.empty]
    assert len(aside) == len(read) == 3, read
    assert set(aside) == {REASON}
