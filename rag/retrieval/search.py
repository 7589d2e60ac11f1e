"""Search over channels: text, words and image, fused by rank.

- ``text``: the question's embedding against passages' (inner product of unit vectors).
- ``words``: BM25 over the same passages.
- ``image``: the question's image against indexed images; an image found brings the text of its case.
- ``study``: no search at all: the question names a case, and that case's own text is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.indexing.snapshot import Filter, Snapshot
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.settings import RetrievalSettings
from rag.types import Hit, Question


@dataclass
class _Ranked:
    """One channel's result: row -> (rank, similarity), and which image brought the row."""

    rows: dict[int, tuple[int, float]]
    images: dict[int, str]


@dataclass(frozen=True)
class Found:
    """What the channels brought for one question.

    ``text_similarity`` is the best cosine of the text channel (None where it did not run); ``neighbours`` are the
    (domain, similarity) of the images most like the question's.
    """

    hits: tuple[Hit, ...]
    text_similarity: float | None
    neighbours: tuple[tuple[str, float], ...]


class Searcher:
    """Searches one snapshot of an index. Safe to use from several threads."""

    def __init__(
        self, snapshot: Snapshot, text: TextEncoder, image: ImageEncoder | None, settings: RetrievalSettings
    ) -> None:
        self._snapshot = snapshot
        self._text = text
        self._image = image
        self._settings = settings

    def neighbours(self, question: Question) -> list[tuple[int, float]]:
        """(row, cosine) of the indexed images most like the question's image, best first."""
        if question.image is None or self._image is None or "image" not in self._snapshot.spaces():
            return []
        vector = self._image.encode_images([question.image])
        where = Filter(kinds=("image",), exclude_groups=question.exclude_groups)
        found = self._snapshot.search("image", vector, self._settings.depth, where)[0]
        return [(s.row, s.score) for s in found if s.score >= self._settings.min_image_similarity]

    def study(self, case_id: str, exclude_groups: Sequence[str] = ()) -> Found:
        """The passages of one case's own texts, in reading order."""
        rows: list[int] = []
        for document in self._snapshot.case(case_id):
            if document.kind != "image" and document.group_id not in exclude_groups:
                rows += [row for row, _ in self._snapshot.passages_of(document.id)]
        pairs = self._snapshot.passages(rows)
        return Found(
            tuple(
                Hit(passage=p, document=d, score=1.0, channel="study", ranks={"study": n})
                for n, (p, d) in enumerate(pairs, start=1)
            ),
            None,
            (),
        )

    def search(
        self,
        questions: Sequence[Question],
        domains: Sequence[tuple[str, ...]],
        images: Sequence[list[tuple[int, float]]],
        k: int,
    ) -> list[Found]:
        """Fused search for several questions; their texts are encoded in one batch.

        Args:
            questions: n questions.
            domains: for each question the domains to keep to; empty for all.
            images: for each question the result of :meth:`neighbours`.
            k: most hits per question.
        """
        vectors = self._text.encode([q.text for q in questions], kind="query")
        return [self._one(q, vectors[i : i + 1], domains[i], images[i], k) for i, q in enumerate(questions)]

    def _one(self, question: Question, vector, domains, images, k: int) -> Found:  # type: ignore[no-untyped-def]
        snapshot, depth = self._snapshot, max(self._settings.depth, k)
        where = Filter(kinds=("report", "literature"), domains=domains, exclude_groups=question.exclude_groups)
        channels: dict[str, _Ranked] = {}
        if "text" in snapshot.spaces():
            found = snapshot.search("text", vector, depth, where)[0]
            channels["text"] = _Ranked({s.row: (n, s.score) for n, s in enumerate(found, 1)}, {})
        words = snapshot.search_words(question.text, depth, where)
        channels["words"] = _Ranked({s.row: (n, s.score) for n, s in enumerate(words, 1)}, {})
        if images:
            channels["image"] = self._cases(images)
        fused = reciprocal_rank_fusion({c: list(r.rows) for c, r in channels.items()}, self._settings.rrf_constant)[:k]
        pairs = snapshot.passages([row for row, _ in fused])
        hits = []
        for (row, score), (passage, document) in zip(fused, pairs, strict=True):
            ranks = {c: r.rows[row][0] for c, r in channels.items() if row in r.rows}
            hits.append(
                Hit(
                    passage=passage,
                    document=document,
                    score=min(1.0, score),
                    channel=min(ranks, key=lambda c: (ranks[c], c)),
                    ranks=ranks,
                    similarities={c: round(r.rows[row][1], 6) for c, r in channels.items() if row in r.rows},
                    found_image=channels["image"].images.get(row) if "image" in channels else None,
                )
            )
        best = max((s for _, s in channels["text"].rows.values()), default=None) if "text" in channels else None
        near = tuple(
            (d.domain, s)
            for (_, d), (_, s) in zip(snapshot.passages([r for r, _ in images[:5]]), images[:5], strict=True)
        )
        return Found(tuple(hits), best, near)

    def _cases(self, images: list[tuple[int, float]]) -> _Ranked:
        """The texts of the cases of similar images; an image whose case has no text stands for itself."""
        ranked = _Ranked({}, {})
        for (row, similarity), (_, document) in zip(
            images, self._snapshot.passages([r for r, _ in images]), strict=True
        ):
            texts = [d for d in self._snapshot.case(document.case_id) if d.kind != "image" and d.text]
            rows = [r for d in texts for r, _ in self._snapshot.passages_of(d.id)] or [row]
            for found in rows:
                if found not in ranked.rows:
                    ranked.rows[found] = (len(ranked.rows) + 1, similarity)
                    ranked.images[found] = document.id
        return ranked
