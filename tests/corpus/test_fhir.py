"""FHIR as servers give it: whose it is, what became of it, in which shape it comes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pdfs import pdf_of

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.types import Document

from .conftest import split

Json = dict[str, Any]


def resource(kind: str, identity: str, **fields: Any) -> Json:
    return {"resourceType": kind, "id": identity, "status": "final"} | fields


def observation(identity: str, name: str, **fields: Any) -> Json:
    return resource("Observation", identity, code={"text": name}, **fields)


def report(identity: str, patient: str = "p", **fields: Any) -> Json:
    return resource("DiagnosticReport", identity, code={"text": "Labs"}, subject=to(f"Patient/{patient}")) | fields


def to(reference: str) -> Json:
    return {"reference": reference}


def millimoles(value: float) -> Json:
    return {"value": value, "unit": "mmol/L"}


def read(tmp_path: Path, *resources: Json, **bundle: Any) -> tuple[dict[str, Document], dict[str, Quarantined]]:
    """Documents and what was set aside, by name, of a bundle of resources, each at its server's address."""
    entries = [{"fullUrl": f"http://h/fhir/{one['resourceType']}/{one['id']}", "resource": one} for one in resources]
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries} | bundle))
    documents, quarantined = split(read_source(path, salt="s"))
    return {d.id: d for d in documents}, {q.record: q for q in quarantined}


class TestWhose:
    def test_contained_resources_of_one_name_stay_with_their_owners(self, tmp_path: Path) -> None:
        def labs(identity: str, number: str, value: float) -> Json:
            patient = {"resourceType": "Patient", "id": "me", "identifier": [{"value": number}]}
            inside = [patient, observation("o", "Potassium", valueQuantity=millimoles(value))]
            return report(identity, subject=to("#me"), result=[to("#o")], contained=inside)

        told, _ = read(tmp_path, labs("a", "100", 3.1), labs("b", "200", 6.9))
        assert told["DiagnosticReport/a"].text == "Labs\nPotassium: 3.1 mmol/L"
        assert told["DiagnosticReport/b"].text == "Labs\nPotassium: 6.9 mmol/L"
        assert told["DiagnosticReport/a"].group_id != told["DiagnosticReport/b"].group_id

    @pytest.mark.parametrize("name", ["Patient/p", "http://h/fhir/Patient/p", "Patient/p/_history/3"])
    def test_a_patient_is_one_however_it_is_referred_to(self, tmp_path: Path, name: str) -> None:
        sodium = observation("o", "Sodium", valueQuantity=millimoles(140), subject=to(name))
        told, _ = read(tmp_path, sodium, report("r", conclusion="Normal."))
        assert told["Observation/o"].group_id == told["DiagnosticReport/r"].group_id

    def test_a_report_that_lists_another_patients_value_is_set_aside(self, tmp_path: Path) -> None:
        glucose = observation("o", "Glucose", valueQuantity=millimoles(30), subject=to("Patient/q"))
        told, aside = read(tmp_path, glucose, report("r", result=[to("Observation/o")], conclusion="See values."))
        assert told.keys() == {"Observation/o"}
        assert "another patient's" in aside["DiagnosticReport/r"].reason

    def test_a_relative_reference_stays_on_its_server(self, tmp_path: Path) -> None:
        """Two servers number alike; each report brings its own server's value."""
        entries = []
        for server, value in (("http://a/fhir", 3.1), ("http://b/fhir", 6.9)):
            one = observation("1", "Potassium", valueQuantity=millimoles(value))
            listing = report(server[7], result=[to("Observation/1")])
            entries += [{"fullUrl": f"{server}/Observation/1", "resource": one}]
            entries += [{"fullUrl": f"{server}/DiagnosticReport/{server[7]}", "resource": listing}]
        told, _ = read(tmp_path, entry=entries)
        assert told["DiagnosticReport/a"].text.endswith("3.1 mmol/L")
        assert told["DiagnosticReport/b"].text.endswith("6.9 mmol/L")


class TestWhatBecameOfIt:
    def test_a_result_entered_in_error_is_not_told_by_its_report(self, tmp_path: Path) -> None:
        bad = observation("bad", "Troponin", status="entered-in-error", valueQuantity={"value": 999, "unit": "ng/L"})
        good = observation("good", "CRP", valueQuantity={"value": 5, "unit": "mg/L"})
        told, aside = read(tmp_path, bad, good, report("r", result=[to("Observation/bad"), to("Observation/good")]))
        assert told["DiagnosticReport/r"].text == "Labs\nCRP: 5 mg/L"
        assert "entered in error" in aside["Observation/bad"].reason

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"status": "cancelled"}, "cancelled"),
            ({"status": "superseded"}, "newer document"),
            ({"status": "current", "docStatus": "entered-in-error"}, "entered in error"),
            ({"status": "entered-in-error"}, "entered in error"),
        ],
    )
    def test_what_was_taken_back_is_set_aside(self, tmp_path: Path, fields: Json, word: str) -> None:
        told, aside = read(tmp_path, report("r", conclusion="Mass.") | fields)
        assert not told and word in aside["DiagnosticReport/r"].reason

    def test_what_is_not_final_says_so_in_its_title(self, tmp_path: Path) -> None:
        told, _ = read(tmp_path, report("r", status="preliminary", conclusion="No mass."))
        assert told["DiagnosticReport/r"].title == "Labs (preliminary)"
        assert told["DiagnosticReport/r"].metadata["status"] == ["preliminary"]

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"verificationStatus": "refuted"}, "Embolism: absent (verification: refuted)"),  # of STU3
            ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, "History of Embolism (clinical status: resolved)"),
            (
                {"verificationStatus": {"coding": [{"code": "provisional"}]}},
                "Possible Embolism (verification: provisional)",
            ),
        ],
    )
    def test_a_condition_says_whether_it_is_there(self, tmp_path: Path, fields: Json, text: str) -> None:
        told, _ = read(tmp_path, resource("Condition", "c", code={"text": "Embolism"}) | fields)
        assert told["Condition/c"].text == text

    def test_of_versions_the_newest_counts(self, tmp_path: Path) -> None:
        def version(number: str, value: float, day: str) -> Json:
            meta = {"versionId": number, "lastUpdated": f"2024-01-0{day}T00:00:00Z"}
            return observation("o", "Calcium", meta=meta, valueQuantity=millimoles(value))

        told, aside = read(tmp_path, version("2", 2.2, "2"), version("1", 9.9, "1"), type="history")
        assert told["Observation/o"].text == "Calcium: 2.2 mmol/L"
        assert "older version" in aside["Observation/o"].reason


