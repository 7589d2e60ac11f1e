"""Text burnt into pictures: found, flagged or set aside at ingest, and blackened in copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from rag.building.copying import CopyReport, copy_without_identities
from rag.building.reading import SourceReading
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.corpus.images import load_image
from rag.corpus.scrub import Scrubber
from rag.errors import MissingDependencyError

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("rapidocr")
pytest.importorskip("dicomanonymizer")
from rag.corpus.ocr import burnt_in, recognise  # noqa: E402

from .test_dicom_pixels import written  # noqa: E402


def picture(*lines: str) -> np.ndarray:
    """A grey picture of 400 x 300 pixels with white lines of text in its corner."""
    image = Image.new("L", (400, 300), 60)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((8, 8 + 30 * number), line, fill=255, font=ImageFont.load_default(20))
    return np.asarray(image)


def ingested(folder: Path, scrubber: Scrubber) -> tuple[list[str], IngestReport]:
    report = IngestReport("")
    reading = SourceReading(Source(folder), "", {}, report)
    read = reading.batches(lambda ids: {}, lambda n: None, images=True, scrubber=scrubber)
    return [d.id for batch in read for d in batch], report


def test_an_ingest_flags_burnt_in_text_by_what_it_says(tmp_path: Path) -> None:
    Image.fromarray(picture("DOB: 02.01.1950", "SMITH JANE")).save(tmp_path / "named.png")
    Image.fromarray(picture("AP", "L")).save(tmp_path / "marked.png")
    ids, report = ingested(tmp_path, Scrubber("warn", pixels=True))
    assert ids == ["marked:image", "named:image"]
    assert {(f.document, f.field, f.kind) for f in report.identifiers} == {
        ("named:image", "pixels", "birth"), ("named:image", "pixels", "text"),
    }  # fmt: skip
    ids, report = ingested(tmp_path, Scrubber("require", pixels=True))
    assert ids == ["marked:image"] and "in pixels" in report.quarantined[0].reason
    assert ingested(tmp_path, Scrubber("require"))[0] == ["marked:image", "named:image"], "not looked for unless asked"


def test_copies_are_blackened_where_text_was_and_nowhere_else(tmp_path: Path) -> None:
    pixels = picture("SMITH JANE 1950").astype(np.uint16) * 16
    (tmp_path / "in").mkdir()
    written(tmp_path / "in/us.dcm", np.stack([pixels, pixels]), PatientName="SMITH^JANE", SeriesDate="20200101")
    Image.fromarray(picture("SMITH JANE")).save(tmp_path / "in/x.png")
    report = copy_without_identities(
        tmp_path / "in", tmp_path / "out", "a key of the tests", Scrubber("mask"), pixels=True
    )
    assert (report.images, report.blackened) == (2, 2)
    for path in (tmp_path / "out").iterdir():
        assert burnt_in(load_image(path)) == []
    copy = pydicom.dcmread(next((tmp_path / "out").glob("*.dcm")))
    assert copy.BurnedInAnnotation == "NO"
    assert [c.CodeValue for c in copy.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert (copy.pixel_array[:, 60:] == pixels[60:]).all()


def test_the_words_of_a_real_picture_are_found_and_gone(data: Path, tmp_path: Path) -> None:
    """Presidio's sample with a made-up patient in its pixels, and its truth; the same picture without them has none."""
    folder = data / "dicom" / "presidio"
    truth: list[dict[str, Any]] = json.loads((folder / "ground_truth.json").read_text("utf-8"))["2_ORIGINAL.dcm"]
    seen = recognise(load_image(folder / "2_ORIGINAL.dcm"))
    text = " ".join(one.text for one in seen)
    assert all(word["label"] in text for word in truth)
    for word in truth:  # its boxes count from a frame of 25 pixels
        x, y = word["left"] - 25 + word["width"] / 2, word["top"] - 25 + word["height"] / 2
        assert any(one.box[0] - 2 <= x <= one.box[2] + 2 and one.box[1] - 2 <= y <= one.box[3] + 2 for one in seen)
    assert burnt_in(load_image(folder / "RGB_ORIGINAL.dcm")) == []
    report: CopyReport = copy_without_identities(
        folder / "2_ORIGINAL.dcm", tmp_path / "out", "a key of the tests", Scrubber("mask"), pixels=True
    )
    assert report.blackened >= 2
    assert burnt_in(load_image(next((tmp_path / "out").iterdir()))) == []


def test_without_ocr_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.corpus.ocr.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"clincite\[ocr\]"):
        Scrubber("warn", pixels=True)
