"""What the tests share: real data where it is present, and indexes built once for all workers."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import Colours
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from rag.answering.engine import Engine
    from rag.language.clinical_text import Texts
    from rag.language.lexicon import Lexicon

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores
settings.register_profile("untimed", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("untimed")

REPORTS = 250  # reports of the small index: enough for every study that the tests name
NAMED = ("CXR2814", "CXR227", "CXR1")


@pytest.fixture(scope="session")
def lexicon() -> Lexicon:
    from rag.language.lexicon import Lexicon

    return Lexicon.load()


@pytest.fixture(scope="session")
def texts(lexicon: Lexicon) -> Texts:
    from rag.language.clinical_text import Texts

    return Texts(lexicon)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data for tests, beside the repository; skips where it is absent."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data for tests (../shared/data) is not here")
    return folder


@pytest.fixture(scope="session")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the index ``small``: real reports, all notes and the sample images; shared by all workers."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "indexes"
    with FileLock(f"{root}.lock"):
        if not (root / "ready").exists():
            _build(root)
            (root / "ready").touch()
    return root


@pytest.fixture(scope="session")
def copy_index(indexes: Path) -> Callable[[Path], None]:
    """Copies the index ``small`` to a new folder, without what other tests have asked of it."""

    def copy(folder: Path) -> None:
        shutil.copytree(indexes / "small", folder, ignore=shutil.ignore_patterns("ledger.sqlite*", "images"))

    return copy


def _build(root: Path) -> None:
    from rag.building.ingest import ingest
    from rag.building.source import Source
    from rag.corpus.packaged import packaged_file
    from rag.encoders.encoders import Encoders
    from rag.indexing import IndexStore
    from rag.settings import Settings

    reports = root.parent / "reports"
    reports.mkdir()
    with tarfile.open(packaged_file("torchxrayvision", "data", "NLMCXR_reports.tgz")) as archive:
        members = sorted((m for m in archive if m.isfile() and m.name.endswith(".xml")), key=lambda m: m.name)
        wanted = [m for n, m in enumerate(members) if n < REPORTS or f"CXR{Path(m.name).stem}" in NAMED]
        for member in wanted:
            stream = archive.extractfile(member)
            assert stream is not None
            (reports / Path(member.name).name).write_bytes(stream.read())
    settings = Settings().encoders
    root.mkdir()
    ontology = root.parent / "small.obo"
    ontology.write_text(_OBO)
    sources = [Source(reports), Source(ontology), Source("notes"), Source("samples")]
    ingest(sources, IndexStore.create(root / "small"), Encoders.load(settings))


@pytest.fixture(scope="session")
def engine(indexes: Path) -> Engine:
    from rag.answering.engine import Engine

    return Engine.open(indexes / "small")


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A small JSONL corpus with two bad rows."""
    path = tmp_path / "cases.jsonl"
    rows = [
        {"id": "c1", "text": "The heart is enlarged. No effusion.", "domain": "radiology", "group": "p1"},
        {"id": "c2", "text": "Normal chest. Lungs are clear.", "domain": "radiology", "group": "p2"},
        {"id": "c3"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    return path


_OBO = """format-version: 1.2
data-version: hp/releases/2025-01-16

[Term]
id: HP:0011510
name: Drusen
def: "Tiny yellow or white accumulations of extracellular material in Bruch's membrane of the eye." [PMID:1]
synonym: "Druse" EXACT []

[Term]
id: HP:0000568
name: Microphthalmia
def: "A developmental anomaly characterized by abnormal smallness of one or both eyes." [PMID:2]
synonym: "Abnormally small eye" EXACT []
"""


@pytest.fixture
def colours() -> Colours:
    return Colours()
