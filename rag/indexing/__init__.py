"""The index store: documents and passages under versions, vectors and words in immutable segments."""

from rag.indexing.compact import CompactReport
from rag.indexing.records import Changes, Count, FilingPlace, Filter, IndexSummary, Scored, SpaceInfo, VersionInfo
from rag.indexing.snapshot import Snapshot
from rag.indexing.store import IndexStore, list_indexes
from rag.indexing.verify import VerifyReport
from rag.indexing.writer import Writer

__all__ = [
    "Changes",
    "CompactReport",
    "Count",
    "FilingPlace",
    "Filter",
    "IndexStore",
    "IndexSummary",
    "Scored",
    "Snapshot",
    "SpaceInfo",
    "VerifyReport",
    "VersionInfo",
    "Writer",
    "list_indexes",
]