class TestShapes:
    def test_a_bulk_export_is_read_line_by_line(self, tmp_path: Path) -> None:
        rows = [json.dumps(observation(f"o{n}", "Urea", valueQuantity=millimoles(n))) for n in range(3)]
        (tmp_path / "Observation.ndjson").write_text("\n".join([*rows, '{"resourceType":']))
        documents, quarantined = split(read_source(tmp_path))
        assert [d.text for d in documents] == ["Urea: 0 mmol/L", "Urea: 1 mmol/L", "Urea: 2 mmol/L"]
        assert [q.record for q in quarantined] == ["Observation.ndjson, line 4"]

    def test_a_list_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "export.json").write_text(json.dumps([observation("o", "Urea", valueQuantity=millimoles(4))]))
        documents, _ = split(read_source(tmp_path))
        assert [d.text for d in documents] == ["Urea: 4 mmol/L"]

    def test_xml_says_what_json_says(self, tmp_path: Path) -> None:
        (tmp_path / "bundle.xml").write_text(
            '<Bundle xmlns="http://hl7.org/fhir"><entry><resource><Observation><id value="k"/><status value="final"/>'
            '<code><coding><display value="Potassium"/></coding></code>'
            '<valueQuantity><value value="4.10"/><unit value="mmol/L"/></valueQuantity></Observation></resource>'
            "</entry>"
            '<entry><resource><Composition><id value="c"/><title value="Letter"/><section><title value="Course"/><text>'
            '<div xmlns="http://www.w3.org/1999/xhtml"><p>No <b>effusion</b>.</p></div></text></section></Composition>'
            "</resource></entry></Bundle>"
        )
        documents, _ = split(read_source(tmp_path, salt="s"))
        assert {d.id: d.text for d in documents} == {
            "Observation/k": "Potassium: 4.10 mmol/L",
            "Composition/c": "Letter\nCOURSE: No effusion.",
        }

    def test_numbers_are_as_they_are_written(self, tmp_path: Path) -> None:
        (tmp_path / "o.json").write_text(
            '{"resourceType": "Observation", "id": "o", "code": {"text": "Leukocytes"}, '
            '"valueQuantity": {"value": 7.20, "code": "10*9/L"}, "component": [{"code": {"text": "Ratio"}, '
            '"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}]}'
        )
        documents, _ = split(read_source(tmp_path))
        assert documents[0].text == "Leukocytes: 7.20 x 10^9/L\nRatio: 1:128"


class TestAttachments:
    @staticmethod
    def form(media: str, data: bytes | str) -> Json:
        raw = data if isinstance(data, bytes) else data.encode()
        return {"contentType": media, "data": base64.b64encode(raw).decode()}

    def test_letters_pages_and_prints_are_read(self, tmp_path: Path) -> None:
        pytest.importorskip("pypdfium2")
        pytest.importorskip("striprtf")
        pdf = pdf_of(tmp_path / "x.pdf", [["No fracture."]]).read_bytes()
        (tmp_path / "x.pdf").unlink()
        told, aside = read(
            tmp_path,
            report("pdf", presentedForm=[self.form("application/pdf", pdf)]),
            report("rtf", presentedForm=[self.form("application/rtf", r"{\rtf1\ansi No mass.\par 5 \'b5g.\par}")]),
            report("html", presentedForm=[self.form("text/html", "<p>10<sup>9</sup>/L</p><p>Clear.</p>")]),
        )
        assert {name: one.text for name, one in told.items()} == {
            "DiagnosticReport/pdf": "Labs\nNo fracture.",
            "DiagnosticReport/rtf": "Labs\nNo mass.\n5 µg.",
            "DiagnosticReport/html": "Labs\n10^9/L\nClear.",
        }
        assert not aside

    def test_of_forms_of_one_text_one_is_read(self, tmp_path: Path) -> None:
        forms = [self.form("text/html", "<p>No effusion.</p>"), self.form("text/plain", "No  effusion.")]
        told, _ = read(tmp_path, report("r", presentedForm=forms))
        assert told["DiagnosticReport/r"].text == "Labs\nNo  effusion."

    def test_a_report_whose_text_is_elsewhere_is_no_report_that_says_nothing(self, tmp_path: Path) -> None:
        told, aside = read(tmp_path, report("r", presentedForm=[{"url": "http://other/Binary/7"}]))
        assert not told and "not fetched" in aside["DiagnosticReport/r, attachment 1"].reason

    def test_a_binary_of_the_same_bundle_is_here(self, tmp_path: Path) -> None:
        binary = resource("Binary", "b") | self.form("text/plain", "No stone.")
        told, _ = read(tmp_path, binary, report("r", presentedForm=[{"url": "Binary/b"}]))
        assert told["DiagnosticReport/r"].text == "Labs\nNo stone."
