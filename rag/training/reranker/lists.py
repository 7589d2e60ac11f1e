"""Questions with passages to be ranked: what an index's channels find, and what is known to be relevant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.queries import read_queries
from rag.progress import Progress
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.retrieval.router import certain
from rag.retrieval.search import Sight, judged_text
from rag.training.splits import DEV, TEST, TRAIN, Split, assign_splits

_BATCH = 64


@dataclass(frozen=True)
class RankedList:
    """A question and passages.

    Attributes:
        source: the file that asks it.
        rankings: channel → numbers of passages, best first.
        documents: the document of each passage.
        texts: each passage with its title.
        gains: relevance of documents, above 0; those that no channel found are among them.
        answers: relevant passages with their gains, found or not.
        licences: of the documents.
    """

    id: str
    group: str
    source: str
    question: str
    rankings: Mapping[str, tuple[int, ...]]
    documents: Mapping[int, str]
    texts: Mapping[int, str]
    gains: Mapping[str, float]
    answers: tuple[tuple[str, float], ...]
    licences: frozenset[str] = frozenset()
    split: str = ""

    def fused(self, more: Mapping[str, Sequence[int]] | None = None, weight: float = 1.0) -> list[int]:
        """The passages by falling fused rank; ``more`` rankings have this weight, and those of the channels 1."""
        more = more or {}
        weights = dict.fromkeys(more, weight)
        return [row for row, _ in reciprocal_rank_fusion({**self.rankings, **more}, weights=weights)]

    def wrong(self) -> list[str]:
        """Texts of the passages of documents that nobody has judged relevant, best first."""
        return [self.texts[row] for row in self.fused() if self.documents[row] not in self.gains]


@dataclass(frozen=True)
class RankedParts:
    """Lists by split; ``skipped`` are of other splits."""

    train: list[RankedList]
    dev: list[RankedList]
    test: list[RankedList]
    skipped: int


def mine_lists(file: Path, pipeline: Pipeline, depth: int, progress: Progress) -> list[RankedList]:
    """The questions of a file, as ``rag evaluate retrieval`` reads it, with what the index finds for each.

    Raises:
        InputError: the file cannot be read, or no question has a relevant document in the index.
    """
    queries, snapshot, found = read_queries(file), pipeline.snapshot, list[RankedList]()
    tell = progress.stage(f"searching for {file.name}", len(queries))
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        asked = [q.question for q in batch]
        sights, domains = [Sight()] * len(batch), [certain(q.domain) for q in batch]
        for query, channels in zip(batch, pipeline.searcher.channels(asked, domains, sights, depth), strict=True):
            rows = sorted({row for places in channels.values() for row in places})
            passages = dict(zip(rows, snapshot.passages(rows), strict=True))
            answers = [
                (judged_text(document, passage), gain)
                for name, gain in sorted(query.gains.items())
                if (document := snapshot.document(name)) is not None
                for _, passage in snapshot.passages_of(name)
            ]
            if answers:
                found.append(
                    RankedList(
                        id=query.id,
                        group=query.group,
                        source=file.stem,
                        question=query.question.text,
                        rankings={name: tuple(places) for name, places in channels.items()},
                        documents={row: document.id for row, (_, document) in passages.items()},
                        texts={row: judged_text(document, passage) for row, (passage, document) in passages.items()},
                        gains=query.gains,
                        answers=tuple(answers),
                        licences=frozenset(document.licence for _, document in passages.values()),
                        split=query.split,
                    )
                )
        tell(len(batch))
    if not found:
        raise InputError(f"{file}: no question has a relevant document in this index, so there is nothing to learn")
    return found


def divide(lists: Sequence[RankedList]) -> RankedParts:
    """Lists by the one rule of splits; a list to learn from needs a passage that is not relevant.

    Raises:
        InputError: nothing to learn from, tune by or test on.
    """
    splits = assign_splits(lists)

    def of(split: Split) -> list[RankedList]:
        return [one for one, part in zip(lists, splits, strict=True) if part == split]

    train = [one for one in of(TRAIN) if one.wrong()]
    if not train:
        raise InputError("the index finds relevant passages alone for every question, so there is nothing to learn")
    return RankedParts(train, of(DEV), of(TEST), sum(part is None for part in splits))


def hash_of(lists: Sequence[RankedList]) -> str:
    """Of everything in them."""
    digest = hashlib.sha256()
    for one in lists:
        values = [one.id, one.group, one.split, one.question, sorted(one.texts.items()), one.answers]
        digest.update(json.dumps([*values, sorted(one.rankings.items()), sorted(one.gains.items())]).encode())
    return digest.hexdigest()
