"""What is quoted of a PDF file can be drawn: the answer says where it is printed, and the page comes as a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pdfs import pdf_of
from PIL import Image

import rag
from rag.server.access.keys import KeyFile

from .conftest import Served, running

pytest.importorskip("pypdfium2")
PAGES = [
    ["Guideline for drains"],
    ["The drain stays in place.", "A chest drain is removed when the lung has expanded."],
]
QUESTION = {"question": "When is a chest drain removed?"}


def uploaded(one: Served, path: Path, **fields: str) -> None:
    with path.open("rb") as stream:
        job = one.client.post("/v1/indexes/small/ingest", data=fields, files={"file": ("guide.pdf", stream)}).json()
    with one.client.stream("GET", f"/v1/jobs/{job['id']}/events") as following:
        assert "done" in following.read().decode()


def address(answer: dict[str, Any]) -> str:
    """Of the page of the first evidence that names one."""
    e = next(e for e in answer["evidence"] if e["document_id"] == "guide#p2")
    return f"/v1/answers/{answer['audit_id']}/evidence/{e['number']}/pages/2"


def ink(picture: Image.Image, box: dict[str, Any]) -> tuple[float, float]:
    """The share of dark pixels inside a box, and of all dark pixels of the page those inside."""
    dark = np.asarray(picture.convert("L")) < 128
    height, width = dark.shape
    across = slice(int(box["x0"] * width), int(np.ceil(box["x1"] * width)))
    down = slice(int(box["y0"] * height), int(np.ceil(box["y1"] * height)))
    inside = dark[down, across]
    return float(inside.mean()), float(inside.sum() / dark.sum())


def test_a_quote_is_where_its_box_says(copied: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    with running(copied) as one:
        uploaded(one, pdf_of(tmp_path / "guide.pdf", PAGES))
        answer = one.client.post("/v1/answers", json=QUESTION).json()
        citation = next(c for c in answer["citations"] if c["document_id"] == "guide#p2")
        assert citation["quote"] == PAGES[1][1]
        (box,) = citation["boxes"]
        assert (box["page"], box["start"] <= citation["start"] < citation["end"] <= box["end"]) == (2, True)

        page = one.client.get(address(answer), params={"edge": 800})
        assert page.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(page.content)) as picture:
            assert picture.size == (600, 800)
            inside, share = ink(picture, box)
        assert inside > 0.05 and 0.5 < share < 0.9, "the box holds the longer of two lines, and not the other"

        refused(one.client.get(address(answer).replace("pages/2", "pages/1")), 404, "quotes no such page")
        refused(one.client.get(address(answer).replace("evidence/", "evidence/9")), 404)
        refused(one.client.get(address(answer), params={"edge": 100_000}), 422)
        hits = one.client.post("/v1/search", json=QUESTION).json()["hits"]
        assert hits and not [h for h in hits if "original" in h["document"]["metadata"]], "no paths of the server"
        assert str(copied) not in json.dumps(answer)

        (kept,) = copied.rglob("uploads/**/guide.pdf")
        kept.write_bytes(pdf_of(tmp_path / "other.pdf", [["Another."]]).read_bytes())
        refused(one.client.get(address(answer)), 410, "no longer what was read")
    with running(copied, show_pages=False) as one:
        refused(one.client.get(address(answer)), 404)


def test_no_page_is_shown_whose_text_was_masked(copied: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    with running(copied) as one:
        uploaded(one, pdf_of(tmp_path / "guide.pdf", PAGES), deidentify="mask")
        answer = one.client.post("/v1/answers", json=QUESTION).json()
        refused(one.client.get(address(answer)), 410)


def test_pages_are_their_callers_own(copied: Path, tmp_path: Path) -> None:
    """As images are: another's answer is not there."""
    index = rag.Index.open(copied / "small")
    index.ingest(pdf_of(tmp_path / "guide.pdf", PAGES))
    answer = rag.Engine.open(index).ask(QUESTION["question"]).model_dump(mode="json")
    keys = KeyFile(copied / "keys.json")
    stranger, auditor = keys.add("stranger", ["ask"])[0], keys.add("auditor", ["ask", "audit"])[0]
    with running(copied, keys=str(keys.path)) as one:
        for key, status in ((stranger, 404), (auditor, 200)):
            got = one.client.get(address(answer), headers={"Authorization": f"Bearer {key}"})
            assert got.status_code == status
        assert one.client.get(address(answer)).status_code == 401
