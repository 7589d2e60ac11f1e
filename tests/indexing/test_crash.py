"""Killed at any moment, the index keeps its last published version whole, and the next writer goes on.

``RAG_KILLS=300 pytest tests/indexing/test_crash.py`` makes the full run of so many random kills; the default is a
sample of it.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rag.indexing
from rag.errors import StorageError
from rag.indexing import IndexStore
from rag.types import Document

from .brute_force import SPACES, batch_of, fill, make_document, unit

POINTS = sorted(
    {
        point
        for module in Path(rag.indexing.__file__).parent.rglob("*.py")
        for point in re.findall(r'failpoints\.hit\("([a-z-]+)"\)', module.read_text(encoding="utf-8"))
    }
)
KILLS = int(os.environ.get("RAG_KILLS", "12"))

Content = dict[str, str]  # text by document id


def documents_of(number: int) -> list[Document]:
    return [make_document(f"d{(number * 3 + i) % 10}", f"Round {number}. Normal. Text {i}.") for i in range(4)]


def after(number: int, before: Content) -> Content:
    """What an ingest round publishes: four documents added or updated, one removed."""
    content = {**before, **{document.id: document.text for document in documents_of(number)}}
    content.pop(f"d{(number * 3 + 5) % 10}", None)
    return content


def ingest_round(store: IndexStore, number: int) -> None:
    documents = documents_of(number)
    with store.writer(checkpoint=f"round {number}") as writer:
        for start in (0, 2):
            wanted = writer.compare(documents[start : start + 2]).to_encode
            writer.stage(*batch_of([d for d in documents[start : start + 2] if d.id in wanted], seed=number))
        writer.remove(document_ids=[f"d{(number * 3 + 5) % 10}"])
        writer.publish(f"round {number}", SPACES)


def content_of(store: IndexStore, version: int) -> Content:
    """The texts of a version, read through search: every passage must be found."""
    with store.snapshot(version) as snapshot:
        hits = snapshot.search("text", unit(1), 1000)[0]
        documents = {document.id: document.text for _, document in snapshot.passages([hit.row for hit in hits])}
        assert len(hits) == 3 * len(documents) == snapshot.spaces()["text"].n
        assert {hit.row for hit in snapshot.search_words("round normal text", 1000)} == {hit.row for hit in hits}
        return documents


def run_and_die(work: Callable[[], None], failpoint: str = "", kill_after: float | None = None) -> bool:
    """Run ``work`` in a forked child; true if it was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            os.environ["RAG_FAILPOINT"] = failpoint
            work()
            os._exit(0)
        finally:
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed instead of dying"
    return os.WIFSIGNALED(status)


def assert_clean(store: IndexStore) -> None:
    """Nothing on disk but what the catalogue names."""
    report = store.verify()
    assert report.sound, report.problems
    assert len(list((store.path / "segments").iterdir())) == report.segments
    assert list((store.path / "staging").iterdir()) == []


