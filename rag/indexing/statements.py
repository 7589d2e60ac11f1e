"""What was read in documents: statements, kept in the catalogue beside the documents that they were read in.

A document's content never changes, so what it says by one set of rules never does; ``readings`` says by which rules
each was read, and a document without a row there has not been read. Statements follow their documents: a version has
those of its own documents, and what is forgotten takes its statements along. An index made before there were any has
no such tables until it is read (``rag index reread``).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from rag.errors import IndexStateError
from rag.indexing.catalogue import ALIVE, LISTED, STATEMENT_TABLES, Catalogue, listed
from rag.indexing.snapshot import Snapshot
from rag.types import Document, sha256_of

LEFT, RIGHT = 1, 2  # bits of ``sides``
_OTHER = "/"  # between the rules and the language of a report that they do not read


class Statement(NamedTuple):
    """What one sentence of a document says of one finding. Sets are words between spaces: `` upper lower ``.

    ``value`` is the largest number with a unit that belongs to the finding, in the unit of its ``dimension`` (lengths
    in mm, volumes in ml); ``start`` and ``end`` are offsets in the document.
    """

    concept: str
    status: str
    sides: int
    zones: str
    degrees: str
    course: str
    dimension: str
    value: float | None
    sure: float
    derived: bool
    start: int
    end: int


class ReadDocument(NamedTuple):
    """A document that was read: its row in the catalogue, its date (ISO, as far as known) and what it says.

    ``language`` is the code of the one that it is in where that is not read: then nobody knows what it says.
    """

    row: int
    date: str
    statements: Sequence[Statement]
    language: str = ""


class ReportRow(NamedTuple):
    """What counts need of a document."""

    row: int
    group_id: str
    date: str


class StatementTable:
    """The statements of one version's reports.

    >>> table = StatementTable(snapshot)                                          # doctest: +SKIP
    >>> table.rules()                                                             # doctest: +SKIP
    {'statements-1:0f3c…': 3934}
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def rules(self) -> dict[str, int]:
        """How many reports were read by which rules; those not read at all are counted under an empty name."""
        return {rules: n for rules, n in self._read_by().items() if _OTHER not in rules}

    def languages(self) -> dict[str, int]:
        """How many reports are in which other language, by its code; these are in no other count."""
        counts = Counter[str]()
        for rules, n in self._read_by().items():
            if _OTHER in rules:
                counts[rules.split(_OTHER)[1]] += n
        return dict(counts)

    def _read_by(self) -> dict[str, int]:
        if not self._there():
            return {"": sum(c.documents for c in self._snapshot.counts() if c.kind == "report")}
        rows = self._fetch(
            "SELECT coalesce(r.rules, ''), count(*) FROM documents d LEFT JOIN readings r ON r.document = d.row"
            f" WHERE d.kind = 'report' AND {ALIVE} GROUP BY 1 ORDER BY 1"
        )
        return dict(rows)

    def reports(self, where: Mapping[str, Collection[str]], since: str = "", until: str = "") -> dict[int, ReportRow]:
        """The reports that were read, by row, in the order they were ingested.

        Args:
            where: columns of a document (domain, source, group_id, case_id) and the values that will do.
            since: earliest date, ISO; a date known by its year alone counts as its first day.
            until: latest date, ISO; given by its year or month alone, all of it.
        """
        conditions, values = [], dict[str, Any]()
        for column, allowed in where.items():
            if allowed:
                conditions.append(f"d.{column} IN {LISTED.replace('?', f':{column}')}")
                values[column] = listed(allowed)
        if since:
            conditions.append("r.date >= :since")
        if until:
            conditions.append("r.date <> '' AND substr(r.date, 1, :width) <= :until")
        rows = self._fetch(
            "SELECT d.row, d.group_id, r.date FROM documents d JOIN readings r ON r.document = d.row"
            f" WHERE d.kind = 'report' AND instr(r.rules, '{_OTHER}') = 0 AND {ALIVE}"
            f" {''.join(f' AND {c}' for c in conditions)} ORDER BY d.row",
            values | {"since": since, "until": until, "width": len(until)},
        )
        return {row: ReportRow(row, group, date) for row, group, date in rows}

    def strongest(self, condition: str, values: Mapping[str, Any], rank: str) -> dict[int, int]:
        """Per document with a statement that meets ``condition``, the highest ``rank`` of those, both in SQL.

        The condition is about columns of ``s``, a statement. Documents of other versions are among them.
        """
        return dict(
            self._fetch(f"SELECT s.document, max({rank}) FROM statements s WHERE {condition} GROUP BY 1", values)
        )

    def quoted(self, condition: str, values: Mapping[str, Any], rows: Collection[int]) -> dict[int, list[Statement]]:
        """The statements of these documents that meet ``condition``, in the order of their texts."""
        fields = ", ".join(f"s.{name}" for name in Statement._fields)
        found: dict[int, list[Statement]] = {}
        for row, *statement in self._fetch(
            f"SELECT s.document, {fields} FROM statements s WHERE s.document IN {LISTED.replace('?', ':rows')}"
            f" AND ({condition}) ORDER BY s.document, s.number",
            {**values, "rows": listed(rows)},
        ):
            found.setdefault(row, []).append(Statement(*statement))
        return found

    def documents(self, rows: Sequence[int]) -> dict[int, Document]:
        """The documents of these rows."""
        query = f"SELECT row, body FROM documents WHERE row IN {LISTED.replace('?', ':rows')}"
        return {row: Document.model_validate_json(body) for row, body in self._fetch(query, {"rows": listed(rows)})}

    def shelves(self, column: Literal["domain", "source", "case_id"]) -> dict[int, str]:
        """The domain, the source or the case of each report of this version."""
        return dict(self._fetch(f"SELECT d.row, d.{column} FROM documents d WHERE d.kind = 'report' AND {ALIVE}"))

    def rows_of(self, document_ids: Collection[str]) -> dict[str, int]:
        """The rows of documents of this version."""
        query = f"SELECT d.id, d.row FROM documents d WHERE d.id IN {LISTED.replace('?', ':ids')} AND {ALIVE}"
        return dict(self._fetch(query, {"ids": listed(document_ids)}))

    def _there(self) -> bool:
        return bool(self._fetch("SELECT 1 FROM sqlite_master WHERE name = 'readings'"))

    def _fetch(self, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        return self._snapshot.select(query, values or {})


def documents_to_read(
    catalogue: Catalogue, rules: str, size: int, *, again: bool
) -> Iterator[list[tuple[int, Document]]]:
    """Rows and reports of the latest version that were never read or, ``again``, not by these rules."""
    known = f"r.document IS NULL OR (:again AND r.rules <> :rules AND substr(r.rules, 1, {len(rules) + 1}) <> :other)"
    query = (
        "SELECT d.row, d.body FROM documents d JOIN lifetimes l ON l.document = d.row AND l.valid_to IS NULL"
        f" LEFT JOIN readings r ON r.document = d.row WHERE d.kind = 'report' AND d.row > :last AND ({known})"
        " ORDER BY d.row LIMIT :size"
    )
    last = -1
    while True:
        with catalogue.connection() as connection:
            values = {"again": again, "rules": rules, "other": rules + _OTHER, "last": last, "size": size}
            found = connection.execute(query, values).fetchall()
        if not found:
            return
        last = found[-1][0]
        yield [(row, Document.model_validate_json(body)) for row, body in found]


def prepare_statements(connection: sqlite3.Connection) -> None:
    """Make the tables in an index that was made without them."""
    for statement in STATEMENT_TABLES:
        connection.execute(
            statement.replace(" TABLE ", " TABLE IF NOT EXISTS ").replace(" INDEX ", " INDEX IF NOT EXISTS ")
        )


def write_statements(connection: sqlite3.Connection, rules: str, read: Iterable[ReadDocument]) -> None:
    """Keep what was read; what was read there before goes."""
    slots = ", ".join("?" * (2 + len(Statement._fields)))
    for row, date, statements, language in read:
        by = rules + _OTHER + language if language else rules
        connection.execute("DELETE FROM statements WHERE document = ?", (row,))
        content = _content(by, date, statements)
        connection.execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", (row, by, date, content))
        connection.executemany(
            f"INSERT INTO statements VALUES ({slots})", ((row, n, *s) for n, s in enumerate(statements))
        )


def statement_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Documents whose statements are not what was read in them."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'readings'").fetchone() is None:
        return
    fields = ", ".join(f"s.{name}" for name in Statement._fields)
    kept: dict[int, list[Statement]] = {}
    for row, *statement in connection.execute(
        f"SELECT s.document, {fields} FROM statements s ORDER BY s.document, s.number"
    ):
        kept.setdefault(row, []).append(Statement(*statement))
    for row, identity, rules, date, content in connection.execute(
        "SELECT r.document, d.id, r.rules, r.date, r.sha256 FROM readings r LEFT JOIN documents d ON d.row = r.document"
    ):
        if identity is None:
            yield f"statements are kept of a document (row {row}) that is not there"
        elif _content(rules, date, kept.pop(row, [])) != content:
            yield f"the statements of document {identity!r} are not what was read; read them: rag index reread"
    if kept:
        yield f"statements are kept of {len(kept)} documents that were not read"


def _content(rules: str, date: str, statements: Sequence[Statement]) -> str:
    return sha256_of(json.dumps([rules, date, [(*s[:9], bool(s.derived), *s[10:]) for s in statements]]))


def need_readings(counted: Mapping[str, int], index: str) -> None:
    """Raise where no report of an index was ever read, though there are some."""
    if counted and not any(counted.keys()):
        raise IndexStateError(
            f"the {counted['']:,} reports of index {index!r} have not been read for statements yet (it was made by an "
            f"earlier version); read them, once, with: rag index reread {index}"
        )
