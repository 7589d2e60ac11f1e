"""Files from strangers: whatever is done to one, it is read, or set aside with a reason; never a crash, never a hang.

``make hostile`` mutates 10,000 files instead of a sample of a few seconds. ``RAG_MUTATIONS_KEPT=FOLDER`` keeps there
the counts by file and fate, the slowest's seconds, peak memory (of this process and of PDFium's), and what went wrong.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docx
import pytest
from pdfs import pdf_of

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import survey
from rag.errors import InputError
from rag.types import Document

from .test_clinical import PIXELS, dicom, item
from .test_literature import FORMATS, MESSAGE, slides
from .test_published_sets import MAILBOX, REPORTS, padchest
from .test_rows import as_csv, as_excel, as_parquet

MUTATIONS = int(os.environ.get("RAG_MUTATIONS", "200"))
KEPT = os.environ.get("RAG_MUTATIONS_KEPT", "")
PARTS = 4  # tests, so that several processes share the work
FATES = ("read", "partly read", "set aside", "passed over", "empty")
MAX_S = 60.0  # for one file; the slowest takes a fraction of a second on an idle machine
TOKENS = (
    b"<",
    b">",
    b'"',
    b"{",
    b"}",
    b"[",
    b"\0",
    b"\xff\xfe",
    b"\r",
    b"9" * 30,
    b"-1",
    b"endobj",
    b"/Length 9999",
    b"&a;",
)
FORMATS_TRIED = ("pubmed", "jats", "pdf", "pptx", "mail", "fhir", "dicom-report", "tables", "images", "open-i", "obo")
NOTE = "---\nid: n\ntitle: T\ndomain: general\nkind: literature\nauthor: A\nlicence: CC0\n---\nBody."
REPORT = '<eCitation><uId id="R"/><AbstractText Label="FINDINGS">Clear.</AbstractText></eCitation>'


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One good file for every reader."""
    folder = tmp_path_factory.mktemp("seeds")
    for name in ("pubmed.xml", "article.nxml", "bundle.json"):
        shutil.copy(FORMATS / name, folder / name)
    (folder / "pubmed.xml.gz").write_bytes(gzip.compress((FORMATS / "pubmed.xml").read_bytes()))
    pages = [["Guideline 7", "The pneumo-", f"thorax was {size}."] for size in ("small", "large", "gone")]
    pdf_of(folder / "guide.pdf", pages, picture=1)
    as_csv(folder / "x.csv", ",")
    (folder / "page.html").write_text("<!DOCTYPE html><html><h1>Tubes</h1><p>Clamp never.</p></html>")
    word = docx.Document()
    word.add_paragraph("Clamp never.")
    word.save(folder / "word.docx")
    slides(folder / "deck.pptx")
    padchest(folder / "PADCHEST.csv.gz")
    (folder / "train_captions.csv").write_text('ID,Caption\nROCOv2_2023_train_000001,"CT of a nodule, left."\n')
    (folder / "Case_topic.json").write_text(
        json.dumps([{"U_id": "MPX1", "Case": {"Findings": "A pouch."}, "Topic": {}}])
    )
    (folder / "letter.eml").write_bytes(MESSAGE)
    (folder / "ward.mbox").write_bytes(MAILBOX)
    (folder / "annotation.json").write_text(json.dumps(REPORTS))
    (folder / "train.json").write_text(json.dumps([{"img_name": "a.png", "question": "What?", "answer": "That."}]))
    as_excel(folder / "x.xlsx")
    as_parquet(folder / "x.parquet")
    dicom(folder / "IM0001", "p", "1.2.3", **PIXELS)
    finding = item("CONTAINER", "Findings", ContentSequence=[item("TEXT", "Finding", TextValue="A nodule.")])
    dicom(folder / "sr.dcm", "p", "1.2.3", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", ContentSequence=[finding])
    rows = [{"id": n, "text": f"Row {n}.", "group": "p"} for n in range(3)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "q.jsonl").write_text(json.dumps({"id": 1, "question": "What?", "answer": "That."}))
    (folder / "note.md").write_text(NOTE)
    (folder / "terms.obo").write_text('format-version: 1.2\n\n[Term]\nid: X:1\nname: A\ndef: "A thing." [PMID:1]\n')
    (folder / "old.xml").write_text(REPORT)
    (folder / "latin.txt").write_bytes("Épanchement pleural à gauche.".encode("cp1252"))
    return sorted(folder.iterdir())


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at, n = rng.randrange(len(changed) + 1), rng.randint(1, 64)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at : at + n]
        elif kind == 2:
            changed[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            changed[at:at] = changed[at : at + n] * rng.randint(1, 20)
        else:
            changed[at : at + n] = rng.randbytes(n)
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.2 else changed)


