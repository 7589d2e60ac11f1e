"""The small records that the index store hands out and takes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rag.corpus.marks import Told

_NOTHING = Told()


@dataclass(frozen=True)
class Filter:
    """What a search may return. An empty tuple means "no constraint"; several constraints must all hold."""

    kinds: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    case_ids: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()


class Scored(NamedTuple):
    """A passage row and its score; larger is better. Scores of different channels are not comparable."""

    row: int
    score: float


class FilingPlace(NamedTuple):
    """A living document as far as identity goes: its corpus, where it was read (empty if not kept), its hash, and what
    others have said of it."""

    source: str
    origin: str
    sha256: str
    told: Told = _NOTHING


class Count(NamedTuple):
    """How many documents one source contributes, per kind, domain and licence."""

    source: str
    kind: str
    domain: str
    licence: str
    documents: int


@dataclass(frozen=True)
class SpaceInfo:
    """One vector space of an index version: vectors of one encoder, which may be compared with each other."""

    dim: int
    fingerprint: str
    n: int = 0


@dataclass(frozen=True)
class VersionInfo:
    """One published version and what changed in it, counted in documents."""

    number: int
    created: str
    note: str
    added: int
    updated: int
    removed: int
    documents: int


@dataclass(frozen=True)
class IndexSummary:
    """One line of a list of indexes; ``problem`` says why an index cannot be opened."""

    name: str
    path: Path
    version: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    created: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class Changes:
    """How documents compare with the latest version, by id.

    ``staged`` documents are new or changed too, but an interrupted run has already encoded them: they are published
    without being staged again.
    """

    new: frozenset[str]
    changed: frozenset[str]
    unchanged: frozenset[str]
    staged: frozenset[str]

    @property
    def to_encode(self) -> frozenset[str]:
        """Ids that still have to be encoded and staged."""
        return self.new | self.changed
