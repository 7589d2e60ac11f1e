"""Two that come first at once, a disk that may only be read, a copy that lacks something, a folder that others see."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import rag

from rag.errors import IndexStateError, RagError
from rag.indexing.mounts import shared_file_system
from rag.indexing.store import IndexStore

BOUND = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner")  # root, for whom modes count
REPORTS = {
    "one": [
        {"id": f"a{n}", "text": "The heart is enlarged.", "domain": "radiology", "group": f"p{n}"} for n in range(9)
    ],
    "two": [{"id": f"b{n}", "text": "The lungs are clear.", "domain": "radiology", "group": f"q{n}"} for n in range(9)],
}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    for name, rows in REPORTS.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return [tmp_path / f"{name}.jsonl" for name in REPORTS]


def test_who_makes_an_index_second_opens_it(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def make(_: int) -> int:
        together.wait()
        return IndexStore.create(tmp_path / "indexes" / "new").version()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(8))) == [0] * 8
    assert [p.name for p in (tmp_path / "indexes").iterdir()] == ["new"]


def test_two_first_ingests_into_one_new_index(tmp_path: Path, sources: list[Path]) -> None:
    """Both are in it, or the one that came too late says so; nobody removes what the other writes."""
    into = ("--index", "new", "--indexes", str(tmp_path / "indexes"), "--json")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda source: rag("ingest", str(source), *into), sources))
    for one in done:
        assert one.returncode == 0 or "is being written by process" in one.stderr, one.stderr
        assert "Traceback" not in one.stderr and "internal error" not in one.stderr
    added = sum(json.loads(one.stdout)["added"] for one in done if one.returncode == 0)
    assert added in (9, 18)
    with IndexStore.open(tmp_path / "indexes" / "new") as store, store.snapshot() as snapshot:
        assert sum(c.documents for c in snapshot.counts()) == added
        assert store.verify().sound


def test_a_first_ingest_that_failed_leaves_what_another_has_begun(tmp_path: Path, sources: list[Path]) -> None:
    with IndexStore.create(tmp_path / "indexes" / "new").writer():  # the other
        done = rag("ingest", str(sources[0]), "--index", "new", "--indexes", str(tmp_path / "indexes"))
    assert done.returncode == 1 and "is being written by process" in done.stderr
    assert IndexStore.open(tmp_path / "indexes" / "new").version() == 0


def test_who_waited_for_an_index_that_was_deleted_is_told(tmp_path: Path) -> None:
    store, other = (IndexStore.create(tmp_path / "new") for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        writer = other.writer()
        waiting = pool.submit(store.writer)
        time.sleep(0.3)
        shutil.rmtree(tmp_path / "new")
        IndexStore.create(tmp_path / "new")
        writer._lock.release()
        with pytest.raises(IndexStateError, match="was deleted while this waited"):
            waiting.result()


def test_a_copy_without_its_write_ahead_log_is_noticed(tmp_path: Path, sources: list[Path]) -> None:
    indexes = str(tmp_path / "indexes")
    assert rag("ingest", str(sources[0]), "--index", "new", "--indexes", indexes).returncode == 0
    before = (tmp_path / "indexes" / "new" / "catalogue.sqlite").read_bytes()
    assert rag("ingest", str(sources[1]), "--index", "new", "--indexes", indexes).returncode == 0
    copy = tmp_path / "copies" / "new"
    shutil.copytree(tmp_path / "indexes" / "new", copy)
    (copy / "catalogue.sqlite").write_bytes(before)  # as it lay there while the second version was in the log alone
    with pytest.raises(IndexStateError, match="ends with version 1, and version 2 has been here.*-wal"):
        IndexStore.open(copy)
    (listed,) = json.loads(rag("index", "list", "--indexes", str(tmp_path / "copies"), "--json").stdout)["indexes"]
    assert "without" in listed["problem"]
    shutil.rmtree(copy / "leases")  # as the message says
    assert IndexStore.open(copy).version() == 1
    assert IndexStore.open(tmp_path / "indexes" / "new").version() == 2


@pytest.fixture
def read_only(sources: list[Path]) -> Iterator[dict[str, Any]]:
    """Options of a process that may read the index ``new`` and write nothing of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert rag("ingest", str(sources[0]), "--index", "new", "--indexes", str(folder)).returncode == 0
        paths = [folder / "new", *(folder / "new").rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            pytest.skip("modes do not count for root")
        yield {"cwd": folder, "before": BOUND if os.geteuid() == 0 else ()}
        for path in paths:
            path.chmod(0o755)


def test_an_index_that_may_only_be_read_answers_without_a_ledger_and_says_so(read_only: dict[str, Any]) -> None:
    asked = ("ask", "Does study a1 show cardiomegaly?", "--index", "new", "--indexes", ".")
    refused = rag(*asked, **read_only)
    assert refused.returncode == 1
    assert "may only be read. Ask with --no-ledger" in refused.stderr
    for more in ((), ("--stream",)):
        told = rag(*asked, "--no-ledger", *more, **read_only)
        assert told.returncode == 0, told.stderr
        assert "unrecorded" in told.stdout and "Yes" in told.stdout
    answer = json.loads(rag(*asked, "--no-ledger", "--json", **read_only).stdout)
    assert (answer["verdict"], answer["audit_id"]) == ("yes", "unrecorded")
    assert rag("search", "heart", "--index", "new", "--indexes", ".", **read_only).returncode == 0
    written = rag("ingest", "notes", "--index", "new", "--indexes", ".", **read_only)
    assert written.returncode == 1 and "permission denied" in written.stderr
    for done in (refused, written):
        assert "Traceback" not in done.stderr


def test_an_index_that_may_not_even_be_read_is_one_sentence(read_only: dict[str, Any]) -> None:
    (read_only["cwd"] / "new").chmod(0)
    for command in (("ask", "Is it?", "--index", "new"), ("index", "list"), ("search", "heart", "--index", "new")):
        done = rag(*command, "--indexes", ".", **read_only)
        assert "internal error" not in done.stderr and "Traceback" not in done.stderr, command
        assert "ermission" in done.stderr + done.stdout, (command, done)


MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 27 0:50 / /mnt/ward\040three rw,relatime shared:2 - nfs4 filer:/export rw,vers=4.2
41 40 8:2 / /mnt/ward\040three/local rw - xfs /dev/sdb rw
42 27 0:51 / /mnt/Müller rw - cifs //filer/share rw
43 27 0:52 / /mnt/home rw - fuse.sshfs me@host: rw
44 27 0:53 / /mnt/hidden rw - nfs filer:/a rw
45 27 0:54 / /mnt/hidden rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/ward three/indexes/demo", "nfs4"),
        ("/mnt/ward three/local/indexes", None),
        ("/mnt/ward three-and-a-half", None),
        ("/mnt/Müller", "cifs"),
        ("/mnt/home/me", "fuse.sshfs"),
        ("/mnt/hidden/x", None),
        ("/home/me/indexes", None),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(tmp_path: Path, path: str, kind: str | None) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS, encoding="utf-8")
    assert shared_file_system(Path(path), tmp_path / "mountinfo") == kind


def test_an_index_on_a_network_file_system_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rag.cli.shared import index_of
    from rag.indexing import mounts
    from rag.settings import Settings

    (tmp_path / "mountinfo").write_text(f"27 1 0:50 / {tmp_path} rw - nfs4 filer:/export rw\n")
    monkeypatch.setattr(mounts.shared_file_system, "__defaults__", (tmp_path / "mountinfo",))
    with pytest.raises(RagError, match="no such index"):
        index_of(Settings(indexes=tmp_path / "indexes"), "demo")
    assert "lies on nfs4, a network file system: use its indexes from one machine" in capsys.readouterr().err
