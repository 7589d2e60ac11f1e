"""Search over channels: texts, words and images in every direction, fused by weighted rank.

- ``text``: the question's embedding against those of passages (inner product of unit vectors).
- ``words``: BM25 over the same passages.
- ``image``: the question's image against indexed images; an image found brings the text of its case.
- ``image-report``: the question's image against reports, in the space that an image-text encoder gives both.
- ``text-image``: the question's words against indexed images, in the same space; these bring their cases' texts, too.
- ``bridge``: the question's words against passages in a space of many languages, where the question or a document of
  the index is not in English.
- ``rerank``: a reranker's order of the literature that the others brought first, where the settings name one.
- ``study``: no search at all: the question names a case, and that case's own text is read.

A channel runs where the index has its space and the encoder its side. Scores of different channels are not comparable,
least of all across modalities (Liang et al. 2022, "Mind the gap"), so only ranks are fused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import NamedTuple

from rag.encoders.cross import CrossEncoder
from rag.encoders.features import encode_with_features
from rag.encoders.protocols import ImageEncoder, ImageTextEncoder, TextEncoder, Vectors
from rag.indexing.records import Filter
from rag.indexing.snapshot import Snapshot
from rag.language.cognates import shares_of_roots
from rag.language.languages import TEXT_LANGUAGE
from rag.language.question import subject_words
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.retrieval.relevance import ACROSS, Signs, relevance_by
from rag.retrieval.router import is_sure
from rag.settings import RetrievalSettings
from rag.types import Document, Domain, Hit, Kind, Passage, Question

_BRIDGE = 2.0  # the weight of what only one channel can find, beside two that find English texts
_CROSSED = 100  # passages of the bridge that are ordered anew by the roots of their words
_ROOTS = 0.3  # what these count beside the cosine; learned on half of the questions of tests/data/languages
_TEXTS: tuple[Kind, ...] = ("report", "literature")


class Neighbour(NamedTuple):
    """An indexed image like the question's; ``similarity`` is a cosine."""

    row: int
    document: Document
    similarity: float


class Sight(NamedTuple):
    """A question's image: its vector (1, dim), None without an image, and the indexed images most like it.

    ``features`` (1, width) are for the router; see :mod:`rag.encoders.features`.
    """

    vector: Vectors | None = None
    near: tuple[Neighbour, ...] = ()
    features: Vectors | None = None


class _Read(NamedTuple):
    """A question's words as a vector (1, dim) for passages, one for images where these can be compared, encoded when
    it is asked for, and one in the space of many languages where it is to be searched there."""

    text: Vectors
    joint: Callable[[], Vectors | None]
    bridge: Vectors | None = None


class ChannelRank(NamedTuple):
    """Where a channel ranked a passage (from 1), with its score, and the image that brought it."""

    rank: int
    score: float
    image: str | None = None


Channels = Mapping[str, Mapping[int, ChannelRank]]  # channel -> passage row -> place, best first


@dataclass(frozen=True)
class Retrieved:
    """What the channels brought for one question.

    ``kinds`` of evidence were searched; none named means all.
    """

    hits: tuple[Hit, ...]
    kinds: tuple[Kind, ...] = ()


