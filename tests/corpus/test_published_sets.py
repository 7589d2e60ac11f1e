"""Layouts of published collections, by small files of our own in their form."""

from __future__ import annotations

import csv
import gzip
import json
from itertools import islice
from pathlib import Path

from PIL import Image

from rag.corpus.packaged import packaged_file
from rag.corpus.source import read_source, survey
from rag.types import Document

from .conftest import split


def picture(path: Path, grey: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), grey).save(path)
    return path


def test_rocov2(tmp_path: Path) -> None:
    names = ["ROCOv2_2023_train_000001", "ROCOv2_2023_train_000002"]
    (tmp_path / "train_captions.csv").write_text(
        f'ID,Caption\n{names[0]},"CT of a nodule, left."\n{names[1]},MR of the knee.\n'
    )
    (tmp_path / "train_concepts.csv").write_text(f"ID,CUIs\n{names[0]},C0040405;C0028259\n")
    picture(tmp_path / f"train/{names[0]}.jpg")
    made = survey(tmp_path)
    documents = [record for *_, record in made.records() if isinstance(record, Document)]
    assert [(d.id, d.kind) for d in documents] == [
        (f"{names[0]}:image", "image"),
        (names[0], "report"),
        (names[1], "report"),
    ]
    assert documents[1].text == "CT of a nodule, left." and documents[1].case_id == documents[0].case_id
    assert documents[1].metadata["cuis"] == ["C0040405", "C0028259"]
    assert documents[2].metadata["absent_image"] == names[1]
    assert (made.readers, made.foreign) == ({"roco": 1}, [])


def test_roco_in_both_of_its_forms(tmp_path: Path) -> None:
    folder = tmp_path / "radiology"
    picture(folder / "images/PMC4083729_AMHSR-4-14-g002.jpg")
    (folder / "traindata.csv").write_text(
        "id,name,caption\nROCO_00002,PMC4083729_AMHSR-4-14-g002.jpg,A radiograph of the chest.\n"
        "ROCO_00003,PMC4083729_AMHSR-4-14-g003.jpg,\nROCO_00004,../../etc/x.jpg,Another.\n"
    )
    documents, quarantined = split(read_source(folder / "traindata.csv"))
    assert [d.id for d in documents] == ["ROCO_00002:image", "ROCO_00002", "ROCO_00004"]
    assert {d.group_id for d in documents[:2]} == {"PMC4083729"}
    assert [q.reason for q in quarantined] == ["It has no caption."]
    (tmp_path / "captions.txt").write_text("ROCO_00005\t A scan of the head.\nROCO_00006\t Another.\n")
    assert [d.text for d in split(read_source(tmp_path / "captions.txt"))[0]] == ["A scan of the head.", "Another."]


def test_medpix(tmp_path: Path) -> None:
    cases = [
        {
            "U_id": "MPX1009", "TAC": ["MPX1009_synpic46283"], "MRI": [],
            "Case": {"Title": "Bladder diverticulum", "History": "Blood in the urine.", "Exam": "N/A",
                     "Findings": "A pouch."},
            "Topic": {"Title": "Bladder diverticulum", "Disease Discussion": "Mostly acquired.", "Category": "Urology"},
        },
        "no object",
    ]  # fmt: skip
    described = [
        {
            "Type": "CT", "U_id": "MPX1009", "image": "MPX1009_synpic46283", "Location": "Genitourinary",
            "Description": {"Caption": "The prostate is enlarged.", "Plane": "Coronal", "Age": "73", "Sex": "male"},
        }
    ]  # fmt: skip
    (tmp_path / "Case_topic.json").write_text(json.dumps(cases))
    (tmp_path / "Descriptions.json").write_text(json.dumps(described))
    picture(tmp_path / "images/MPX1009_synpic46283.png")
    documents, quarantined = split(read_source(tmp_path))
    by_id = {d.id: d for d in documents}
    assert set(by_id) == {"MPX1009", "MPX1009#topic", "MPX1009_synpic46283:image", "MPX1009_synpic46283"}
    assert by_id["MPX1009"].text == "HISTORY: Blood in the urine.\nFINDINGS: A pouch."
    assert (by_id["MPX1009#topic"].kind, by_id["MPX1009#topic"].title) == ("literature", "Bladder diverticulum")
    assert by_id["MPX1009_synpic46283"].group_id == by_id["MPX1009"].group_id == "MPX1009", "one patient"
    assert by_id["MPX1009_synpic46283"].metadata["modality"] == "CT"
    assert "73" not in json.dumps(by_id["MPX1009_synpic46283"].metadata)
    assert [q.record for q in quarantined] == ["Case_topic.json, entry 2"]


def padchest(path: Path) -> Path:
    columns = [
        "",
        "ImageID",
        "ImageDir",
        "StudyID",
        "PatientID",
        "PatientBirth",
        "Projection",
        "Report",
        "MethodLabel",
        "Labels",
        "labelCUIS",
    ]
    rows = [
        ["0", "s1_a.png", "0", "s1", "p1", "1930.0", "PA", " cardiomegali .", "RNN", "['cardiomegaly']", "['C1']"],
        ["1", "s1_b.png", "0", "s1", "p1", "1930.0", "L", " cardiomegali .", "RNN", "['cardiomegaly']", "['C1']"],
        ["2", "s2_a.png", "0", "s2", "p1", "1930.0", "PA", "", "RNN_model", "[]", "[]"],
    ]  # fmt: skip
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_padchest_reads_a_report_once(tmp_path: Path) -> None:
    picture(tmp_path / "0/s1_b.png")
    documents, quarantined = split(read_source(padchest(tmp_path / "PADCHEST.csv.gz")))
    assert [(d.id, d.case_id, d.group_id) for d in documents] == [("s1", "s1", "p1"), ("s1_b:image", "s1", "p1")]
    assert documents[0].text == "cardiomegali ." and documents[0].metadata["labels"] == ["cardiomegaly"]
    assert "1930" not in str(documents)
    assert [(q.record, q.empty) for q in quarantined] == [("s2", True)]


def test_the_real_table_of_padchest_is_recognised() -> None:
    path = packaged_file("torchxrayvision", "data", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz")
    made = survey(path)
    assert made.readers == {"padchest": 1}
    first = [record for *_, record in islice(made.records(), 300)]
    assert len({r.id for r in first if isinstance(r, Document)}) > 200
    assert {r.metadata["language"][0] for r in first if isinstance(r, Document)} == {"es"}
