"""Some documents on their way to the encoders and into the index, and what of them each vector space takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.encoders.pool import Encoded, Work
from rag.encoders.protocols import TextEncoder, Vectors
from rag.types import Document, Passage

BATCH = 1024  # documents between two checkpoints: bounds memory and lost work, and is wide enough to sort by length


@dataclass(frozen=True)
class Batch:
    """Documents on their way to the index, their passages, and which of those have a text or an image to encode."""

    documents: list[Document]
    passages: list[Passage]
    texts: list[str]
    images: list[str]
    joint: list[str]
    work: Work

    @classmethod
    def of(cls, documents: list[Document], passages: list[Passage], joint: bool) -> Batch:
        texts = [p for p in passages if p.text]
        files = {d.id: d.image for d in documents if d.kind == "image" and d.image}
        pictures = [p for p in passages if p.document_id in files]
        reports = {d.id for d in documents if d.kind == "report"} if joint else ()
        shared = [p for p in texts if p.document_id in reports]
        work = Work(
            texts=tuple(p.text for p in texts),
            images=tuple(files[p.document_id] for p in pictures),
            joint=tuple(p.text for p in shared),
        )
        return cls(documents, passages, [p.id for p in texts], [p.id for p in pictures], [p.id for p in shared], work)

    def vectors(self, encoded: Encoded) -> dict[str, tuple[Sequence[str], Vectors]]:
        """Per space, passage ids and their vectors."""
        found = {
            "text": (self.texts, encoded.texts),
            "image": (self.images, encoded.images),
            "joint": (self.joint, encoded.joint),
        }
        return {space: (ids, matrix) for space, (ids, matrix) in found.items() if matrix is not None}

    def bridged(self, bridge: TextEncoder | None) -> dict[str, tuple[Sequence[str], Vectors]]:
        """The same in the space of many languages, where there is one."""
        return {} if bridge is None else {"bridge": (self.texts, bridge.encode(self.work.texts))}
