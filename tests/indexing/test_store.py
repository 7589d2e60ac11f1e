"""Creating, opening, listing; what is refused, and that the refusal names the file."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexStateError, InputError, StorageError
from rag.indexing import IndexStore, SpaceInfo, list_indexes

from .brute_force import DIM, SPACES, batch_of, fill, make_document, unit


def documents(n: int = 6) -> list:
    return [make_document(f"d{i}") for i in range(n)]


def segment_of(store: IndexStore, name: str = "index.faiss") -> Path:
    """The segment directory that holds ``name``."""
    return next(path for path in (store.path / "segments").iterdir() if (path / name).exists())


def test_a_new_index_is_empty_and_searchable(store: IndexStore) -> None:
    assert store.version() == 0 and store.versions() == []
    with store.snapshot() as snapshot:
        assert snapshot.version == 0
        assert snapshot.spaces() == {} and snapshot.counts() == []
        assert snapshot.search_words("lungs", 5) == []
        assert snapshot.document("d0") is None and snapshot.has_case("c") is None
        with pytest.raises(InputError, match="no vectors of space 'text'"):
            snapshot.search("text", unit(0), 5)


def test_create_opens_an_index_and_refuses_anything_else(store: IndexStore, tmp_path: Path) -> None:
    fill(store, documents())
    assert IndexStore.create(store.path).version() == 1
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("a")
    with pytest.raises(InputError, match="photos exists and is not an index"):
        IndexStore.create(tmp_path / "photos")
    with pytest.raises(InputError, match="cannot be an index's name"):
        IndexStore.create(tmp_path / ".hidden")
    assert IndexStore.create(tmp_path / "deep" / "down").version() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "demo", "photos"]


def test_open_of_nothing_lists_what_exists(store: IndexStore) -> None:
    with pytest.raises(InputError, match=r"no such index 'dmeo' in .*; existing: demo; build one with `rag ingest`"):
        IndexStore.open(store.path.with_name("dmeo"))


def test_versions_say_what_changed(store: IndexStore) -> None:
    fill(store, documents(6))
    with store.writer() as writer:
        writer.stage(*batch_of([make_document("d0", "Another text."), make_document("new")]))
        assert writer.remove(document_ids=["d1", "d2", "unknown"]) == 2
        assert writer.publish("second", SPACES) == 2
    latest = store.versions()[-1]
    counts = latest.added, latest.updated, latest.removed, latest.documents
    assert counts == (1, 1, 2, 5)
    assert latest.note == "second" and latest.created.endswith("+00:00")
    with pytest.raises(InputError, match="has no version 3; the latest is 2"):
        store.snapshot(3)
    with pytest.raises(InputError, match="has no version 0"):
        store.snapshot(0)


def test_list_shows_broken_indexes_with_their_problem(store: IndexStore, tmp_path: Path) -> None:
    fill(store, [make_document("a"), make_document("b", kind="literature")])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "catalogue.sqlite").write_bytes(b"not a database" * 20)
    (tmp_path / "unrelated").mkdir()
    broken, good = list_indexes(tmp_path)
    assert broken.name == "broken" and "not a SQLite file" in (broken.problem or "")
    assert good.documents == {"report": 1, "literature": 1} and good.version == 1 and good.problem is None
    assert good.bytes > 10_000
    assert list_indexes(tmp_path / "nowhere") == []


def test_another_programs_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "x" / "catalogue.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    for opening in (IndexStore.open, IndexStore.create):
        with pytest.raises(IndexStateError, match=r"catalogue\.sqlite is another program's SQLite file"):
            opening(path.parent)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_future_format_is_refused(store: IndexStore) -> None:
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with pytest.raises(IndexStateError, match=r"catalogue\.sqlite has format 99.*upgrade"):
        IndexStore.open(store.path)


def test_a_missing_catalogue_is_named(store: IndexStore) -> None:
    (store.path / "catalogue.sqlite").unlink()
    with pytest.raises(IndexStateError, match=r"catalogue\.sqlite is missing"):
        IndexStore.open(store.path)


def test_a_damaged_catalogue_is_named(store: IndexStore) -> None:
    fill(store, documents(40))
    store.close()
    path = store.path / "catalogue.sqlite"
    content = bytearray(path.read_bytes())
    content[100 : len(content)] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    with pytest.raises(IndexStateError, match=r"catalogue\.sqlite is damaged"):
        IndexStore.open(store.path).snapshot()


@pytest.mark.parametrize("name", ["rows.npy", "index.faiss", "manifest.json", "postings.npy", "directory.npy"])
def test_a_missing_segment_file_is_named(store: IndexStore, name: str) -> None:
    fill(store, documents())
    (segment_of(store, name) / name).unlink()
    with pytest.raises(IndexStateError, match=f"{name} is missing"):
        IndexStore.open(store.path).snapshot()


@pytest.mark.parametrize("name", ["rows.npy", "index.faiss", "manifest.json", "postings.npy", "directory.npy"])
@pytest.mark.parametrize("damage", ["truncated", "longer", "scrambled header"])
def test_a_damaged_segment_file_is_named(store: IndexStore, name: str, damage: str) -> None:
    fill(store, documents())
    path = segment_of(store, name) / name
    content = path.read_bytes()
    wrecks = {"truncated": content[:-9], "longer": content + b"x", "scrambled header": b"?" * 40 + content[40:]}
    path.write_bytes(wrecks[damage])
    with pytest.raises(IndexStateError, match=f"{name} is damaged"):
        IndexStore.open(store.path).snapshot()


def test_a_catalogue_cannot_point_out_of_the_index(store: IndexStore) -> None:
    fill(store, documents())
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        connection.execute("UPDATE segments SET id = '../../elsewhere' WHERE kind = 'vectors'")
    with pytest.raises(IndexStateError, match="no segment id"):
        store.snapshot()


def test_pickled_rows_are_never_loaded(store: IndexStore) -> None:
    import hashlib

    fill(store, documents())
    path = segment_of(store) / "rows.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["files"]["rows.npy"]["bytes"] = path.stat().st_size
    content = json.dumps(manifest).encode()
    (path.parent / "manifest.json").write_bytes(content)
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        connection.execute(
            "UPDATE segments SET manifest_sha256 = ? WHERE kind = 'vectors'", (hashlib.sha256(content).hexdigest(),)
        )
    with pytest.raises(IndexStateError, match=r"rows\.npy is damaged"):
        store.snapshot()


def test_vectors_of_another_encoder_are_refused(store: IndexStore) -> None:
    fill(store, documents())
    other = {"text": SpaceInfo(DIM, "encoder-b")}
    with store.writer() as writer:
        with pytest.raises(IndexStateError, match=r"'encoder-a', these are of 'encoder-b'"):
            writer.check_spaces(other)
        writer.stage(*batch_of([make_document("new")]))
        with pytest.raises(IndexStateError, match=r"'encoder-a'.*'encoder-b'|'encoder-b'.*'encoder-a'"):
            writer.publish("mixed", other)
    assert store.version() == 1
    assert len(list((store.path / "segments").iterdir())) == 2


def test_a_whole_index_may_change_its_encoder(store: IndexStore) -> None:
    fill(store, documents())
    with store.writer() as writer:
        writer.stage(*batch_of(documents(), seed=5))
        writer.publish("new encoder", {"text": SpaceInfo(DIM, "encoder-b")})
    now, then = store.snapshot(), store.snapshot(1)
    assert now.spaces()["text"].fingerprint == "encoder-b" and then.spaces()["text"].fingerprint == "encoder-a"
    assert now.spaces()["text"].n == then.spaces()["text"].n == 12
    assert {hit.row for hit in now.search("text", unit(0), 50)[0]} == set(range(12, 24))
    assert {hit.row for hit in then.search("text", unit(0), 50)[0]} == set(range(12))


def test_batches_that_do_not_fit_together_are_refused(store: IndexStore) -> None:
    good, passages, vectors = batch_of(documents(2))
    ids, matrix = vectors["text"]
    stranger = passages[0].model_copy(update={"document_id": "stranger"})
    shifted = passages[0].model_copy(update={"start": 1})
    faults: list[tuple[tuple, str]] = [
        ((good * 2, passages, vectors), "same document id twice"),
        ((good, [stranger, *passages[1:]], vectors), "'stranger' is not in the batch"),
        ((good, passages + passages[:1], vectors), "occurs twice"),
        ((good, [shifted, *passages[1:]], vectors), "is not characters 1:20"),
        ((good, passages, {"text": (["nobody"], matrix[:1])}), "'nobody', which is not in the batch"),
        ((good, passages, {"text": (ids, matrix[:1])}), "with vectors of shape"),
        ((good, passages, {"text": (ids, matrix * 2)}), "L2-normalised"),
        ((good, passages, {"text": (ids, matrix * np.nan)}), "L2-normalised"),
    ]
    with store.writer() as writer:
        for (some, parts, coded), message in faults:
            with pytest.raises(InputError, match=message):
                writer.stage(some, parts, coded)
        writer.stage(good, passages, vectors)
        with pytest.raises(InputError, match="was not told its encoder"):
            writer.publish("no spaces")
        with pytest.raises(InputError, match="declared with dim 9"):
            writer.publish("wrong", {"text": SpaceInfo(9, "encoder-a")})
        assert writer.publish("right", SPACES) == 1
    assert store.versions()[0].added == 2


def test_a_document_that_is_not_json_is_named(store: IndexStore) -> None:
    odd = make_document("odd").model_copy(update={"metadata": {"set": {1, 2}}})
    lone = make_document("lone", "\ud800.")
    with store.writer() as writer:
        for document in (odd, lone):
            with pytest.raises(InputError, match=f"document '{document.id}' cannot be stored"):
                writer.compare([document])
            with pytest.raises(InputError, match=f"document '{document.id}' cannot be stored"):
                writer.stage([document], [], {})


def test_a_read_only_directory_is_a_clear_refusal(store: IndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom permissions do not stop: the refusal is simulated at the call that meets it."""
    fill(store, documents())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("rag.indexing.locks.os.open", refuse)
        with pytest.raises(StorageError, match=r"cannot write .*write\.lock: permission denied"):
            store.writer()
    with monkeypatch.context() as patch:
        patch.setattr("rag.indexing.store.Path.mkdir", refuse)
        with pytest.raises(StorageError, match="cannot write .*other: permission denied"):
            IndexStore.create(store.path.with_name("other"))
    assert store.version() == 1


def test_an_index_can_be_copied_and_opened_elsewhere(store: IndexStore, tmp_path: Path) -> None:
    fill(store, documents())
    shutil.copytree(store.path, tmp_path / "copy")
    here, there = store.snapshot(), IndexStore.open(tmp_path / "copy").snapshot()
    assert here.search("text", unit(3), 4) == there.search("text", unit(3), 4)
