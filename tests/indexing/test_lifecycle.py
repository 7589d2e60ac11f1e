"""The life of an index: re-ingest, resume, two writers, rollback, compaction, erasure, verification."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import pytest

from rag.errors import IndexStateError, InputError
from rag.indexing import Filter, IndexStore

from .brute_force import SPACES, batch_of, fill, make_document, unit


def documents(n: int = 6) -> list:
    return [make_document(f"d{i}") for i in range(n)]


def answers(store: IndexStore, version: int) -> tuple:
    """Everything a version answers to a fixed set of questions."""
    with store.snapshot(version) as snapshot:
        found = snapshot.search("text", unit(42, 3), 100) if "text" in snapshot.spaces() else []
        rows = [hit.row for hits in found for hit in hits]
        words = snapshot.search_words("heart lungs text", 1000)
        narrow = snapshot.search("text", unit(43), 3, Filter(exclude_groups=("g-d1",))) if found else []
        return found, snapshot.passages(rows), words, narrow, snapshot.counts(), snapshot.spaces()


def directories(store: IndexStore) -> tuple[int, int]:
    """Segment directories and staging directories on disk."""
    return len(list((store.path / "segments").iterdir())), len(list((store.path / "staging").iterdir()))


def test_an_unchanged_source_costs_nothing(store: IndexStore) -> None:
    fill(store, documents())
    with store.writer() as writer:
        changes = writer.compare([*documents(), make_document("d1", "Corrected."), make_document("new")])
        assert changes.new == {"new"} and changes.changed == {"d1"} and not changes.staged
        assert changes.to_encode == {"new", "d1"}
        assert changes.unchanged == {"d0", "d2", "d3", "d4", "d5"}
        assert writer.publish("nothing", SPACES) == 1
    assert store.version() == 1


def test_documents_that_left_their_source_are_removed(store: IndexStore) -> None:
    fill(store, [*documents(), make_document("other", source="elsewhere")])
    with store.writer() as writer:
        writer.compare(documents(4))
        gone = writer.unseen("nowhere:", ["s"])
        assert gone == {"d4": "", "d5": ""}
        writer.remove(document_ids=list(gone))
        writer.publish()
    with store.snapshot() as snapshot:
        assert {d: snapshot.document(d) is not None for d in ("d3", "d4", "d5", "other")} == {
            "d3": True, "d4": False, "d5": False, "other": True
        }  # fmt: skip


def test_a_removed_document_may_come_back(store: IndexStore) -> None:
    fill(store, documents(2))
    with store.writer() as writer:
        assert writer.remove(sources=["s"]) == 2
        assert writer.remove(document_ids=["d0"]) == 0  # already counted
        assert writer.compare(documents(1)).changed == {"d0"}
        writer.stage(*batch_of(documents(1)))
        writer.publish("replaced", SPACES)
    assert [(info.updated, info.removed, info.documents) for info in store.versions()[1:]] == [(1, 1, 1)]


def test_leaving_without_publishing_changes_nothing(store: IndexStore) -> None:
    fill(store, documents())
    before = answers(store, 1)
    with pytest.raises(RuntimeError, match="interrupted"), store.writer() as writer:
        writer.stage(*batch_of([make_document("new")]))
        writer.remove(sources=["s"])
        raise RuntimeError("interrupted")
    assert store.version() == 1 and answers(store, 1) == before
    assert directories(store) == (2, 0)


def test_an_interrupted_ingest_resumes(store: IndexStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.writer(checkpoint="reports, minilm") as writer:
        writer.stage(*batch_of(documents(3)))
        raise KeyboardInterrupt
    with store.writer(checkpoint="reports, minilm") as writer:
        source = [make_document("d0", "Corrected meanwhile."), *documents(4)[1:]]
        changes = writer.compare(source)
        assert changes.staged == {"d1", "d2"} and changes.to_encode == {"d0", "d3"}
        writer.stage(*batch_of([d for d in source if d.id in changes.to_encode]))
        assert writer.publish("", SPACES) == 1
        assert not writer.compare(source).staged
    with store.snapshot() as snapshot:
        assert snapshot.spaces()["text"].n == 7
        assert [snapshot.document(d.id) for d in source] == source
    assert directories(store) == (2, 0)


def test_only_what_this_run_asked_for_is_resumed(store: IndexStore) -> None:
    with store.writer(checkpoint="work") as writer:
        writer.stage(*batch_of(documents(4)))
    assert directories(store)[1] == 1
    with store.writer(checkpoint="work") as writer:
        assert writer.compare(documents(1)).staged == {"d0"}
        writer.publish("", SPACES)
    with store.snapshot() as snapshot:
        assert snapshot.document("d0") is not None and snapshot.document("d1") is None


@pytest.mark.parametrize("name", [None, "other work"])
def test_other_work_does_not_inherit_a_checkpoint(store: IndexStore, name: str | None) -> None:
    with store.writer(checkpoint="work") as writer:
        writer.stage(*batch_of(documents(2)))
    with store.writer(checkpoint=name) as writer:
        assert writer.compare(documents(2)).new == {"d0", "d1"}
        assert writer.publish("", SPACES) == 0


def test_a_damaged_checkpoint_is_started_again(store: IndexStore) -> None:
    with store.writer(checkpoint="work") as writer:
        writer.stage(*batch_of(documents(2)))
    path = next((store.path / "staging").iterdir()) / "batches.sqlite"
    path.write_bytes(b"garbage" * 1000)
    with store.writer(checkpoint="work") as writer:
        assert writer.compare(documents(2)).new == {"d0", "d1"}
    assert store.version() == 0


def test_the_second_writer_waits_or_is_told(store: IndexStore) -> None:
    with store.writer():
        start = time.monotonic()
        with pytest.raises(
            IndexStateError, match=rf"index 'demo' is being written by process {os.getpid()}; waited 0.1 s"
        ):
            store.writer(timeout_s=0.1)
        assert 0.1 <= time.monotonic() - start < 2
    release = threading.Timer(0.15, (first := store.writer()).close)
    release.start()
    with IndexStore.open(store.path).writer(timeout_s=5) as second:
        second.stage(*batch_of(documents(1)))
        assert second.publish("", SPACES) == 1
    release.join()
    assert first is not None


def test_a_writer_that_fails_to_start_gives_up_the_lock(store: IndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("rag.indexing.writer.collect_garbage", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.writer()
    store.writer(timeout_s=0).close()


def test_rollback_is_a_new_version_equal_to_the_old_one(store: IndexStore) -> None:
    fill(store, documents(4))
    with store.writer() as writer:
        writer.stage(*batch_of([make_document("d0", "Another text."), make_document("e")], seed=3))
        writer.remove(document_ids=["d1"])
        writer.publish("", SPACES)
    one, two = answers(store, 1), answers(store, 2)
    assert store.rollback(1) == 3
    assert answers(store, 3) == one != two
    last = store.versions()[-1]
    assert (last.added, last.updated, last.removed, last.documents, last.note) == (1, 1, 1, 4, "rollback to version 1")
    assert store.rollback(2) == 4 and answers(store, 4) == two
    assert store.rollback(4) == 4
    fill(store, [make_document("f")], seed=9)
    assert [answers(store, version) for version in (1, 2, 3, 4)] == [one, two, one, two]
    assert store.verify().sound
    with pytest.raises(InputError, match="no version 17; the latest is 5"):
        store.rollback(17)


def test_documents_are_counted_as_versions_come_and_go(store: IndexStore) -> None:
    def counted(version: int | None = None) -> dict[tuple[str, str], int]:
        with store.snapshot(version) as snapshot:
            return {(count.source, count.licence): count.documents for count in snapshot.counts()}

    fill(store, [*documents(4), make_document("x", licence="CC0"), make_document("y", source="t")])
    fill(store, [make_document("d0", "Another text.", source="t"), make_document("z", "New.", source="t")])
    with store.writer() as writer:
        writer.remove(document_ids=["x", "d1"])
        writer.publish()
    store.rollback(2)
    unknown = "unknown"
    one = {("s", "CC0"): 1, ("s", unknown): 4, ("t", unknown): 1}
    two = {("s", "CC0"): 1, ("s", unknown): 3, ("t", unknown): 3}
    assert [counted(v) for v in (1, 2, 3, 4)] == [one, two, {("s", unknown): 2, ("t", unknown): 3}, two]
    assert store.verify().sound
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        connection.execute("DELETE FROM properties")  # as an earlier version of the program wrote it
    assert [counted(v) for v in (1, 2, 4)] == [one, two, two] and store.verify().sound
    fill(store, [make_document("x", "Text.")])
    assert counted() == {("s", unknown): 4, ("t", unknown): 3}
    store.compact(keep=[])
    assert counted() == {("s", unknown): 4, ("t", unknown): 3} and store.verify().sound
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM properties")] == ["shelves 5"]
        connection.execute("UPDATE properties SET value = '7'")
    with pytest.raises(IndexStateError, match="count of documents is damaged"):
        counted()


def test_compaction_changes_no_answer(store: IndexStore) -> None:
    for number in range(5):
        fill(store, [make_document(f"d{number}"), make_document("shared", f"Text {number}.")], seed=number)
    store.rollback(2)
    reader = store.snapshot(3)
    before = [answers(store, version) for version in range(1, 7)]
    kept = reader.search("text", unit(5), 20)
    report = store.compact()
    assert (report.segments_before, report.segments_after, report.forgotten) == (10, 2, ())
    assert reader.search("text", unit(5), 20) == kept
    assert [answers(store, version) for version in range(1, 7)] == before
    assert directories(store)[0] == 8  # the merged ones and the reader's
    reader.close()
    store.writer().close()
    assert directories(store)[0] == 2
    assert [answers(store, version) for version in range(1, 7)] == before
    assert store.verify().sound
    again = store.compact()
    assert (again.segments_before, again.segments_after) == (2, 2) and again.bytes_after <= again.bytes_before


def test_forgetting_versions_erases_their_text(store: IndexStore) -> None:
    secret = "Xanthelasma quuxpatient."
    fill(store, [make_document("withdrawn", secret), *documents(30)])
    with store.writer() as writer:
        writer.remove(groups=["g-withdrawn"])
        writer.publish("withdrawn")
    fill(store, [make_document("d0", "A newer text.")])
    before = answers(store, 3)
    old = store.snapshot(1)
    report = store.compact(keep=[])
    assert report.in_use == (1,) and report.forgotten == (2,) and report.documents_dropped == 0
    assert old.document("withdrawn") is not None
    old.close()
    report = store.compact(keep=[])
    assert report.forgotten == (1,) and report.documents_dropped == 2 and report.bytes_after < report.bytes_before
    assert answers(store, 3) == before
    assert [info.number for info in store.versions()] == [3]
    assert store.snapshot().search_words("xanthelasma", 5) == []
    store.close()
    for path in store.path.rglob("*"):
        assert path.is_dir() or (b"quuxpatient" not in path.read_bytes() and b"xanthelasma" not in path.read_bytes())
    assert store.verify().sound
    with pytest.raises(InputError, match="no version 1"):
        store.snapshot(1)
    with pytest.raises(InputError, match="no version 2 to keep"):
        store.compact(keep=[2])
    assert fill(store, [make_document("later")]) == 4
    assert store.verify().sound


def test_a_reader_survives_forgetting_of_others(store: IndexStore) -> None:
    """A snapshot that was opened before a compaction must not see rows that the compaction dropped."""
    fill(store, documents(10))
    for number in range(3):
        fill(store, [make_document(f"d{i}", f"Text {number}.") for i in range(5)], seed=number)
    reader = store.snapshot()
    fresh = store.snapshot()
    mine = Filter(sources=("s",))
    expected = fresh.search("text", unit(1), 100), fresh.search("text", unit(1), 100, mine)
    assert store.compact(keep=[]).documents_dropped == 15
    assert (
        reader.search("text", unit(1), 100),
        reader.search("text", unit(1), 100, Filter(sources=("s",))),
    ) == expected
    assert len(reader.passages([hit.row for hit in expected[0][0]])) == len(expected[0][0]) == 15


def test_readers_go_on_while_versions_are_published_and_compacted(store: IndexStore) -> None:
    fill(store, documents(20))
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        other = IndexStore.open(store.path)
        try:
            while not stop.is_set():
                with other.snapshot() as snapshot:
                    hits = snapshot.search("text", unit(1), 10)[0]
                    assert len(hits) == 10
                    assert len(snapshot.passages([hit.row for hit in hits])) == 10
                    assert snapshot.search_words("heart", 5)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for number in range(6):
        fill(store, [make_document(f"e{number}"), make_document("d0", f"Text {number}.")], seed=number)
        if number % 3 == 2:
            store.compact(keep=[store.version()])
    stop.set()
    for thread in readers:
        thread.join()
    assert failures == []
    assert store.verify().sound


def test_a_deleted_index_is_gone_but_not_for_its_readers(store: IndexStore) -> None:
    fill(store, documents())
    reader = store.snapshot()
    with store.writer(), pytest.raises(IndexStateError, match="being written"):
        store.delete(timeout_s=0)
    store.delete()
    assert list(store.path.parent.iterdir()) == []
    assert len(reader.search("text", unit(1), 5)[0]) == 5
    with pytest.raises(InputError, match="no such index"):
        IndexStore.open(store.path)


def test_a_sound_index_verifies(store: IndexStore) -> None:
    assert store.verify().sound
    fill(store, documents())
    report = store.verify()
    counts = report.versions, report.documents, report.passages, report.vectors, report.segments
    assert report.sound and counts == (1, 6, 12, 12, 2)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE documents SET body = replace(body, 'clear', 'white') WHERE id = 'd3'", "document 'd3' (row 3)"),
        ("UPDATE passages SET start = 1 WHERE id = 'd2#0'", "passage 'd2#0' is not what was ingested"),
        ("UPDATE documents SET group_id = 'g-d1' WHERE id = 'd5'", "document 'd5' (row 5) is filed under other values"),
        ("DELETE FROM passages WHERE id = 'd4#1'", "'d4' (row 4) has 1 passages, 2 were ingested"),
        ("DELETE FROM segments WHERE kind = 'words'", "the word segments and the passages differ in 12 rows"),
        ("UPDATE versions SET documents = 7", "version 1 has 6 documents, 7 were published"),
        ("INSERT INTO passages VALUES (99, 4, 'd4#9', 0, 4, '')", "the catalogue has 13 passages, its documents 12"),
        ("UPDATE properties SET value = replace(value, '6', '5')", "version 1 has other documents by source"),
        ("UPDATE properties SET value = '[[' WHERE name = 'shelves 1'", "version 1 has other documents by source"),
        ("UPDATE spaces SET n = 11", "version 1 has 12 vectors in space 'text', 11 were published"),
    ],
)
def test_verify_finds_what_was_changed_in_the_catalogue(store: IndexStore, change: str, problem: str) -> None:
    fill(store, documents())
    with sqlite3.connect(store.path / "catalogue.sqlite") as connection:
        connection.execute(change)
    problems = store.verify().problems
    assert any(problem in found for found in problems), problems


@pytest.mark.parametrize("name", ["rows.npy", "index.faiss", "manifest.json", "postings.npy", "terms.npy"])
def test_verify_finds_what_was_changed_in_a_segment(store: IndexStore, name: str) -> None:
    fill(store, documents())
    path = next((store.path / "segments").rglob(name))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert any(name in problem for problem in store.verify().problems)
    path.unlink()
    assert any(f"{name} is missing" in problem for problem in store.verify().problems)
