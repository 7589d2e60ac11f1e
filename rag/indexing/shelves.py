"""How many documents of a version stand on which shelf: by source, kind, domain and licence.

A version never changes, so it is counted when it is published, from the one before and from what came and went:
counting a million documents takes seconds, and whoever opens an index asks. Versions of before have no such count and
are counted when asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter

from rag.errors import IndexStateError
from rag.indexing.catalogue import ALIVE, Catalogue
from rag.indexing.records import Count

_ALL = (
    f"SELECT d.source, d.kind, d.domain, d.licence, count(*) FROM documents d WHERE {ALIVE}"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
_CHANGED = (
    "SELECT d.source, d.kind, d.domain, d.licence, count(*) FROM lifetimes l JOIN documents d ON d.row = l.document"
    " WHERE l.{} = :v GROUP BY 1, 2, 3, 4"
)
_KEPT = "SELECT value FROM properties WHERE name = 'shelves ' || :v"


def read_shelves(catalogue: Catalogue, version: int) -> list[Count]:
    """The shelves of a version that have documents, in order."""
    kept = catalogue.fetch(_KEPT, {"v": version})
    return _parsed(kept[0][0]) if kept else [Count(*row) for row in catalogue.fetch(_ALL, {"v": version})]


def write_shelves(connection: sqlite3.Connection, version: int) -> None:
    """Count a version whose lifetimes have been written."""
    before = connection.execute(_KEPT, {"v": version - 1}).fetchone()
    if before is None and version > 1:
        shelves = _counted(connection, version)
    else:
        counted: Counter[tuple[str, str, str, str]] = Counter()
        if before is not None:
            counted.update({shelf[:4]: shelf.documents for shelf in _parsed(before[0])})
        for column, sign in (("valid_from", 1), ("valid_to", -1)):
            for source, kind, domain, licence, n in connection.execute(_CHANGED.format(column), {"v": version}):
                counted[source, kind, domain, licence] += sign * n
        shelves = [Count(*shelf, n) for shelf, n in sorted(counted.items()) if n]
    value = json.dumps(shelves, ensure_ascii=False)
    connection.execute("INSERT INTO properties VALUES (?, ?)", (f"shelves {version}", value))


def forget_shelves(connection: sqlite3.Connection, version: int) -> None:
    """Of a version that is forgotten."""
    connection.execute("DELETE FROM properties WHERE name = ?", (f"shelves {version}",))


def are_shelves_sound(connection: sqlite3.Connection, version: int) -> bool:
    """Whether what was kept of a version, if anything, is what its documents say."""
    kept = connection.execute(_KEPT, {"v": version}).fetchone()
    try:
        return kept is None or _parsed(kept[0]) == _counted(connection, version)
    except IndexStateError:
        return False


def _counted(connection: sqlite3.Connection, version: int) -> list[Count]:
    return [Count(*row) for row in connection.execute(_ALL, {"v": version})]


def _parsed(value: str) -> list[Count]:
    try:
        return [Count(str(s), str(k), str(d), str(c), int(n)) for s, k, d, c, n in json.loads(value)]
    except (ValueError, TypeError) as error:
        raise IndexStateError(
            "the catalogue's count of documents is damaged; restore it, or build the index anew from its sources"
        ) from error
