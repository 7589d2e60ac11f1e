"""Queries with the documents that are relevant to them: the channels of search, and how many contexts are kept.

The documents are indexed as they are, for as long as the measurement takes. The first table ranks (every channel alone,
their fusion, a random order); the second says what the choice of contexts keeps: whether something relevant is among
them, what share of them is relevant, and how many there are.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from rag.answering.contexts import select_contexts
from rag.answering.engine import Engine
from rag.answering.turn import Turn
from rag.errors import InputError
from rag.evaluation.fusion_weights import Query, measure_fusion, search_channels
from rag.evaluation.metrics import bootstrap, expected_by_chance
from rag.evaluation.published.folder import Folder
from rag.evaluation.published.pool import pooled
from rag.evaluation.questions import BATCH
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.progress import Progress
from rag.risk_control.policy import Policy
from rag.types import Question

_WHOLE = 1e6
_FIXED = (1, 5, 10)


class SearchQuery(NamedTuple):
    """A query and the gains (above 0) of the documents that are relevant to it."""

    id: str
    text: str
    gains: Mapping[str, float]


class SearchCollection(NamedTuple):
    """Documents and queries."""

    documents: Mapping[str, str]
    queries: Sequence[SearchQuery]


@dataclass(frozen=True)
class SearchSuite(ABC):
    """A collection to search; a subclass says how it lies in a folder.

    Attributes:
        limit: so many queries, drawn by ``seed``; 0 for all.
        documents: so many documents at most, those that are relevant among them; 0 for all.
        seed: of both samples.
        baselines: also measure a random order and fixed numbers of contexts.
    """

    limit: int = 0
    documents: int = 0
    seed: int = 0
    baselines: bool = True
    name: ClassVar[str]
    collection: ClassVar[str]

    @abstractmethod
    def collected(self, folder: Folder) -> SearchCollection:
        """Documents and queries. Raises InputError where the folder does not look like the collection."""

    def read(self, path: Path) -> Sample:
        whole, left_out = self.collected(Folder(path, self.collection)), Counter[str]()
        queries = [q for q in whole.queries if q.gains.keys() & whole.documents.keys()]
        left_out["no document is relevant to the query"] = len(whole.queries) - len(queries)
        if not queries:
            raise InputError(f"{path} holds no query of {self.collection} to which one of its documents is relevant")
        chance = random.Random(self.seed)  # noqa: S311 - a sample, no secret
        chosen = chance.sample(queries, self.limit) if 0 < self.limit < len(queries) else queries
        left_out["queries not in the sample"] = len(queries) - len(chosen)
        relevant = {d for q in chosen for d in q.gains if d in whole.documents}
        others = [d for d in whole.documents if d not in relevant]
        room = max(0, self.documents - len(relevant)) if self.documents else len(others)
        kept = relevant | set(others if room >= len(others) else chance.sample(others, room))
        left_out["documents not in the sample"] = len(whole.documents) - len(kept)
        documents = {d: text for d, text in whole.documents.items() if d in kept}
        return Sample([SearchCollection(documents, chosen)], +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        (held,) = sample.rows
        rows = ({"id": d, "text": text, "kind": "literature", "group": d} for d, text in held.documents.items() if text)
        settings = subject.settings if isinstance(subject, Engine) else subject
        with pooled(rows, settings, progress) as engine:
            found = list(self._ranked(held, engine, progress)) + list(self._kept(held, engine, progress))
        measured = {
            "collection": self.collection,
            "documents": f"{len(held.documents):,}",
            "text encoder": engine.fingerprints["text encoder"],
        }
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured, tuple(found), sample.left_out, notes)

    def _ranked(self, held: SearchCollection, engine: Engine, progress: Progress) -> Iterator[Row]:
        pipeline = engine.pipeline()
        queries = [Query(q.id, q.id, "text", "general", Question(text=q.text), q.gains) for q in held.queries]
        searched = search_channels(queries, pipeline.searcher, pipeline.snapshot, engine.settings.retrieval, progress)
        shown = measure_fusion(searched, engine.settings.retrieval, None)
        yield from (Row({"ranking": r.of["ranking"]}, {"queries": r.counts["queries"]}, r.metrics) for r in shown)
        if self.baselines:
            names = list(held.documents)
            gains = np.array([[q.gains.get(d, 0.0) for d in names] for q in held.queries])
            chance = expected_by_chance(gains)
            metrics = {m: exactly(float(chance[m].mean())) for m in shown[0].metrics}
            yield Row({"ranking": "a random order"}, {"queries": len(queries)}, metrics)

    def _kept(self, held: SearchCollection, engine: Engine, progress: Progress) -> Iterator[Row]:
        pipeline = engine.pipeline()
        policies = {"ours": pipeline.default_policy}
        if self.baselines:
            policies |= {f"fixed k = {k}": Policy(k, _WHOLE, 0.0) for k in _FIXED}
        turns, advance = list[Turn](), progress.stage("choosing contexts", len(held.queries))
        for i in range(0, len(held.queries), BATCH):
            batch = held.queries[i : i + BATCH]
            turns += pipeline.begin([Question(text=q.text) for q in batch], depth=max(_FIXED))
            advance(len(batch))
        for name, policy in policies.items():
            values: dict[str, list[float]] = {"something_relevant": [], "share_relevant": [], "contexts": []}
            for query, turn in zip(held.queries, turns, strict=True):
                kept = turn.found.hits[: select_contexts(turn.found.hits, policy, None).kept]
                hits = [query.gains.get(h.document.id, 0) > 0 for h in kept]
                values["something_relevant"].append(float(any(hits)))
                values["share_relevant"].append(sum(hits) / len(hits) if hits else 0.0)
                values["contexts"].append(float(len(hits)))
            yield Row(
                {"contexts kept by": name}, {"queries": len(turns)}, bootstrap(values, [q.id for q in held.queries])
            )