class Life:
    """An index that lives through many kills, and what each of its versions must hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        store = IndexStore.create(path)
        self.number = 1
        self.expected: dict[int, Content] = {}
        content: Content = {}
        for number in range(2):
            ingest_round(store, number)
            self.expected[number + 1] = content = after(number, content)

    def strike(self, kind: str, failpoint: str = "", kill_after: float | None = None) -> bool:
        """Let a child do one piece of work and die in it; check everything; then do the work."""
        store = IndexStore.open(self.path)
        latest = store.version()
        self.number += 1
        number = self.number
        oldest = min(self.expected)
        if kind == "rollback" and oldest == latest:
            kind = "ingest"
        works = {
            "ingest": (lambda: ingest_round(IndexStore.open(self.path), number), after(number, self.expected[latest])),
            "rollback": (lambda: IndexStore.open(self.path).rollback(oldest), self.expected[oldest]),
            "compact": (lambda: IndexStore.open(self.path).compact(keep=sorted(self.expected)[-3:]), None),
        }
        work, content = works[kind]
        died = run_and_die(work, failpoint, kill_after)
        self.check(content)
        if store.version() == latest or kind == "compact":
            work()
            self.check(content)
        if kind == "compact":
            self.expected = {version: self.expected[version] for version in sorted(self.expected)[-3:]}
        else:
            assert store.version() == latest + 1
            self.expected[latest + 1] = content or {}
        store.writer().close()  # the next writer leaves no orphan behind
        assert_clean(store)
        return died

    def check(self, content: Content | None) -> None:
        store = IndexStore.open(self.path)
        assert store.verify().sound, store.verify().problems
        for info in store.versions():
            wanted = self.expected.get(info.number, content)
            assert content_of(store, info.number) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("point", POINTS)
def test_killed_between_two_durable_steps(tmp_path: Path, point: str) -> None:
    life = Life(tmp_path / "demo")
    works = {"rollback": ["rollback"], "compact": ["compact"], "segment": ["ingest", "compact"]}
    for kind in works.get(point.split("-")[0], ["ingest"]):
        assert life.strike(kind, point), f"{kind} does not pass the failpoint {point}"
    if point.startswith("batch"):
        assert life.strike("ingest", f"{point}:2"), "the second batch is a step of its own"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    dice = random.Random(11)
    life = Life(tmp_path / "demo")
    died = 0
    for _ in range(10 * KILLS):  # some are done before they are to be killed
        kind = dice.choice(["ingest", "ingest", "ingest", "rollback", "compact"])
        died += life.strike(kind, kill_after=dice.uniform(0, 0.05))
        if died == KILLS:
            return
    pytest.fail(f"only {died} of {10 * KILLS} writers were killed in time")


def test_killed_while_the_index_is_made(tmp_path: Path) -> None:
    dice = random.Random(5)
    for _ in range(6):
        path = tmp_path / "new"
        run_and_die(lambda path=path: IndexStore.create(path) and None, kill_after=dice.uniform(0, 0.006))
        assert IndexStore.create(path).version() == 0
        path.rename(tmp_path / f"made-{dice.random()}")


def test_a_killed_ingest_resumes_from_its_last_batch(tmp_path: Path) -> None:
    store = IndexStore.create(tmp_path / "demo")
    assert run_and_die(lambda: ingest_round(IndexStore.open(store.path), 1), "batch-written:2")
    with store.writer(checkpoint="round 1") as writer:
        changes = writer.compare(documents_of(1))
        assert changes.staged == {"d3", "d4"} and changes.new == {"d5", "d6"}
    ingest_round(store, 1)
    assert content_of(store, 1) == after(1, {})


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from indexing.brute_force import SPACES, batch_of, make_document
from rag.errors import StorageError
from rag.indexing import IndexStore
store = IndexStore.open(Path(sys.argv[1]))
limit = int(sys.argv[2])
documents = [make_document(f"big{i}", "The lungs are clear. " * 40) for i in range(60)]
stage = sys.argv[3] == "stage"
if stage:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with store.writer() as writer:
        for start in range(0, 60, 10):
            writer.stage(*batch_of(documents[start : start + 10]))
        if not stage:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        writer.publish("too large", SPACES)
except StorageError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize("where", ["stage", "publish"])
@pytest.mark.parametrize("limit", [0, 20_000, 150_000])
def test_a_full_disk_is_one_sentence_and_the_index_as_it_was(
    store: IndexStore,
    in_subprocess: Callable[..., subprocess.CompletedProcess[str]],
    where: str,
    limit: int,
) -> None:
    fill(store, [make_document(f"d{i}") for i in range(6)])
    before = content(store)
    done = in_subprocess(FILL_THE_DISK, str(store.path), str(limit), where)
    assert done.returncode == 7, done.stderr[-2000:]
    assert str(store.path) in done.stdout and len(done.stdout.strip().splitlines()) == 1
    assert store.version() == 1 and content(store) == before
    store.writer().close()
    assert_clean(store)
    assert fill(store, [make_document("next")]) == 2


def content(store: IndexStore) -> tuple:
    snapshot = store.snapshot()
    found = snapshot.search("text", unit(1), 1000)[0]
    return found, snapshot.passages([hit.row for hit in found]), snapshot.counts()


def test_a_full_disk_while_an_index_is_made_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="new"):
            IndexStore.create(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
