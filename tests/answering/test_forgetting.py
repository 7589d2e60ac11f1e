"""What is erased from an index is erased from the process that answers from it."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401  # here, since its import leaves frames for the collector

from rag.answering.engine import Engine
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.encoders.encoders import Encoders
from rag.indexing import IndexStore
from rag.settings import Settings
from rag.types import Question

SECRET = "cihtapoxuuq"[::-1]  # stands in the withdrawn patient's report, and in no source code


@pytest.fixture(autouse=True)
def _collector_stays_away() -> Iterator[None]:
    """In a large process the collector may not come by for hours: what waits for it is not forgotten."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    rows = [
        {"id": "w", "group": "g-w", "text": f"The {SECRET} heart is enlarged. A {SECRET} lesion is seen. No effusion."},
        {"id": "k", "group": "g-k", "text": "The heart is normal. Small right pleural effusion. No pneumothorax."},
    ]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(json.dumps(row | {"domain": "radiology"}) for row in rows))
    ingest([Source(corpus)], IndexStore.create(tmp_path / "index"), Encoders.load(Settings().encoders))
    return tmp_path / "index"


@pytest.fixture
def engine(index: Path) -> Engine:
    return Engine.open(index)


def test_nothing_of_an_erased_report_is_left_in_the_process(engine: Engine) -> None:
    words = ("the heart enlarged", "a lesion", "an effusion", "a fracture")
    answers = [engine.ask(Question(text=f"Is there {w}?", study=study)) for w in words for study in ("w", "k")]
    assert any(a.verdict for a in answers)
    engine.ask("What is seen in the heart?")
    del answers
    assert holders(SECRET), "the reports were read, so that there is something to forget"
    with engine.store.writer() as writer:
        writer.remove(groups=["g-w"])
        writer.publish("withdrawn")
    engine.refresh()
    engine.ask(Question(text="Is there an effusion?", study="k"))
    assert engine.store.compact(keep=[]).documents_dropped == 1
    engine.refresh()
    assert holders(SECRET) == []


def holders(secret: str) -> list[str]:
    """The objects of this process that hold text with ``secret``, but for the secret itself."""
    found = []
    for container in gc.get_objects():
        for text in _texts(container):
            if secret in text and text != secret:
                found.append(f"{type(container).__name__}: {text[:80]!r}")
    return found


def _texts(container: Any) -> Iterator[str]:
    """What a container refers to, also through tuples and dicts of texts alone, which the collector does not list."""
    for value in gc.get_referents(container):
        if type(value) is str:
            yield value
        elif type(value) is bytes:
            yield value.decode(errors="ignore")
        elif type(value) in (tuple, dict, frozenset) and not gc.is_tracked(value):
            yield from _texts(value)