class Searcher:
    """Searches one snapshot of an index. Safe to use from several threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        text: TextEncoder,
        image: ImageEncoder | None,
        settings: RetrievalSettings,
        reranker: CrossEncoder | None = None,
        bridge: TextEncoder | None = None,
    ) -> None:
        self.bridge = bridge
        self._snapshot = snapshot
        self._text = text
        self._image = image
        self._reranker = reranker
        self._settings = settings
        self._relevance = relevance_by(text.fingerprint)
        self._told: dict[tuple[str, ...], bool] = {}  # whether the cases of images have texts of these kinds

    def see(self, questions: Sequence[Question]) -> list[Sight]:
        """Each question's image and the indexed images most like it, best first; all are encoded in one batch."""
        sights = [Sight() for _ in questions]
        asking = [i for i, q in enumerate(questions) if q.image is not None and q.study is None]
        spaces = self._snapshot.spaces().keys()
        if not asking or self._image is None or not spaces & {"image", "joint"}:
            return sights
        vectors, features = encode_with_features(self._image, [questions[i].image or "" for i in asking])
        for i, vector, feature in zip(asking, vectors, features, strict=True):
            near = self._neighbours(vector[None], questions[i]) if "image" in spaces else ()
            sights[i] = Sight(vector[None], near, feature[None])
        return sights

    def search(
        self,
        questions: Sequence[Question],
        domains: Sequence[Domain],
        sights: Sequence[Sight],
        votes: Sequence[bool],
        first: Sequence[tuple[Kind, ...]],
        k: int,
    ) -> list[Retrieved]:
        """At most ``k`` fused hits for each question; texts are encoded in one batch.

        A question with kinds of evidence to be searched ``first`` is searched in those alone, and in everything only
        where none of the passages found bears on it (``min_relevance``).

        Where similar cases are to vote on a finding (``votes``), only the image channel runs: a search by the finding's
        name would bring the cases that have it. A question that names a study gets that study's own passages, all of
        them. A search keeps to the domains that the router says, and so do the similar images.
        """
        found = {i: self._voters(_within(sights[i], domains[i].searched), k) for i, vote in enumerate(votes) if vote}
        free = [i for i, q in enumerate(questions) if q.study is None and i not in found]
        for i, read in zip(free, self._read([questions[i] for i in free]), strict=True):
            for kinds in dict.fromkeys((first[i], ())):
                found[i] = self._fused(questions[i], domains[i], sights[i], read, kinds, k)
                if any((h.relevance or 0.0) >= self._settings.min_relevance for h in found[i].hits):
                    break
        return [found[i] if i in found else self._study(q) for i, q in enumerate(questions)]

    def channels(
        self, questions: Sequence[Question], domains: Sequence[Domain], sights: Sequence[Sight], depth: int
    ) -> list[Channels]:
        """What each channel finds for each question, at most ``depth`` passages, before anything is fused."""
        return [
            self._channels(q, domain, sight, read, (), depth)
            for q, domain, sight, read in zip(questions, domains, sights, self._read(questions), strict=True)
        ]

    def _read(self, questions: Sequence[Question]) -> list[_Read]:
        """The questions' words, encoded in one batch."""
        texts = [q.text for q in questions]
        vectors = self._text.encode(texts, kind="query") if texts else ()
        bridges = [self._bridged(q) for q in questions]
        joint = cache(partial(self._joint, tuple(texts)))  # of all, when the first is asked for
        return [
            _Read(v[None], partial(_nth, joint, n), b) for n, (v, b) in enumerate(zip(vectors, bridges, strict=True))
        ]

    def _bridged(self, question: Question) -> Vectors | None:
        """The question in the space of many languages; None where both it and the whole index are in English."""
        if self.bridge is None or not (question.language or self._has_foreign):
            return None
        return self.bridge.encode([question.text], kind="query")

    @cached_property
    def _has_foreign(self) -> bool:
        return self._snapshot.has_metadata(TEXT_LANGUAGE)

    def _fused(
        self, question: Question, domain: Domain, sight: Sight, read: _Read, kinds: tuple[Kind, ...], k: int
    ) -> Retrieved:
        channels = self._channels(question, domain, sight, read, kinds, max(self._settings.depth, k))
        return Retrieved(self._hits(question, read, channels, self._fuse(channels, domain)[:k]), kinds)

    def _fuse(self, channels: Channels, domain: Domain) -> list[tuple[int, float]]:
        rankings = {c: list(rows) for c, rows in channels.items()}
        return reciprocal_rank_fusion(rankings, self._settings.rrf_constant, self._weights(domain))

    def _channels(
        self, question: Question, domain: Domain, sight: Sight, read: _Read, kinds: tuple[Kind, ...], depth: int
    ) -> Channels:
        where = self._where(question, domain, kinds)
        bridged = self._across_languages(question, self._near("bridge", read.bridge, max(depth, _CROSSED), where))
        seen = {
            "image": self._cases(_within(sight, where.domains).near, where.kinds),
            "image-report": self._near("joint", sight.vector, depth, where),
        }
        if question.language and bridged:  # the other spaces hold English alone, and "die" is an English word
            return {"bridge": bridged} | seen
        words = self._snapshot.search_words(question.text, depth, where)
        found: dict[str, Mapping[int, ChannelRank]] = {
            "bridge": bridged,
            "text": self._near("text", read.text, depth, where),
            "words": {s.row: ChannelRank(n, s.score) for n, s in enumerate(words, start=1)},
            **seen,
            "text-image": self._pictured(read, depth, where),
        }
        return found | {"rerank": self._again(question, found, domain)}

    def _again(self, question: Question, found: Channels, domain: Domain) -> dict[int, ChannelRank]:
        """The reranker's order of what the others brought first: for questions without an image, and in literature."""
        if self._reranker is None or question.image is not None:
            return {}
        rows = [row for row, _ in self._fuse(found, domain)[: self._settings.rerank]]
        passages = self._snapshot.passages(rows)
        if any(document.kind != "literature" for _, document in passages):
            return {}
        scores = self._reranker.score(question.text, [judged_text(document, passage) for passage, document in passages])
        order = sorted(range(len(rows)), key=lambda n: (-scores[n], n))
        return {rows[n]: ChannelRank(place, scores[n]) for place, n in enumerate(order, start=1)}

    def _across_languages(self, question: Question, near: dict[int, ChannelRank]) -> dict[int, ChannelRank]:
        """The bridge's passages in the order of their cosines and of the roots that they share with the question.

        An English question is read in those that are in other languages: it has other channels for the others.
        """
        found = zip(near, self._snapshot.passages(list(near)), strict=True)
        texts = {row: p.text for row, (p, d) in found if question.language or TEXT_LANGUAGE in d.metadata}
        shares = dict(zip(texts, shares_of_roots(question.text, list(texts.values())), strict=True))
        order = sorted(texts, key=lambda row: -(near[row].score + _ROOTS * shares[row]))
        return {row: near[row]._replace(rank=n) for n, row in enumerate(order, start=1)}

    def _where(self, question: Question, domain: Domain, kinds: tuple[Kind, ...] = ()) -> Filter:
        """What the channels may bring: the one place where the router's opinion narrows a search."""
        return Filter(
            kinds=kinds or _TEXTS,
            domains=domain.searched,
            exclude_groups=question.exclude_groups,
        )

    def _weights(self, domain: Domain) -> Mapping[str, float]:
        """The weights of the channels for a question of this domain."""
        own = self._settings.domain_weights.get(domain.name) if is_sure(domain) else None
        weights = {str(c): w for c, w in (self._settings.weights if own is None else own).items()}
        return {"bridge": _BRIDGE} | weights

    def _joint(self, texts: Sequence[str]) -> Sequence[Vectors | None]:
        """The texts in the space of the indexed images, None for each where there are no images or no such space."""
        if not texts or "image" not in self._snapshot.spaces() or not isinstance(self._image, ImageTextEncoder):
            return [None] * len(texts)
        return list(self._image.encode_texts(texts)[:, None])

    def _near(self, space: str, vector: Vectors | None, depth: int, where: Filter) -> dict[int, ChannelRank]:
        """The passages nearest to a vector; none where there is no vector or no such space."""
        if vector is None or space not in self._snapshot.spaces():
            return {}
        return {
            s.row: ChannelRank(n, s.score)
            for n, s in enumerate(self._snapshot.search(space, vector, depth, where)[0], start=1)
        }

    def _neighbours(self, vector: Vectors, question: Question) -> tuple[Neighbour, ...]:
        """Before the question is routed, in every domain: the domains of these images are what routes it."""
        where = Filter(exclude_groups=question.exclude_groups)
        near = self._images(vector, self._settings.depth, where)
        return tuple(n for n in near if n.similarity >= self._settings.min_image_similarity)

    def _images(self, vector: Vectors | None, depth: int, where: Filter) -> list[Neighbour]:
        """The indexed images nearest to a vector of their space, best first."""
        places = self._near("image", vector, depth, replace(where, kinds=("image",)))
        documents = self._snapshot.passages(list(places))
        return [Neighbour(row, d, p.score) for (row, p), (_, d) in zip(places.items(), documents, strict=True)]

    def _pictured(self, read: _Read, depth: int, where: Filter) -> dict[int, ChannelRank]:
        """The texts of the cases of images that are near to the words, unless no image has such a text in its case."""
        if where.kinds not in self._told:
            self._told[where.kinds] = "report" in where.kinds or self._snapshot.images_have(where.kinds)
        return self._cases(self._images(read.joint(), depth, where), where.kinds) if self._told[where.kinds] else {}

    def _cases(self, near: Sequence[Neighbour], kinds: Sequence[str] = _TEXTS) -> dict[int, ChannelRank]:
        """The texts of the cases of images; an image whose case has no text stands for itself, as a report would."""
        places: dict[int, ChannelRank] = {}
        for n in near:
            texts = [d for d in self._snapshot.case(n.document.case_id) if d.kind in kinds and d.text]
            alone = [n.row] if "report" in kinds else []
            for row in [r for d in texts for r, _ in self._snapshot.passages_of(d.id)] or alone:
                places.setdefault(row, ChannelRank(len(places) + 1, n.similarity, n.document.id))
        return places

    def _study(self, question: Question) -> Retrieved:
        """The passages of one case's own texts, in reading order."""
        hits: list[Hit] = []
        for document in self._snapshot.case(question.study or ""):
            if document.kind == "image" or document.group_id in question.exclude_groups:
                continue
            for _, passage in self._snapshot.passages_of(document.id):
                hits.append(_hit(passage, document, 1.0, {"study": ChannelRank(len(hits) + 1, 1.0)}))
        return Retrieved(tuple(hits))

    def _voters(self, sight: Sight, k: int) -> Retrieved:
        """Cases of similar images; their scores are the cosines, on which the gap rule then cuts as MMed-RAG has it."""
        places = dict(list(self._cases(sight.near).items())[:k])
        passages = self._snapshot.passages(list(places))
        return Retrieved(
            tuple(
                _hit(passage, document, place.score, {"image": place})
                for place, (passage, document) in zip(places.values(), passages, strict=True)
            )
        )

    def _hits(
        self, question: Question, read: _Read, channels: Channels, best: Sequence[tuple[int, float]]
    ) -> tuple[Hit, ...]:
        """The passages that were fused, each with its relevance."""
        found = self._snapshot.passages([row for row, _ in best])
        hits = [
            _hit(passage, document, score, {c: rows[row] for c, rows in channels.items() if row in rows})
            for (row, score), (passage, document) in zip(best, found, strict=True)
        ]
        judged = [n for n, h in enumerate(hits) if not h.by_image and h.document.kind != "image"]
        signs = self._signs(question, read, {best[n][0]: hits[n] for n in judged})
        for n, sign in zip(judged, signs, strict=True):
            hits[n] = hits[n].model_copy(update={"relevance": self._relevance(sign)})
        if read.bridge is not None:
            for n, cosine in self._across(question, read.bridge, {n: best[n][0] for n in judged}, hits).items():
                hits[n] = hits[n].model_copy(update={"relevance": ACROSS(Signs(cosine, 0.0, False))})
        return tuple(hits)

    def _across(
        self, question: Question, bridge: Vectors, rows: Mapping[int, int], hits: Sequence[Hit]
    ) -> dict[int, float]:
        """Cosines in the space of many languages, of the hits (by number) that are in another than the question."""
        wanted = [n for n in rows if question.language or TEXT_LANGUAGE in hits[n].document.metadata]
        if not wanted:
            return {}
        cosines = self._snapshot.vectors("bridge", [rows[n] for n in wanted]) @ bridge[0]
        return dict(zip(wanted, cosines.tolist(), strict=True))

    def _signs(self, question: Question, read: _Read, hits: Mapping[int, Hit]) -> list[Signs]:
        """Of passages by their rows: what tells whether they bear on the question."""
        near = {row: h.similarities["text"] for row, h in hits.items() if "text" in h.similarities}
        far = [row for row in hits if row not in near]  # other channels found them
        if far:
            cosines = self._snapshot.vectors("text", far) @ read.text[0]
            near |= dict(zip(far, cosines.tolist(), strict=True))
        asked = " ".join(subject_words(question.text))
        shares = self._snapshot.shared_words(asked, [judged_text(h.document, h.passage) for h in hits.values()])
        return [Signs(near[row], *share) for row, share in zip(hits, shares, strict=True)]


def judged_text(document: Document, passage: Passage) -> str:
    """A passage as it is judged: with its title, if there is one."""
    return f"{document.title}\n{passage.text}" if document.title else passage.text


def _within(sight: Sight, domains: Sequence[str]) -> Sight:
    """Without the images of other domains; no domains named means all."""
    return sight._replace(near=tuple(n for n in sight.near if not domains or n.document.domain in domains))


def _hit(passage: Passage, document: Document, score: float, places: dict[str, ChannelRank]) -> Hit:
    return Hit(
        passage=passage,
        document=document,
        score=min(1.0, score),
        channel=min(places, key=lambda c: (places[c].rank, c)),
        ranks={c: p.rank for c, p in places.items()},
        similarities={c: round(p.score, 6) for c, p in places.items()},
        found_image=next((places[c].image for c in ("image", "text-image") if c in places), None),
    )


def _nth(vectors: Callable[[], Sequence[Vectors | None]], n: int) -> Vectors | None:
    return vectors()[n]
