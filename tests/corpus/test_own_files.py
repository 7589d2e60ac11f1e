"""The user's own files: cases, folders of images, notes; how a source is named and refused; de-identification."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.corpus.source import read_source, survey
from rag.corpus.text import MAX_TEXT_CHARS
from rag.errors import InputError

from .conftest import split

Picture = Callable[..., Path]
CASES = Path(__file__).parents[3] / "shared" / "data" / "cases"


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


class TestCases:
    def test_a_row_gives_an_image_and_a_report_of_one_case(self, tmp_path: Path, picture: Picture) -> None:
        picture("img/a.png")
        row = {"id": "a", "image": "img/a.png", "text": "Clear.\u0000", "group": "p1", "licence": "CC0", "age": 4}
        documents, quarantined = split(read_source(jsonl(tmp_path / "mine.jsonl", row)))
        image, report = documents
        assert quarantined == []
        assert (image.id, image.kind, image.text, report.id, report.kind) == ("a:image", "image", "", "a", "report")
        assert image.case_id == report.case_id == "a"
        assert image.group_id == report.group_id == "p1"
        assert image.image == str((tmp_path / "img/a.png").resolve())
        assert len(image.image_sha256 or "") == 64
        assert report.text == "Clear."
        assert (report.source, report.domain, report.metadata) == ("mine", "general", {"age": 4})

    def test_literature_numbers_as_ids_and_splits(self, tmp_path: Path) -> None:
        rows = [
            {"id": 1, "text": "One.", "kind": "literature", "split": "train"},
            {"id": "2", "text": "Two.", "split": "test"},
        ]
        path = jsonl(tmp_path / "x.jsonl", *rows, "")
        assert [(d.id, d.kind, d.group_id) for d in split(read_source(path, split="train"))[0]] == [
            ("1", "literature", "1")
        ]
        with pytest.raises(InputError, match="split='dev'"):
            read_source(path, split="dev")

    def test_every_bad_line_is_named_and_the_rest_is_read(self, tmp_path: Path, picture: Picture) -> None:
        picture("a.png")
        (tmp_path / "text.png").write_text("no image")
        outside = tmp_path.parent / "outside.png"
        outside.write_bytes((tmp_path / "a.png").read_bytes())
        (tmp_path / "link.png").symlink_to(outside)
        bad: list[tuple[object, str]] = [
            ("{broken", "not valid JSON"),
            ("[1]", "not an object"),
            ('{"id": "n", "text": "x", "v": NaN}', "NaN"),
            ("[" * 100_000, "not valid JSON"),
            ({"text": "x"}, 'no "id"'),
            ({"id": True, "text": "x"}, 'no "id"'),
            ({"id": "good", "text": "x"}, "used before"),
            ({"id": "b"}, "neither"),
            ({"id": "c", "image": "absent.png"}, "no file 'absent.png'"),
            ({"id": "d", "image": "../outside.png"}, "leads out"),
            ({"id": "e", "image": str(outside)}, "absolute"),
            ({"id": "f", "image": "C:\\a.png"}, "absolute"),
            ({"id": "g", "image": "link.png"}, "leads out"),
            ({"id": "h", "image": "text.png", "text": "kept out too"}, "not a PNG"),
            ({"id": "i", "text": 5}, '"text" is not text'),
            ({"id": "j", "text": "x", "kind": "image"}, '"kind"'),
            ({"id": "k", "text": "x" * 1_000_001}, "longer than 1,000,000 bytes"),
            ({"id": "l\u0007", "text": "x"}, ""),
        ]
        path = jsonl(
            tmp_path / "x.jsonl", {"id": "good", "text": "Fine."}, *(row for row, _ in bad), {"id": "z", "text": "Z"}
        )
        path.write_bytes(path.read_bytes() + b'{"id": "\xff", "text": "x"}\n')
        documents, quarantined = split(read_source(path))
        assert [d.id for d in documents] == ["good", "l", "z"]  # control characters are stripped, in ids as well
        assert [q.record for q in quarantined] == [f"line {n}" for n in (*range(2, len(bad) + 1), len(bad) + 3)]
        for q, (_, reason) in zip(quarantined, bad, strict=False):
            assert reason in q.reason
        assert "not UTF-8" in quarantined[-1].reason

    def test_text_that_cannot_be_stored_is_mended(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text('{"id": "a", "text": "x\\ud800y", "note": ["\\ud800"]}\n')
        (document,) = split(read_source(path))[0]
        assert (document.text, document.metadata) == ("xy", {"note": [""]})
        assert document.sha256

    @pytest.mark.skipif(not CASES.is_dir(), reason="the shared development data are not here")
    def test_real_cases(self) -> None:
        documents, quarantined = split(read_source(CASES, split="dev"))
        assert quarantined == []
        assert sum(d.kind == "image" for d in documents) == 337


class TestFolder:
    def test_images_with_side_cars_and_lone_reports(self, tmp_path: Path, picture: Picture) -> None:
        picture("case1/scan.png")
        picture("bare.jpg")
        picture(".hidden.png")
        (tmp_path / "case1/scan.txt").write_text("Clear lungs.")
        (tmp_path / "case1/scan.json").write_text(
            json.dumps({"title": "T", "domain": "radiology", "group": "p", "site": 1})
        )
        (tmp_path / "lone.txt").write_text("A report alone.")
        (tmp_path / "other.xyz").write_text("ignored")
        documents, quarantined = split(read_source(tmp_path))
        assert quarantined == []
        assert [d.id for d in documents] == ["bare:image", "case1/scan:image", "case1/scan", "lone"]
        report = documents[2]
        assert (report.title, report.domain, report.group_id, report.metadata) == ("T", "radiology", "p", {"site": 1})

    def test_one_image_is_a_source_too(self, tmp_path: Path, picture: Picture) -> None:
        path = picture("scan.png")
        (tmp_path / "scan.txt").write_text("Clear.")
        assert [d.id for d in split(read_source(path))[0]] == ["scan:image", "scan"]

    def test_bad_files_are_set_aside(self, tmp_path: Path, picture: Picture) -> None:
        picture("good.png")
        picture("twin.jpg")
        picture("twin.png")
        picture("json.png")
        (tmp_path / "json.json").write_text("{")
        (tmp_path / "text.png").write_text("not an image")
        (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
        (tmp_path / "blank.txt").write_text(" ")
        (tmp_path / "long.txt").write_text("x" * (MAX_TEXT_CHARS + 1))
        (tmp_path / os.fsdecode(b"\xff.txt")).write_text("name is not UTF-8")
        documents, quarantined = split(read_source(tmp_path))
        assert [d.id for d in documents] == ["good:image", "latin", "twin:image"]
        reasons = {q.record: q.reason for q in quarantined}
        assert "not valid JSON" in reasons["json.png"]
        assert "same id" in reasons["twin.png"]
        assert "not a PNG" in reasons["text.png"]
        assert "nothing in it" in reasons["blank.txt"]
        assert "2,000,001 characters" in reasons["long.txt"]
        assert len(quarantined) == 6
        assert all(q.record.isprintable() for q in quarantined)


NOTE = (
    "---\nid: note-1\ntitle: Effusion\ndomain: radiology\nkind: literature\nauthor: ClinCite\nlicence: CC0\n{}---\n{}"
)


class TestNotes:
    def test_a_note_becomes_literature(self, tmp_path: Path) -> None:
        (tmp_path / "a.md").write_text(
            NOTE.format("references: [PMID:1, PMID:2]\nnotice: not advice\n", "# H\n\nBody.\n")
        )
        (tmp_path / "README.md").write_text("About the notes.")
        (note,), quarantined = split(read_source(tmp_path))
        assert quarantined == []
        assert (note.id, note.kind, note.text) == ("note-1", "literature", "# H\n\nBody.")
        assert note.source == "clincite notes (project-written)"
        assert note.metadata == {"author": "ClinCite", "notice": "not advice", "references": ["PMID:1", "PMID:2"]}

    def test_bad_notes_are_set_aside(self, tmp_path: Path) -> None:
        notes = {
            "1.md": (NOTE.format("", "Fine."), None),
            "2.md": (NOTE.format("", "Same id."), "ids must be unique"),
            "3.md": ("No front matter.", "no front matter"),
            "4.md": ("---\nid: x\n", "not closed"),
            "5.md": ("---\nid: x\n---\nBody", "lacks title, domain, kind, author, licence"),
            "6.md": (NOTE.format("", " "), "no text"),
            "7.md": (NOTE.format("nonsense\n", "B"), "Line 8"),
            "8.md": (NOTE.format("licens: x\n", "B"), "unknown fields: licens"),
            "9.md": (NOTE.format("", "B").replace("literature", "image"), "kind is 'image'"),
        }
        for name, (text, _) in notes.items():
            (tmp_path / name).write_text(text)
        (tmp_path / "z.md").write_bytes(b"---\n\xff")
        documents, quarantined = split(read_source(tmp_path))
        assert [d.text for d in documents] == ["Fine."]
        for q, reason in zip(quarantined, [r for _, r in notes.values() if r] + ["not UTF-8"], strict=True):
            assert reason in q.reason

    def test_the_projects_own_notes(self) -> None:
        try:
            documents, quarantined = split(read_source("notes"))
        except InputError as error:
            pytest.skip(str(error))
        assert quarantined == []
        assert all(d.text and d.metadata["author"] for d in documents)

    def test_the_projects_own_samples(self) -> None:
        try:
            documents, quarantined = split(read_source("samples"))
        except InputError as error:
            pytest.skip(str(error))
        assert quarantined == []
        assert {d.kind for d in documents} >= {"image"}


class TestSource:
    def test_formats_are_told_by_content(self, tmp_path: Path, picture: Picture) -> None:
        reports = b'<?xml version="1.0"?><!-- x --><!DOCTYPE eCitation><eCitation><uId id="R1"/></eCitation>'
        contents = {
            "report.txt.bak": (reports, "open-i"),
            "terms.txt": (b"format-version: 1.2\n\n[Term]\nid: X:1\n", "obo"),
            "rows.JSONL": (b'{"id": 1, "text": "x"}', "cases"),
            "rows.ndjson.gz": (gzip.compress(b'{"id": 1, "text": "x"}'), "cases"),
            "note.md": (NOTE.format("", "Body.").encode(), "notes"),
            "1.2.840.113619.2.55.3.1234": (b"\0" * 128 + b"DICM" + b"\0" * 9, "images"),
            "IM0001": (picture("a.png").read_bytes(), "images"),
        }
        for name, (content, format) in contents.items():
            (tmp_path / name).write_bytes(content)
            assert [*survey(tmp_path / name).readers] == [format], name

    def test_every_file_of_a_folder_is_accounted_for(self, tmp_path: Path, picture: Picture) -> None:
        folder = tmp_path / "mixed"
        picture("mixed/scan.png")
        picture("mixed/of-a-row.png")
        (folder / "scan.txt").write_text("Clear.")
        (folder / "scan.json").write_text("{}")
        jsonl(folder / "rows.jsonl", {"id": "r", "text": "Row.", "image": "of-a-row.png"}, {"id": "s"})
        (folder / "old.xml").write_text(
            '<eCitation><uId id="R"/><AbstractText Label="FINDINGS">F.</AbstractText></eCitation>'
        )
        (folder / "volume.nii.gz").write_bytes(gzip.compress(b"\x5c\x01\0\0" + b"\0" * 400))
        (folder / "thing.xyz").write_text("?")
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "empty.bin").touch()
        (folder / "README.txt").write_text("About this folder.")
        (folder / "out.txt").symlink_to(tmp_path)
        os.mkfifo(folder / "pipe.txt")
        made = survey(folder)
        assert made.files == sum(1 for _ in folder.rglob("*"))
        assert made.readers == {"cases": 1, "open-i": 1, "images": 2}
        assert sorted(p.name for p in made.along) == ["scan.json", "scan.txt"]
        assert {f.name: f.why for f in made.foreign} == {
            ".DS_Store": "hidden",
            "README.txt": "about the corpus, not of it",
            "empty.bin": "empty file",
            "thing.xyz": "of no known format",
            "volume.nii.gz": "a NIfTI volume",
        }
        assert {q.record for q in made.refused} == {"out.txt", "pipe.txt"}
        documents, quarantined = split(record for *_, record in made.records())
        assert {d.id for d in documents} == {"r", "r:image", "R", "scan", "scan:image"}, "a row's image is read once"
        assert {q.record for q in quarantined} == {"out.txt", "pipe.txt", "line 2"}

    def test_one_format_of_a_mixed_folder(self, tmp_path: Path, picture: Picture) -> None:
        picture("f/scan.png")
        jsonl(tmp_path / "f" / "rows.jsonl", {"id": "r", "text": "Row."})
        made = survey(tmp_path / "f", "images")
        assert made.readers == {"images": 1}
        (foreign,) = made.foreign
        assert (foreign.name, foreign.suffix) == ("rows.jsonl", ".jsonl")
        assert foreign.why.endswith("use --format cases")

    def test_a_file_of_another_format_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "x.xml").write_text('<eCitation><uId id="R"/></eCitation>')
        with pytest.raises(InputError, match="looks like Open-i radiology reports.*use --format open-i"):
            read_source(tmp_path / "x.xml", "cases")

    def test_a_gzip_bomb_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1, "text": "' + b" " * 30_000_000))
        with pytest.raises(InputError, match="'bomb.jsonl.gz': It unpacks to more than"):
            read_source(tmp_path / "bomb.jsonl.gz")

    def test_a_reader_of_ones_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "memos.py").write_text(
            "from rag.corpus.readers import Reader\n"
            "from rag.types import Document\n"
            "def read(file, shout=''):\n"
            "    said = file.read(1000).decode() + shout\n"
            "    yield Document(id=file.name, kind='report', text=said, case_id='c', group_id='g', source='memos')\n"
            "READER = Reader('memo', 'a memo', lambda file: 0.9 * file.start.startswith('MEMO'), read)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "x.memo").write_text("MEMO: clear.")
        (memo,) = split(read_source(tmp_path / "x.memo", "memos:READER", shout="!"))[0]
        assert (memo.id, memo.text) == ("x.memo", "MEMO: clear.!")
        with pytest.raises(InputError, match="no reader 'memos:READER'"):
            survey(tmp_path / "x.memo", "memos:READER", named_only=True)

    @pytest.mark.parametrize(
        ("source", "options", "message"),
        [
            ("absent", {}, "no file or folder 'absent'.*openi, hpo, pubmed, pubmed-1970s, notes, samples"),
            ("https://example.org/a.jsonl", {}, "no file or folder"),
            ("a\0b", {}, "no file or folder"),
            ("empty", {}, "holds nothing to read.*cases.*open-i.*obo.*notes.*images"),
            ("empty", {"format": "images"}, "holds nothing to read as images"),
            ("empty", {"format": "absent"}, "no reader 'absent'.*open-i"),
            ("empty", {"format": "cases"}, "nothing to read as cases"),
            ("x.docx", {}, "holds nothing to read .x.docx: empty file"),
            ("x.jsonl", {"branch": "eye"}, "No format has an option 'branch'; they take .*split"),
            ("x.jsonl", {"branch": "eye", "format": "cases"}, "'cases' has no option 'branch'; it takes split"),
            ("x.jsonl", {}, "holds nothing"),
        ],
    )
    def test_a_source_that_cannot_be_read_is_refused_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, options: dict[str, str], message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("empty").mkdir()
        Path("x.docx").touch()
        Path("x.jsonl").touch()
        with pytest.raises(InputError, match=message):
            read_source(source, **options)
