"""Layouts of published collections, by small files of our own in their form."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
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


REPORTS = [
    {"id": "CXR7_IM-1", "report": "The lungs are clear.", "image_path": ["CXR7_IM-1/0.png", "CXR7_IM-1/1.png"],
     "split": "train"},
    {"id": "a1b2", "study_id": 5, "subject_id": 12390084, "report": "A nodule.", "image_path": ["p12/x.jpg"],
     "split": "val"},
    {"id": "data_07001", "report": "Glaucoma.", "image_path": "slo_07001.jpg", "use": "validation", "age": 69.3},
    {"id": "bad", "report": "Out.", "image_path": ["../../etc/x.png", "CXR8_IM-1/0.png"]},
    {"id": "none", "report": "", "image_path": []},
]  # fmt: skip


def test_reports_with_image_paths_as_mmed_rag_and_rule_publish_them(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("images/CXR7_IM-1/0.png")
    picture("images/unlisted.png")
    (tmp_path / "iuxray_train.json").write_text(json.dumps(REPORTS, indent=4))
    documents, quarantined = split(read_source(tmp_path))
    assert [(d.id, d.kind, d.case_id, d.group_id) for d in documents] == [
        ("CXR7_IM-1", "report", "CXR7_IM-1", "CXR7"),
        ("CXR7_IM-1/0:image", "image", "CXR7_IM-1", "CXR7"),
        ("a1b2", "report", "a1b2", "p12390084"),
        ("data_07001", "report", "data_07001", "data_07001"),
        ("bad", "report", "bad", "CXR8"),
    ]
    assert documents[0].metadata["absent_images"] == ["CXR7_IM-1/1.png"]
    assert documents[3].metadata["age"] == 69.3
    assert [(q.record, q.empty) for q in quarantined] == [("none", True)]
    assert [d.id for d in split(read_source(tmp_path, split="val"))[0]] == ["a1b2"]


def test_one_list_per_split_as_r2gen_has_it(tmp_path: Path) -> None:
    parts = {"train": REPORTS[:1], "val": REPORTS[1:2], "test": []}
    (tmp_path / "annotation.json").write_text(json.dumps(parts))
    assert [d.id for d in split(read_source(tmp_path))[0]] == ["CXR7_IM-1", "a1b2"]
    (tmp_path / "annotation.json").write_text(json.dumps(parts)[:-60])
    documents, quarantined = split(read_source(tmp_path))
    assert [d.id for d in documents] == ["CXR7_IM-1"], "what came before the damage is kept"
    assert "not valid JSON" in quarantined[0].reason


def test_questions_that_come_with_the_report_become_that_report(tmp_path: Path) -> None:
    rows = [
        {"question_id": n, "image": "p12/p12390084/s5/x.jpg", "question": f"Is it {what}?\n<image>", "answer": "Yes.",
         "report": "impression: Clear."}
        for n, what in enumerate(("clear", "well"))
    ]  # fmt: skip
    (tmp_path / "mimic_test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ((document,), _) = split(read_source(tmp_path))
    assert (document.id, document.text, document.group_id) == ("p12/p12390084/s5/x", "impression: Clear.", "p12390084")


def test_slake_as_it_is_unpacked(tmp_path: Path, picture: Callable[..., Path]) -> None:
    """A list of questions, and beside each image its mask and its own list, which say nothing new."""
    rows = [
        {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "Which organ?", "answer": "Liver", "q_lang": "en"},
        {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "哪个器官?", "answer": "肝", "q_lang": "zh"},
    ]
    picture("imgs/xmlab1/source.jpg")
    picture("imgs/xmlab1/mask.png")
    (tmp_path / "train.json").write_text(json.dumps(rows, ensure_ascii=False))
    (tmp_path / "imgs" / "xmlab1" / "question.json").write_text(json.dumps(rows))
    documents, quarantined = split(read_source(tmp_path))
    assert quarantined == []
    assert [(d.id, d.kind) for d in documents] == [("xmlab1/source:image", "image"), ("xmlab1/source", "report")]
    assert documents[1].text == "Which organ? Liver\n哪个器官? 肝" and documents[1].metadata["language"] == ["en", "zh"]


MAILBOX = b"""From somebody@example.org Fri Nov 20 10:00:00 2026
From: A <a@example.org>
To: b@example.org
Subject: Drains
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <one@example.org>

Clamp never.
>From now on, remove it on day two.

From line without a year is text.

From other@example.org Sat Nov 21 10:00:00 2026
From: B <b@example.org>
To: a@example.org
Subject: Re: Drains
Message-ID: <two@example.org>

Agreed.
> Clamp never.
"""


def test_a_mailbox_is_its_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ward.mbox").write_bytes(MAILBOX)
    documents, quarantined = split(read_source(tmp_path))
    assert quarantined == []
    assert [(d.title, d.text) for d in documents] == [
        ("Drains", "Clamp never.\nFrom now on, remove it on day two.\n\nFrom line without a year is text."),
        ("Re: Drains", "Agreed."),
    ]
    first, second = (d.id for d in documents)
    assert first.startswith("ward#") and first != second
    (tmp_path / "ward.mbox").write_bytes(MAILBOX[MAILBOX.index(b"From other") :])
    assert [d.id for d in split(read_source(tmp_path))[0]] == [second], "an id stays when another message goes"
    (tmp_path / "ward.mbox").write_bytes(MAILBOX.replace(b"Clamp never.", b"x" * 2000, 1))
    monkeypatch.setattr("rag.corpus.readers.mbox.MAX_LINE_BYTES", 1000)
    documents, quarantined = split(read_source(tmp_path))
    assert [d.title for d in documents] == ["Re: Drains"] and "message 1" in quarantined[0].record
