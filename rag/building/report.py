"""What an ingest did, or would do: counts, ids, and all that was left out, with its reason; and a re-encoding."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.corpus.duplicates import Alike
    from rag.corpus.quarantine import Foreign, Quarantined
    from rag.corpus.scrub import Identified


@dataclass
class IngestReport:
    """What an ingest did. Counts are documents unless their name says otherwise; seconds are wall time by stage."""

    index: str
    version: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    passages: int = 0
    empty: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)  # how many went to each reader
    foreign: list[Foreign] = field(default_factory=list)  # files that no wanted reader takes
    changed: list[str] = field(default_factory=list)  # ids of updated documents
    left: list[str] = field(default_factory=list)  # ids of documents that sync removed
    withdrawn: list[str] = field(default_factory=list)  # ids of documents that the source took back
    marked: list[str] = field(default_factory=list)  # ids of documents that another record's notice is about
    kept: list[str] = field(default_factory=list)  # ids that sync would have removed, had their files been readable
    apart: dict[str, str] = field(default_factory=dict)  # ids that another source has: what they are here
    identifiers: list[Identified] = field(default_factory=list)  # what was found where, whatever became of it
    deidentification: str = "off"  # what became of them: off, warn, mask or require
    alike: list[Alike] = field(default_factory=list)  # documents that are like another, where that was looked for
    folded: dict[str, str] = field(default_factory=dict)  # ids left out: which document stands for them
    plans: dict[str, str] = field(default_factory=dict)  # per vector space: its backend, memory and disk
    by_kind: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "encode": 0.0, "store": 0.0})

    images_a_second: dict[str, float] = field(default_factory=dict)  # "decode" and "encode", each alone; see Pace

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begin


@dataclass
class ReencodeReport:
    """What a re-encoding did. ``encoded`` counts vectors by space; ``kept`` are spaces whose encoder is the same."""

    index: str
    version: int
    documents: int = 0
    encoded: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
