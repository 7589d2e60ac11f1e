"""Search over channels: text, words and image, fused by rank.

- ``text``: the question's embedding against those of passages (inner product of unit vectors).
- ``words``: BM25 over the same passages.
- ``image``: the question's image against indexed images; an image found brings the text of its case.
- ``study``: no search at all: the question names a case, and that case's own text is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rag.encoders.protocols import ImageEncoder, TextEncoder, Vectors
from rag.indexing.records import Filter
from rag.indexing.snapshot import Snapshot
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.retrieval.router import is_sure
from rag.settings import RetrievalSettings
from rag.types import Document, Domain, Hit, Passage, Question


class Neighbour(NamedTuple):
    """An indexed image like the question's; ``similarity`` is a cosine."""

    row: int
    document: Document
    similarity: float


class _Place(NamedTuple):
    """Where a channel ranked a passage (from 1), with its score, and the image that brought it."""

    rank: int
    score: float
    image: str | None = None


@dataclass(frozen=True)
class Found:
    """What the channels brought for one question.

    ``text_similarity`` is the best cosine of the text channel, None where it did not run.
    """

    hits: tuple[Hit, ...]
    text_similarity: float | None = None


class Searcher:
    """Searches one snapshot of an index. Safe to use from several threads."""

    def __init__(
        self, snapshot: Snapshot, text: TextEncoder, image: ImageEncoder | None, settings: RetrievalSettings
    ) -> None:
        self._snapshot = snapshot
        self._text = text
        self._image = image
        self._settings = settings

    def neighbours(self, questions: Sequence[Question]) -> list[list[Neighbour]]:
        """For each question the indexed images most like its own, best first; images are encoded in one batch."""
        near: list[list[Neighbour]] = [[] for _ in questions]
        asking = [i for i, q in enumerate(questions) if q.image is not None and q.study is None]
        if not asking or self._image is None or "image" not in self._snapshot.spaces():
            return near
        vectors = self._image.encode_images([questions[i].image or "" for i in asking])
        for i, vector in zip(asking, vectors, strict=True):
            where = Filter(kinds=("image",), exclude_groups=questions[i].exclude_groups)
            scored = self._snapshot.search("image", vector[None], self._settings.depth, where)[0]
            close = [s for s in scored if s.score >= self._settings.min_image_similarity]
            documents = self._snapshot.passages([s.row for s in close])
            near[i] = [Neighbour(s.row, d, s.score) for s, (_, d) in zip(close, documents, strict=True)]
        return near

    def search(
        self,
        questions: Sequence[Question],
        domains: Sequence[Domain],
        near: Sequence[list[Neighbour]],
        votes: Sequence[bool],
        k: int,
    ) -> list[Found]:
        """At most ``k`` fused hits for each question; texts are encoded in one batch.

        Where similar cases are to vote on a finding (``votes``), only the image channel runs: a search by the finding's
        name would bring the cases that have it. A question that names a study gets that study's own passages, all of
        them. A search keeps to the question's
        domain and ``general`` where the router is sure, and looks everywhere otherwise.
        """
        voting = {i: self._voters(near[i], k) for i, vote in enumerate(votes) if vote}
        free = [i for i, q in enumerate(questions) if q.study is None and i not in voting]
        vectors = self._text.encode([questions[i].text for i in free], kind="query") if free else ()
        found = {
            i: self._fused(questions[i], vector[None], domains[i], near[i], k)
            for i, vector in zip(free, vectors, strict=True)
        }
        found |= voting
        return [found[i] if i in found else self._study(q) for i, q in enumerate(questions)]

    def _study(self, question: Question) -> Found:
        """The passages of one case's own texts, in reading order."""
        hits: list[Hit] = []
        for document in self._snapshot.case(question.study or ""):
            if document.kind == "image" or document.group_id in question.exclude_groups:
                continue
            for _, passage in self._snapshot.passages_of(document.id):
                hits.append(_hit(passage, document, 1.0, {"study": _Place(len(hits) + 1, 1.0)}))
        return Found(tuple(hits))

    def _fused(self, question: Question, vector: Vectors, domain: Domain, near: list[Neighbour], k: int) -> Found:
        snapshot, depth = self._snapshot, max(self._settings.depth, k)
        where = Filter(
            kinds=("report", "literature"),
            domains=(domain.name, "general") if is_sure(domain) else (),
            exclude_groups=question.exclude_groups,
        )
        channels: dict[str, dict[int, _Place]] = {}
        if "text" in snapshot.spaces():
            found = snapshot.search("text", vector, depth, where)[0]
            channels["text"] = {s.row: _Place(n, s.score) for n, s in enumerate(found, start=1)}
        words = snapshot.search_words(question.text, depth, where)
        channels["words"] = {s.row: _Place(n, s.score) for n, s in enumerate(words, start=1)}
        channels["image"] = self._cases(near)
        similarity = max((p.score for p in channels.get("text", {}).values()), default=None)
        return Found(self._hits(channels, k), similarity)

    def _voters(self, near: list[Neighbour], k: int) -> Found:
        """Cases of similar images; their scores are the cosines, on which the gap rule then cuts as MMed-RAG has it."""
        places = dict(list(self._cases(near).items())[:k])
        passages = self._snapshot.passages(list(places))
        return Found(
            tuple(
                _hit(passage, document, place.score, {"image": place})
                for place, (passage, document) in zip(places.values(), passages, strict=True)
            )
        )

    def _hits(self, channels: dict[str, dict[int, _Place]], k: int) -> tuple[Hit, ...]:
        fused = reciprocal_rank_fusion({c: list(rows) for c, rows in channels.items()}, self._settings.rrf_constant)[:k]
        passages = self._snapshot.passages([row for row, _ in fused])
        return tuple(
            _hit(passage, document, score, {c: rows[row] for c, rows in channels.items() if row in rows})
            for (row, score), (passage, document) in zip(fused, passages, strict=True)
        )

    def _cases(self, near: list[Neighbour]) -> dict[int, _Place]:
        """The texts of the cases of similar images; an image whose case has no text stands for itself."""
        places: dict[int, _Place] = {}
        for n in near:
            texts = [d for d in self._snapshot.case(n.document.case_id) if d.kind != "image" and d.text]
            for row in [r for d in texts for r, _ in self._snapshot.passages_of(d.id)] or [n.row]:
                places.setdefault(row, _Place(len(places) + 1, n.similarity, n.document.id))
        return places


def _hit(passage: Passage, document: Document, score: float, places: dict[str, _Place]) -> Hit:
    return Hit(
        passage=passage,
        document=document,
        score=min(1.0, score),
        channel=min(places, key=lambda c: (places[c].rank, c)),
        ranks={c: p.rank for c, p in places.items()},
        similarities={c: round(p.score, 6) for c, p in places.items()},
        found_image=places["image"].image if "image" in places else None,
    )
