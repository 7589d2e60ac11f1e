"""A recorded answer as FHIR R4B: a DiagnosticReport, and a Provenance that names the audit id.

``fhir.resources`` builds and validates both. The report is *preliminary*: nobody has signed it; a refusal is a report
that was *cancelled*. It carries a tag of ours, by which an ingest knows it: an answer is never evidence for answers.
"""

from __future__ import annotations

import base64
from typing import Any

from rag.audit.record import Entry
from rag.corpus.own import FHIR_TAG, MAKER
from rag.errors import MissingDependencyError
from rag.types import SEEN, Answer, Evidence

NOTICE = "Written by research software, not a medical device; not reviewed by a clinician."
_AUDIT = "urn:clincite:audit-id"


def fhir_bundle(entry: Entry, page: str = "") -> str:
    """A collection of DiagnosticReport and Provenance, as JSON text.

    >>> json.loads(fhir_bundle(entry))["entry"][0]["resource"]["status"]                       # doctest: +SKIP
    'preliminary'

    The subject is the patient as the evidence names them, a pseudonym where the corpus had an identifier; nobody where
    the evidence is of several patients or of the literature.

    Args:
        entry: a recorded answer whose texts were not redacted.
        page: its HTML report, attached to it.

    Raises:
        MissingDependencyError: ``fhir.resources`` is not installed.
    """
    try:
        from fhir.resources.R4B.bundle import Bundle
        from fhir.resources.R4B.diagnosticreport import DiagnosticReport
        from fhir.resources.R4B.provenance import Provenance
    except ImportError as error:
        raise MissingDependencyError('fhir.resources is not installed: pip install "clincite[interchange]"') from error
    answer, made_by = entry.answer, entry.working.fingerprints
    shared = {"id": entry.audit_id, "meta": {"tag": [FHIR_TAG]}}
    report: dict[str, Any] = {
        **shared,
        "identifier": [{"system": _AUDIT, "value": entry.audit_id}],
        "status": "preliminary" if answer.decision == "answered" else "cancelled",
        "code": {"text": answer.question.text},
        "issued": entry.created,
        "conclusion": _conclusion(answer),
        "contained": [_document(e) for e in answer.evidence],
        "extension": [
            {"url": "urn:clincite:evidence", "valueReference": {"reference": f"#evidence-{e.number}"}}
            for e in answer.evidence
        ],
    }
    if patient := patient_of(answer):
        report["subject"] = {"identifier": {"system": "urn:clincite:group", "value": patient}}
    if page:
        data = base64.b64encode(page.encode()).decode()
        report["presentedForm"] = [{"contentType": "text/html", "data": data, "title": "Answer, evidence and checks"}]
    software = [{"display": f"{MAKER}, {part} {made_by[part]}"} for part in sorted(made_by) if part == "generator"]
    provenance = {
        **shared,
        "target": [{"reference": f"DiagnosticReport/{entry.audit_id}"}],
        "recorded": entry.created,
        "agent": [{"type": {"text": "assembler"}, "who": who} for who in software or [{"display": MAKER}]],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": "urn:clincite:ledger-sha256", "value": entry.sha256}}},
            *(
                {
                    "role": "source",
                    "what": {"identifier": {"value": e.document_id}, "display": e.title or e.document_id},
                }
                for e in answer.evidence
            ),
        ],
    }
    made = [DiagnosticReport(**_filled(report)), Provenance(**_filled(provenance))]
    urls = (f"urn:clincite:{kind}:{entry.audit_id}" for kind in ("report", "provenance"))
    bundle = Bundle(
        type="collection", entry=[{"fullUrl": url, "resource": r} for url, r in zip(urls, made, strict=True)]
    )
    return str(bundle.model_dump_json(indent=1)) + "\n"


def patient_of(answer: Answer) -> str:
    """The patient that all clinical evidence is of; empty where it is of none or of several."""
    groups = {e.group_id for e in answer.evidence if e.kind != "literature" and e.channel == "study"}
    return groups.pop() if len(groups) == 1 else ""


def _conclusion(answer: Answer) -> str:
    said = answer.answer if answer.decision == "answered" else f"Not answered: {answer.reason}"
    if answer.image_citations:
        said += f" [image]: {SEEN}."
    certificate = answer.certificate
    tested = certificate.why if certificate.status == "valid" else f"no certificate: {certificate.why}"
    return f"{said}\n\nConfidence {answer.confidence:.2f}; {tested}.\n{NOTICE}"


def _document(e: Evidence) -> dict[str, Any]:
    """Evidence as it was read, under its number."""
    return {
        "resourceType": "DocumentReference",
        "id": f"evidence-{e.number}",
        "status": "current",
        "description": f"[{e.number}] {e.title or e.document_id} ({e.source}, {e.licence})",
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": base64.b64encode(e.text.encode()).decode(),
                    "title": e.document_id,
                }
            }
        ],
    }


def _filled(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if value}
