"""A small index of synthetic reports of known content, without models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.building.index import Index
from rag.building.reread import reread
from rag.corpus.chunking import passages_of
from rag.indexing import IndexStore, SpaceInfo
from rag.settings import Settings
from rag.types import Document

# id, patient, date, text: synthetic
REPORTS = (
    ("S1", "p1", "2018-02-01", "There is a small left pleural effusion. The heart is enlarged."),
    ("S2", "p1", "2019-05-10", "Bilateral pleural effusions. No pneumothorax."),
    ("S3", "p2", "2019-06-11", "No pleural effusion or pneumothorax. The heart size is normal."),
    ("S4", "p3", "2020-01-01", "A 1.2 cm nodule in the right upper lobe. A 4 mm nodule in the left lower lobe."),
    ("S5", "p4", "20210304", "Possible pneumonia. A 9 mm nodule is seen."),
    ("S6", "p5", "", "INDICATION: History of pneumonia.\nFINDINGS: The lungs are clear. =1+1 cardiomegaly."),
    ("S7", "p6", "2022", "No acute cardiopulmonary abnormality."),
)


def document(identity: str, group: str, when: str, text: str, source: str = "synthetic") -> Document:
    return Document(
        id=identity,
        kind="report",
        domain="radiology",
        text=text,
        case_id=identity,
        group_id=group,
        source=source,
        metadata={"date": when} if when else {},
    )


def publish(store: IndexStore, documents: list[Document]) -> int:
    """Put documents into the index without encoding them: every passage gets the same unit vector."""
    passages = [p for d in documents for p in passages_of(d)]
    vectors = np.zeros((len(passages), 4), np.float32)
    vectors[:, 0] = 1.0
    with store.writer() as writer:
        writer.stage(documents, passages, {"text": ([p.id for p in passages], vectors)})
        return writer.publish("test", {"text": SpaceInfo(4, "test")})


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "synthetic", Settings())
    publish(made.store, [document(*row) for row in REPORTS])
    reread(made.store)
    return made
