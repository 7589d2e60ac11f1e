"""A tiny corpus with vectors, and a brute-force model of what a store must answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.indexing import Filter, IndexStore, SpaceInfo
from rag.types import Document, Passage

DIM = 8
SPACES = {"text": SpaceInfo(DIM, "encoder-a")}

Batch = tuple[list[Document], list[Passage], dict[str, tuple[list[str], np.ndarray]]]


def unit(seed: int, n: int = 1, dim: int = DIM) -> np.ndarray:
    """(n, dim) random unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_document(identity: str, text: str = "The lungs are clear. The heart is normal.", **fields: str) -> Document:
    about = {"kind": "report", "case_id": f"C-{identity}", "group_id": f"g-{identity}", "source": "s", **fields}
    return Document(id=identity, text=text, domain=about.pop("domain", "radiology"), **about)  # type: ignore[arg-type]


def sentences_of(document: Document) -> list[Passage]:
    """One passage per sentence (the test texts end each with a full stop)."""
    passages, start = [], 0
    while (end := document.text.find(".", start) + 1) > 0:
        passages.append(
            Passage(
                id=f"{document.id}#{len(passages)}",
                document_id=document.id,
                start=start,
                end=end,
                text=document.text[start:end],
            )
        )
        start = end + 1
    return passages


def batch_of(documents: Sequence[Document], seed: int = 0, pool: int | None = None, space: str = "text") -> Batch:
    """Documents, their passages, and vectors; with ``pool``, that many distinct ones, so that scores tie."""
    passages = [passage for document in documents for passage in sentences_of(document)]
    vectors = unit(seed, len(passages)) if pool is None else unit(seed, pool)[np.arange(len(passages)) % pool]
    return list(documents), passages, {space: ([passage.id for passage in passages], vectors)}


def fill(store: IndexStore, documents: Sequence[Document], seed: int = 0) -> int:
    with store.writer() as writer:
        writer.stage(*batch_of(documents, seed))
        return writer.publish("filled", SPACES)


class Model:
    """What a store holds, kept in plain dictionaries: the oracle of the tests."""

    def __init__(self) -> None:
        self.alive: dict[str, tuple[Document, list[tuple[int, Passage, np.ndarray]]]] = {}
        self.next_row = 0
        self.versions: dict[int, dict[str, tuple[Document, list[tuple[int, Passage, np.ndarray]]]]] = {0: {}}

    def publish(self, version: int, staged: dict[str, Batch], removed: set[str]) -> None:
        alive = {key: value for key, value in self.alive.items() if key not in removed}
        for key, (documents, passages, vectors) in staged.items():
            rows = [
                (self.next_row + place, passage, vector)
                for place, (passage, vector) in enumerate(zip(passages, vectors["text"][1], strict=True))
            ]
            self.next_row += len(rows)
            alive[key] = documents[0], rows
        self.alive = alive
        self.versions[version] = dict(alive)

    def search(self, version: int, query: np.ndarray, k: int, where: Filter) -> list[tuple[int, float]]:
        scored = [
            (row, float(np.float32((vector.astype(np.float64) * query.astype(np.float64)).sum())))
            for document, rows in self.versions[version].values()
            if passes(document, where)
            for row, _, vector in rows
        ]
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[:k]


def passes(document: Document, where: Filter) -> bool:
    return (
        (not where.kinds or document.kind in where.kinds)
        and (not where.domains or document.domain in where.domains)
        and (not where.sources or document.source in where.sources)
        and (not where.case_ids or document.case_id in where.case_ids)
        and document.group_id not in where.exclude_groups
    )
