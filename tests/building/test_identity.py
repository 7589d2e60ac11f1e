"""An id belongs to its source: nobody's report is replaced by another's, and nothing leaves that was not taken away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.building.describe import describe, preview
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.errors import InputError
from rag.indexing import IndexStore


@pytest.fixture
def encoders(colours) -> Encoders:  # type: ignore[no-untyped-def]
    class Texts:
        dim, fingerprint = 3, "texts:1"

        def encode(self, texts, **options):  # type: ignore[no-untyped-def]
            return colours.encode_texts(texts)

    return Encoders(Texts(), None)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> IndexStore:
    return IndexStore.create(tmp_path / "index")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def texts(store: IndexStore) -> dict[str, str]:
    with store.writer() as writer:
        return {d.id: d.text for batch in writer.documents(100) for d in batch}


def test_two_folders_with_a_report_of_the_same_name(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    a, b = write(tmp_path / "p1/report.txt", "A: clear."), write(tmp_path / "p2/report.txt", "B: effusion.")
    for _ in range(2):  # the second time nothing changes
        reports = [ingest([Source(path.parent)], store, encoders) for path in (a, b)]
        assert texts(store) == {"report": "A: clear.", "p2/report": "B: effusion."}
    assert [(r.added, r.updated, r.unchanged) for r in reports] == [(0, 0, 1), (0, 0, 1)]
    assert reports[1].apart == {"report": "p2/report"}
    with store.snapshot() as snapshot:
        apart = snapshot.document("p2/report")
    assert apart is not None and (apart.case_id, apart.group_id) == ("p2/report", "p2/report")


def test_folders_of_one_name_and_both_at_once(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    sources = [Source(write(tmp_path / f"{n}/reports/report.txt", f"{n}.").parent) for n in ("a", "b", "c")]
    ingest(sources, store, encoders)
    assert sorted(texts(store).values()) == ["a.", "b.", "c."]
    assert ingest(sources[::-1], store, encoders).unchanged == 3


def test_the_one_that_was_kept_apart_keeps_its_id(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    a, b = write(tmp_path / "p1/report.txt", "A."), write(tmp_path / "p2/report.txt", "B.")
    ingest([Source(a)], store, encoders)
    ingest([Source(b)], store, encoders)
    with store.writer() as writer:
        writer.remove(document_ids=["report"])
        writer.publish()
    write(b, "B, corrected.")
    report = ingest([Source(b.parent)], store, encoders)
    assert (report.updated, report.changed, texts(store)) == (1, ["p2/report"], {"p2/report": "B, corrected."})


def test_rows_of_two_files_and_a_named_source(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    files = [write(tmp_path / f"{n}.jsonl", json.dumps({"id": "1", "text": f"{n}."})) for n in ("old", "new")]
    for file in files:
        ingest([Source(file)], store, encoders)
    assert texts(store) == {"1": "old.", f"{tmp_path.name}/new/1": "new."}
    named = IndexStore.create(tmp_path / "named")
    for file in files:
        report = ingest([Source(file, label="trial")], named, encoders)
    assert (report.updated, texts(named)) == (1, {"1": "new."})
    with pytest.raises(InputError, match="without a colon"):
        ingest([Source(file, label="a:b")], named, encoders)


def test_sync_takes_only_what_is_gone(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    folder = tmp_path / "p1"
    for name in ("gone", "damaged", "latin", "rest"):
        write(folder / f"{name}.txt", f"The {name} heart: d\u00e9j\u00e0 vu.")
    write(folder / "rows.jsonl", "\n".join(json.dumps({"id": f"r{n}", "text": "Row."}) for n in range(3)))
    ingest([Source(folder)], store, encoders)
    ingest([Source(write(tmp_path / "other/p1/x.txt", "Another p1."))], store, encoders)
    (folder / "gone.txt").unlink()
    (folder / "damaged.txt").write_bytes(b"\0\1\2")
    (folder / "latin.txt").write_bytes("The latin heart: d\u00e9j\u00e0 vu.".encode("utf-16"))
    write(folder / "rows.jsonl", '{"id": "r0", "text": "Row."}\n{"id": "r1", "text"')
    report = ingest([Source(folder)], store, encoders, sync=True)
    assert report.left == ["gone"] and report.removed == 1
    assert report.kept == ["damaged", "r1", "r2"]
    assert texts(store).keys() == {"damaged", "latin", "rest", "r0", "r1", "r2", "x"}
    (folder / "rows.jsonl").unlink()
    assert ingest([Source(folder / "rest.txt")], store, encoders, sync=True).left == [], "one file answers for itself"
    assert ingest([Source(folder)], store, encoders, sync=True).left == ["r0", "r1", "r2"]


def test_an_index_from_before_origins_stays_as_it_is(
    tmp_path: Path, store: IndexStore, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = write(tmp_path / "p1/report.txt", "A."), write(tmp_path / "p2/report.txt", "B.")
    with monkeypatch.context() as patch:
        patch.setattr("rag.building.identity.Identities.origin", lambda *_: "")
        ingest([Source(a.parent)], store, encoders)
    assert ingest([Source(a.parent)], store, encoders).unchanged == 1
    assert ingest([Source(b.parent)], store, encoders).apart == {"report": "p2/report"}
    write(a, "A, corrected.")
    assert ingest([Source(a.parent)], store, encoders).changed == ["report"]


def test_what_a_source_withdraws_leaves_the_index(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    record = (
        "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article><Abstract><AbstractText>{}</AbstractText></Abstract>"
        "</Article></MedlineCitation></PubmedArticle>"
    )
    old = "".join(record.format(n, f"Text {n}.") for n in range(1, 4))
    ingest([Source(write(tmp_path / "base/a.xml", f"<PubmedArticleSet>{old}</PubmedArticleSet>"))], store, encoders)
    new = record.format(1, "Text 1, corrected.") + "<DeleteCitation><PMID>2</PMID><PMID>77</PMID></DeleteCitation>"
    update = write(tmp_path / "updates/b.xml", f"<PubmedArticleSet>{new}</PubmedArticleSet>")
    report = ingest([Source(update)], store, encoders)
    assert (report.changed, report.withdrawn) == (["PMID:1"], ["PMID:2"])
    assert texts(store) == {"PMID:1": "Text 1, corrected.", "PMID:3": "Text 3."}
    with store.snapshot(1) as before:
        assert before.document("PMID:2") is not None, "an old answer is still as of its version"


def test_files_of_no_format_are_listed(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    write(tmp_path / "c/rows.jsonl", '{"id": "a", "text": "Row."}')
    write(tmp_path / "c/report.txt", "Clear.")
    (tmp_path / "c/scan.nii").write_bytes(b"\x5c\x01\0\0")
    report = ingest([Source(tmp_path / "c")], store, encoders)
    assert (report.added, report.files) == (2, {"cases": 1, "images": 1})
    assert [(f.name, f.suffix, f.why) for f in report.foreign] == [("scan.nii", ".nii", "a NIfTI volume")]


def test_a_preview_says_what_the_ingest_then_does(tmp_path: Path, store: IndexStore, encoders: Encoders) -> None:
    source = Source(tmp_path / "p")
    for name in ("same", "changed", "gone"):
        write(tmp_path / f"p/{name}.txt", f"{name}.")
    assert preview(source, None).added == preview(source, store).added == 3 and store.version() == 0
    ingest([source], store, encoders)
    write(tmp_path / "p/changed.txt", "changed, indeed.")
    write(tmp_path / "p/new.txt", "new.")
    (tmp_path / "p/gone.txt").unlink()
    would = preview(source, store, sync=True)
    assert store.version() == 1
    did = ingest([source], store, encoders, sync=True)
    for what in ("added", "updated", "unchanged", "removed", "changed", "left", "kept", "apart", "files"):
        assert getattr(would, what) == getattr(did, what), what
    assert (did.added, did.changed, did.left) == (1, ["changed"], ["gone"])


def test_a_description_counts(tmp_path: Path) -> None:
    rows = [
        {"id": n, "text": t, "group": g, "licence": "CC0"}
        for n, t, g in ((1, "A.", "p"), (2, "B.", "p"), (3, "A.", "q"))
    ]
    write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)) + "\n{")
    made = describe(Source(tmp_path / "rows.jsonl"))
    assert (made.by_kind, made.licences, made.files) == ({"report": 3}, {"CC0": 3}, {"cases": 1})
    assert (made.cases, made.groups, made.passages, len(made.quarantined)) == (3, 2, 3, 1)
    assert (made.duplicates, made.across_groups, made.duplicate_ids) == (1, 1, [["1", "3"]])