def outcomes(folder: Path, format: str | None = None) -> list[object]:
    return [record for *_, record in survey(folder, format).records()]


def test_the_seeds_are_good(seeds: list[Path]) -> None:
    for seed in seeds:
        assert any(isinstance(record, Document) for record in outcomes(seed)), seed.name


class Hung(BaseException):
    """No reader may catch it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fate_of(folder: Path) -> str:
    """What becomes of a mutated file beside a good one: read, partly read, set aside, passed over; or what is wrong."""
    try:
        with limited(MAX_S):
            made = survey(folder, ocr="no")  # which sees what PDFium has drawn, and no bytes of the file
            found = [record for *_, record in made.records()]
    except Hung:
        return f"hung: more than {MAX_S} s"
    except Exception as error:
        return f"crashed: {type(error).__name__}: {error}"
    documents = [r for r in found if isinstance(r, Document)]
    refused = [r for r in found if isinstance(r, Quarantined) and not r.empty]
    if "beside" not in [d.id for d in documents]:
        return "the file beside it was lost"
    if not all(r.reason for r in refused) or not all(d.sha256 for d in documents):
        return "without a reason, or not to be stored"
    if len(documents) > 1:
        return "partly read" if refused else "read"
    if refused:
        return "set aside"
    return "passed over" if made.foreign else "empty"


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_files_are_read_or_set_aside(seeds: list[Path], tmp_path: Path, part: int) -> None:
    rng, fates = random.Random(20261127 + part), defaultdict[str, Counter[str]](Counter)
    slowest = 0.0
    for number in range(-(-MUTATIONS // PARTS)):
        seed = rng.choice(seeds)
        folder = tmp_path / "corpus"
        folder.mkdir()
        (folder / seed.name).write_bytes(mutated(seed.read_bytes(), rng))
        (folder / "beside.jsonl").write_text('{"id": "beside", "text": "The file beside it."}')
        begin = time.monotonic()
        fate = fate_of(folder)
        slowest = max(slowest, time.monotonic() - begin)
        fates[seed.name][fate] += 1
        if fate not in FATES and KEPT:
            shutil.copytree(folder, Path(KEPT) / f"{part}-{number}")
        shutil.rmtree(folder)
    if KEPT:
        peaks = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        told = {"fates": fates, "slowest_s": round(slowest, 2), "peak_mib": peaks}
        (Path(KEPT) / f"part-{part}.json").write_text(json.dumps(told, indent=1))
    wrong = {(name, fate): n for name, some in fates.items() for fate, n in some.items() if fate not in FATES}
    assert not wrong


@pytest.mark.parametrize("format", FORMATS_TRIED)
def test_a_wrong_format_is_one_sentence(seeds: list[Path], format: str) -> None:
    for seed in seeds:
        try:
            records = outcomes(seed, format)
        except InputError as error:
            assert "Traceback" not in str(error) and seed.name in str(error), seed.name
        else:
            assert all(not isinstance(r, Quarantined) or r.reason for r in records)


def test_a_line_of_any_length_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.corpus.readers.cases.MAX_LINE_BYTES", 1000)
    with (tmp_path / "x.jsonl").open("wb") as file:
        file.write(b'{"id": 1, "text": "')
        file.seek(300_000_000)
        file.write(b'"}\n{"id": 2, "text": "B."}\n')
    import tracemalloc

    tracemalloc.start()
    long, good = outcomes(tmp_path / "x.jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(long, Quarantined) and "longer than 1,000 bytes" in long.reason
    assert isinstance(good, Document) and peak < 5_000_000


def test_ids_used_twice_links_and_names(tmp_path: Path, picture: Callable[..., Path]) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "One."}')
    (tmp_path / "b.jsonl").write_text('{"id": "x", "text": "Another."}')
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "up").symlink_to(tmp_path.parent)
    (tmp_path / "inside").symlink_to(tmp_path / "deep")
    (tmp_path / "deep").mkdir()
    found = outcomes(tmp_path)
    assert [r.text for r in found if isinstance(r, Document)] == ["One."]
    reasons = {r.record: r.reason for r in found if isinstance(r, Quarantined)}
    assert reasons.keys() == {"b.jsonl", "loop", "up", "inside"}
    assert "unique" in reasons["b.jsonl"] and "leads out" in reasons["up"] and "not followed" in reasons["inside"]
