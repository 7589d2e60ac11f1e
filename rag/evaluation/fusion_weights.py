"""The channels of an index and their fusion, measured on questions whose relevant documents are known.

What each channel finds is searched once; every set of weights is then evaluated on the same ranks. Weights are learned
by coordinate ascent on nDCG@10 and taken only where they are better on groups that they were not learned from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rag.errors import InputError
from rag.evaluation.metrics import DEPTH, Estimate, Floats, bootstrap, measure_ranking
from rag.evaluation.report import Row
from rag.indexing.snapshot import Snapshot
from rag.progress import Progress
from rag.retrieval.router import certain
from rag.retrieval.search import Channels, Searcher
from rag.settings import Channel, RetrievalSettings, Settings
from rag.types import Question

CHANNELS: tuple[Channel, ...] = get_args(Channel)
METRIC = f"nDCG@{DEPTH}"
POOLED = "pooled"
_SHOWN = (METRIC, f"R@{DEPTH}", "MRR")
_GRID = (1.0, 0.5, 0.25, 0.125, 0.0625)
_FOLDS = 5
_ENOUGH = (100, 30)  # queries and groups that a domain needs for weights of its own
_BATCH = 64

Weights = tuple[float, ...]  # in the order of CHANNELS; the largest is 1
EQUAL: Weights = (1.0,) * len(CHANNELS)


class Query(NamedTuple):
    """A question and its relevant documents (id → gain above 0); ``form`` says what it is asked with."""

    id: str
    group: str
    form: str
    domain: str
    question: Question
    gains: Mapping[str, float]
    split: str = ""


@dataclass(frozen=True)
class Learned:
    """Weights by channel, and by domain where its own are better.

    ``gain`` is that of nDCG@10 over equal weights, on groups that the weights were not learned from.
    """

    weights: dict[Channel, float]
    domain_weights: dict[str, dict[Channel, float]]
    gain: Estimate
    taken: bool

    def json(self) -> dict[str, Any]:
        """Plain values; the gain is an object with value, low and high."""
        return asdict(self) | {"gain": self.gain._asdict()}

    def notes(self) -> tuple[str, ...]:
        """In words."""
        how = "taken" if self.taken else "not clearly better: equal weights are kept"
        gain = f"gain of {METRIC} over equal weights, cross-validated: {self.gain}; {how}"
        of = {POOLED: self.weights, **self.domain_weights}
        return (gain, *(f"{name}: " + ", ".join(f"{c} {w:g}" for c, w in some.items()) for name, some in of.items()))

    def applied(self, settings: Settings) -> Settings:
        """The settings with these weights."""
        mine = {"weights": self.weights, "domain_weights": self.domain_weights}
        return settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update=mine)})


class Searched:
    """What the channels found for every query: enough to evaluate any weights without searching again."""

    def __init__(
        self, queries: Sequence[Query], found: Sequence[Channels], snapshot: Snapshot, constant: float
    ) -> None:
        self.queries = queries
        gains, parts, documents_at = [], [], []
        for query, channels in zip(queries, found, strict=True):
            rows = sorted({row for places in channels.values() for row in places})
            documents = [document.id for _, document in snapshot.passages(rows)]
            documents += [d for d in query.gains if d not in documents]  # relevant, and found by no channel
            worth = [query.gains.get(d, 0.0) if d not in documents[:i] else 0.0 for i, d in enumerate(documents)]
            places = [[channels[c][row].rank if row in channels[c] else np.inf for c in CHANNELS] for row in rows]
            parts.append(1 / (constant + np.array(places, dtype=np.float64).reshape(len(rows), len(CHANNELS))))
            order: dict[str, int] = {}
            documents_at.append(np.array([order.setdefault(d, i) for i, d in enumerate(documents)], dtype=np.int64))
            gains.append(worth)
        width = max(map(len, gains), default=0) or 1
        self._shares = np.zeros((len(queries), width, len(CHANNELS)))
        self._gains = np.zeros((len(queries), width))
        self._document = np.zeros((len(queries), width), dtype=np.int64)  # where the document's first passage is
        for i, (some, worth, first) in enumerate(zip(parts, gains, documents_at, strict=True)):
            self._shares[i, : len(some)] = some
            self._gains[i, : len(worth)] = worth
            self._document[i, : len(worth)] = first
        self._known: dict[Weights, dict[str, Floats]] = {}

    def metrics(self, weights: Weights) -> dict[str, Floats]:
        """Per query. A document stands where its best passage does; a channel of weight 0 brings nothing."""
        if weights not in self._known:
            fused = self._shares @ np.array(weights)
            best = np.zeros_like(fused)
            np.maximum.at(best, (np.arange(len(fused))[:, None], self._document), fused)
            self._known[weights] = measure_ranking(np.where(best > 0, best, -np.inf), self._gains)
        return self._known[weights]

    def ran(self, channel: int) -> NDArray[np.bool_]:
        """The queries of the forms for which the channel ran; it may have found nothing for some of them."""
        found = np.any(self._shares[:, :, channel] > 0, axis=1)
        forms = {q.form for q, some in zip(self.queries, found, strict=True) if some}
        return np.array([q.form in forms for q in self.queries])


def search_channels(
    queries: Sequence[Query], searcher: Searcher, snapshot: Snapshot, settings: RetrievalSettings, progress: Progress
) -> Searched:
    """Search every channel for every query, within the query's own domain (and ``general``) as if routed right.

    Raises:
        InputError: there are no queries.
    """
    if not queries:
        raise InputError("no query has a relevant document in this index, so there is nothing to measure")
    found: list[Channels] = []
    advance = progress.stage("searching", len(queries))
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        questions = [q.question for q in batch]
        domains = [certain(q.domain) for q in batch]
        alike = {(q.image, q.exclude_groups): q for q in questions}  # what an image shows is looked up once
        sights = dict(zip(alike, searcher.see(list(alike.values())), strict=True))
        seen = [sights[q.image, q.exclude_groups] for q in questions]
        found += searcher.channels(questions, domains, seen, settings.depth)
        advance(len(batch))
    return Searched(queries, found, snapshot, settings.rrf_constant)


def measure_fusion(searched: Searched, settings: RetrievalSettings, learned: Learned | None) -> list[Row]:
    """Every channel alone, and their fusion with equal weights, with those of the settings, and with learned ones."""
    rankings: dict[str, Callable[[str], Weights]] = {"fused, equal weights": lambda domain: EQUAL}
    if settings.weights or settings.domain_weights:
        rankings["fused, weights of the profile"] = lambda domain: _tuple(
            settings.domain_weights.get(domain, settings.weights)
        )
    if learned is not None:
        rankings["fused, learned weights"] = lambda domain: _tuple(learned.domain_weights.get(domain, learned.weights))
    alone = {c: tuple(float(c == other) for other in CHANNELS) for c in CHANNELS}
    rows = []
    for name, which in _slices(searched.queries):
        for number, (channel, weights) in enumerate(alone.items()):
            if (some := which & searched.ran(number)).any():
                rows.append(_row(name, channel, searched, some, lambda domain, w=weights: w))  # type: ignore[misc]
        rows += [_row(name, ranking, searched, which, of) for ranking, of in rankings.items()]
    return rows


def learn_weights(searched: Searched, progress: Progress) -> Learned:
    """The weights of best mean nDCG@10, pooled and by domain.

    They are compared out of fold: learned on four fifths of the groups, measured on the rest, five times. Where the
    interval of the gain (over equal weights; for a domain's own, over the pooled ones) is not above 0, the simpler
    weights stay.
    """
    queries = searched.queries
    everything = np.ones(len(queries), np.bool_)
    count = progress.stage("learning weights")
    pooled, out_of_fold = _learn(searched, everything), _out_of_fold(searched, everything)
    count(1)
    plain = searched.metrics(EQUAL)[METRIC]
    gain = _gain(out_of_fold, plain, everything, queries)
    taken = _clear(gain)
    chosen, before = (pooled, out_of_fold) if taken else (EQUAL, plain)
    domain_weights = {}
    for domain in sorted({q.domain for q in queries}):
        which = np.array([q.domain == domain for q in queries])
        if which.sum() >= _ENOUGH[0] and len(_groups(queries, which)) >= _ENOUGH[1] and not which.all():
            own = _learn(searched, which)
            if own != chosen and _clear(_gain(_out_of_fold(searched, which), before, which, queries)):
                domain_weights[domain] = _named(own)
        count(1)
    return Learned(_named(chosen), domain_weights, gain, taken)


def _learn(searched: Searched, which: NDArray[np.bool_]) -> Weights:
    """Coordinate ascent from equal weights over the grid; a channel that no query used keeps its weight."""
    weights, best = EQUAL, float(searched.metrics(EQUAL)[METRIC][which].mean())
    used = [c for c in range(len(CHANNELS)) if (searched.ran(c) & which).any()]
    while True:
        start = best
        for channel in used:
            for value in _GRID:
                tried = _scaled((*weights[:channel], value, *weights[channel + 1 :]))
                score = float(searched.metrics(tried)[METRIC][which].mean())
                if score > best + 1e-9:
                    weights, best = tried, score
        if best == start:
            return weights


def _out_of_fold(searched: Searched, which: NDArray[np.bool_]) -> Floats:
    """nDCG@10 of each query under weights that were learned without its fold; 0 outside of ``which``."""
    queries = searched.queries
    groups = _groups(queries, which)
    fold_of = dict(zip(np.random.default_rng(0).permutation(groups), np.arange(len(groups)) % _FOLDS, strict=True))
    folds = np.array([fold_of.get(q.group, -1) for q in queries])
    out = np.zeros(len(queries))
    for fold in range(_FOLDS):
        inside, rest = which & (folds == fold), which & (folds != fold)
        if inside.any():
            weights = _learn(searched, rest) if rest.any() else EQUAL
            out[inside] = searched.metrics(weights)[METRIC][inside]
    return out


def _gain(after: Floats, before: Floats, which: NDArray[np.bool_], queries: Sequence[Query]) -> Estimate:
    groups = [q.group for q, inside in zip(queries, which, strict=True) if inside]
    return bootstrap({METRIC: (after - before)[which]}, groups)[METRIC]


def _clear(gain: Estimate) -> bool:
    return gain.low is not None and gain.low > 0


def _row(
    name: str, ranking: str, searched: Searched, which: NDArray[np.bool_], weights_of: Callable[[str], Weights]
) -> Row:
    some = np.flatnonzero(which).tolist()
    values: dict[str, list[float]] = defaultdict(list)
    for i in some:
        found = searched.metrics(weights_of(searched.queries[i].domain))
        for metric in _SHOWN:
            values[metric].append(float(found[metric][i]))
    groups = [searched.queries[i].group for i in some]
    counts = {"queries": len(some), "groups": len(set(groups))}
    return Row({"queries_of": name, "ranking": ranking}, counts, bootstrap(values, groups))


def _slices(queries: Sequence[Query]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield POOLED, np.ones(len(queries), np.bool_)
    for field in ("form", "domain"):
        values = np.array([getattr(q, field) for q in queries])
        for value in sorted(set(values)):
            if (which := values == value).sum() < len(queries):
                yield str(value), which


def _groups(queries: Sequence[Query], which: NDArray[np.bool_]) -> list[str]:
    return sorted({q.group for q, inside in zip(queries, which, strict=True) if inside})


def _tuple(weights: Mapping[Channel, float]) -> Weights:
    return _scaled(tuple(weights.get(c, 1.0) for c in CHANNELS))


def _named(weights: Weights) -> dict[Channel, float]:
    return dict(zip(CHANNELS, weights, strict=True))


def _scaled(weights: Weights) -> Weights:
    """Only the proportions of weights matter."""
    return tuple(w / max(weights) for w in weights)
