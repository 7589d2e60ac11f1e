"""What was said of documents, whether the index has them or not: withdrawn by which edition, retracted by which notice.

A deletion may be read before an older file that still has what it deletes, and a notice of retraction before the
article. What was said belongs to no version: it is kept among the catalogue's properties, under the document's id or
another name that the world knows it by (``rag.corpus.marks.aliases_of``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rag.corpus.marks import Reputation
from rag.errors import IndexStateError
from rag.indexing.catalogue import LISTED, listed

_SAID = "said of "
# Documents (d) that have one of the listed names besides their ids.
NAMED = (
    f"d.kind = 'literature' AND ('PMID:' || json_extract(d.body, '$.metadata.pmid') IN {LISTED}"
    f" OR 'DOI:' || lower(json_extract(d.body, '$.metadata.doi')) IN {LISTED}"
    f" OR upper(json_extract(d.body, '$.metadata.pmcid')) IN {LISTED})"
).replace("?", ":names")


def keep_said(connection: sqlite3.Connection, said: Mapping[str, Reputation]) -> None:
    """Add to what was said of these names."""
    there = said_of(lambda query, values: connection.execute(query, values).fetchall(), said)
    for name, new in said.items():
        old = there.get(name, Reputation())
        value = json.dumps([_later(old.withdrawn, new.withdrawn), {**new.marks, **old.marks}], sort_keys=True)
        connection.execute("INSERT OR REPLACE INTO properties VALUES (?, ?)", (f"{_SAID}{name}", value))


def said_of(fetch: Callable[[str, Mapping[str, Any]], list[Any]], names: Iterable[str]) -> dict[str, Reputation]:
    """What was said of those of these names of which anything was."""
    query = f"SELECT name, value FROM properties WHERE name IN {LISTED}".replace("?", ":names")
    rows = fetch(query, {"names": listed(f"{_SAID}{name}" for name in names)})
    try:
        return {name.removeprefix(_SAID): Reputation(*json.loads(value)) for name, value in rows}
    except (ValueError, TypeError) as error:
        raise IndexStateError(
            "what the catalogue keeps of withdrawals and notices is damaged; restore it, or build the index anew"
        ) from error


def _later(one: str | None, other: str | None) -> str | None:
    """The later of two editions; None is none at all, and an empty one is of an unknown time."""
    return max((edition for edition in (one, other) if edition is not None), default=None)
