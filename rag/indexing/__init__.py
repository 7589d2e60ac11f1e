"""The index store: documents and passages under versions, vectors in immutable segments, words in FTS5."""

from rag.indexing.records import Changes, Count, Filter, IndexSummary, Scored, SpaceInfo, VersionInfo
from rag.indexing.snapshot import Snapshot
from rag.indexing.store import IndexStore, list_indexes
from rag.indexing.writer import Writer

__all__ = [
    "Changes",
    "Count",
    "Filter",
    "IndexStore",
    "IndexSummary",
    "Scored",
    "Snapshot",
    "SpaceInfo",
    "VersionInfo",
    "Writer",
    "list_indexes",
]
