"""DICOM over HTTP: frames as they are stored, of files that are sent and of recorded answers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (pip install clincite[dicom])")

from .conftest import Served, running

FRAMES = "application/vnd.clincite.frames"


def head(content: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", content)
    assert (4 + length) % 8 == 0, "a browser can look at the pixels as 16-bit numbers"
    told: dict[str, Any] = json.loads(content[4 : 4 + length])
    assert len(content) == 4 + length + len(told["meanings"]) * told["rows"] * told["columns"] * 2
    return told


def test_a_dicom_file_that_is_sent_comes_back_as_frames(served: Served, data: Path, temporary: Path) -> None:
    content = (data / "dicom" / "dcmqi" / "ct-3slice_01.dcm").read_bytes()
    answer = served.client.post("/v1/frames", files={"file": ("Mrs Doe.dcm", content)})
    assert answer.headers["content-type"] == FRAMES
    told = head(answer.content)
    assert (told["rows"], told["stored"], told["unit"], told["spacing"]) == (512, "int16", "HU", [0.810547, 0.810547])
    assert not {"patient", "name", "study"} & set(told)
    assert list(temporary.iterdir()) == [], "nothing is kept"


def test_what_cannot_be_decoded_is_refused_in_one_sentence(served: Served, data: Path, refused: Any) -> None:
    def send(content: bytes, **more: Any) -> Any:
        return served.client.post("/v1/frames", files={"file": content, **more})

    refused(send(b"GIF89a"), 422)
    refused(send(bytes(128) + b"DICM"), 422)
    refused(send((data / "dicom" / "dcmqi" / "sr.dcm").read_bytes()), 422)
    refused(send(b"x", other=b"y"), 413)
    refused(served.client.post("/v1/frames", files={"image": b"x"}), 422)
    refused(served.client.post("/v1/frames", json={}), 415)
    slice_ = (data / "dicom" / "dcmqi" / "ct-3slice_01.dcm").read_bytes()
    refused(served.client.post("/v1/frames?first=1", files={"file": slice_}), 422)


def test_more_pixels_than_a_question_may_bring_are_refused(copied: Path, data: Path, refused: Any) -> None:
    from pydicom import dcmread

    large = dcmread(data / "dicom" / "dcmqi" / "ct-3slice_01.dcm")
    large.Rows = large.Columns = 1024
    large.PixelData = bytes(2 * 1024 * 1024)
    large.save_as(copied.parent / "large.dcm")
    with running(copied, max_image_megapixels=1) as one:
        refused(one.client.post("/v1/frames", files={"file": (copied.parent / "large.dcm").read_bytes()}), 413)


def test_the_pixels_of_a_recorded_answer(served: Served, data: Path, refused: Any) -> None:
    content = (data / "dicom" / "dcmqi" / "ct-3slice_01.dcm").read_bytes()
    files = {"image": ("slice.dcm", content, "application/dicom")}
    asked = served.client.post("/v1/answers", data={"question": "What does this show?"}, files=files).json()
    path = f"/v1/answers/{asked['audit_id']}"
    own = served.client.get(f"{path}/pixels")
    assert own.headers["content-type"] == FRAMES
    assert head(own.content)["columns"] == 512
    shown = [e for e in asked["evidence"] if e["image"]]
    found = served.client.get(f"{path}/evidence/{shown[0]['number']}/pixels")
    assert found.headers["content-type"] in (FRAMES, "image/jpeg")
    refused(served.client.get(f"{path}/evidence/99/pixels"), 404)
    refused(served.client.get("/v1/answers/a-20260101-22222222/pixels"), 404)
