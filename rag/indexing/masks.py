"""Which passage rows a search may see: the version's alive rows, cut down by a Filter."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from rag.indexing.backends.protocol import Allowed, Mask
from rag.indexing.catalogue import LISTED, Catalogue, listed
from rag.indexing.records import Filter
from rag.indexing.segments import Segment

_NO_FILTER = Filter()

# Ended documents that no other lifetime keeps in version :v. Rows after the version's last are cut by length.
_DEAD = """
SELECT d.first, d.passages FROM documents d
WHERE d.row IN (SELECT document FROM lifetimes WHERE valid_to <= :v)
  AND NOT EXISTS (SELECT 1 FROM lifetimes l WHERE l.document = d.row AND l.valid_from <= :v
                  AND (l.valid_to IS NULL OR l.valid_to > :v))
"""


class RowMask:
    """A mask over passage rows, with its cuts per segment made on first use."""

    def __init__(self, rows: Mask) -> None:
        self.rows = rows
        self._cuts: dict[str, Allowed | None] = {}

    def of(self, segment: Segment) -> Allowed | None:
        """What the mask allows of the segment's entries; None where that is all of them."""
        if segment.info.id not in self._cuts:
            rows = segment.rows
            if segment.info.last_row < len(self.rows):
                cut = self.rows[rows]
            else:  # a later compaction merged newer rows in
                cut = np.zeros(len(rows), np.bool_)
                known = rows < len(self.rows)
                cut[known] = self.rows[rows[known]]
            self._cuts[segment.info.id] = None if cut.all() else Allowed.of(cut)
        return self._cuts[segment.info.id]


class Masks:
    """Selections of one version, the latest used kept."""

    def __init__(self, catalogue: Catalogue, alive: Mask, keep: int = 32) -> None:
        """``alive`` is the version's ``alive_rows``."""
        self._catalogue = catalogue
        self._everything = RowMask(alive)
        self._keep = keep
        self._selections: OrderedDict[Filter, RowMask] = OrderedDict()
        self._lock = threading.Lock()

    def select(self, where: Filter) -> RowMask:
        if where == _NO_FILTER:
            return self._everything
        with self._lock:
            if where in self._selections:
                self._selections.move_to_end(where)
                return self._selections[where]
        selection = RowMask(self._compute(where))
        with self._lock:
            self._selections[where] = selection
            while len(self._selections) > self._keep:
                self._selections.popitem(last=False)
        return selection

    def _compute(self, where: Filter) -> Mask:
        if where.exclude_groups:  # differs from question to question: cheap on top of what it narrows
            rows = self.select(replace(where, exclude_groups=())).rows
            return rows & ~self._rows_with({"group_id": where.exclude_groups})
        wanted = {"kind": where.kinds, "domain": where.domains, "source": where.sources, "case_id": where.case_ids}
        return self._everything.rows & self._rows_with({column: some for column, some in wanted.items() if some})

    def _rows_with(self, wanted: dict[str, tuple[str, ...]]) -> Mask:
        conditions = " AND ".join(f"{column} IN {LISTED}" for column in wanted)
        query = f"SELECT first, passages FROM documents WHERE {conditions}"
        values = [listed(some) for some in wanted.values()]
        return _union(self._catalogue.fetch(query, values), len(self._everything.rows))


def alive_rows(connection: sqlite3.Connection, version: int, last_row: int) -> Mask:
    """The passage rows of a version's documents, as a mask of length ``last_row + 1``."""
    return ~_union(connection.execute(_DEAD, {"v": version}), last_row + 1)


def _union(ranges: Iterable[tuple[int, int]], length: int) -> Mask:
    """The union of row ranges [first, first + passages), cut at ``length``."""
    table = np.array(list(ranges), dtype=np.int64).reshape(-1, 2)
    steps = np.zeros(length + 1, np.int32)
    np.add.at(steps, np.minimum(table[:, 0], length), 1)
    np.add.at(steps, np.minimum(table.sum(axis=1), length), -1)
    return np.cumsum(steps[:-1]) > 0
