"""The ledger's SQLite file: its tables, its format, and the way from format 1.

Format 1 held each answer as one JSON text that was hashed whole. Opening such a file brings it to format 2 in one
transaction: the texts become the parts of entries whose record is empty, and keep the hashes that they had, so old and
new entries are one chain.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rag.errors import IndexStateError
from rag.indexing.storage import atomic

APPLICATION_ID = 0x434C4C47  # "CLLG"
FORMAT = 2
_TABLES = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    audit_id TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    record TEXT NOT NULL,
    previous TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TABLE parts (
    entry INTEGER NOT NULL,
    name TEXT NOT NULL,
    salt TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (entry, name)
) STRICT;
CREATE INDEX kinds ON entries (kind, number);
CREATE INDEX images ON parts (text) WHERE name = 'image';
CREATE TRIGGER no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER no_update_of_parts BEFORE UPDATE ON parts
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
# of an entry's record the thread; the texts of format 1 have no record, and one that was tampered with may be no JSON
THREAD = "CASE WHEN json_valid(record) THEN json_extract(record, '$.thread') END"
THREADS = f"CREATE INDEX IF NOT EXISTS threads ON entries ({THREAD}, number) WHERE {THREAD} IS NOT NULL"
_MARKS = f"PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {FORMAT};"
_FROM_FORMAT_1 = f"""
DROP TRIGGER IF EXISTS no_update;
DROP TRIGGER IF EXISTS no_delete;
ALTER TABLE entries RENAME TO entries_1;
{_TABLES}
INSERT INTO entries SELECT number, 'answer', audit_id, created, '', previous, sha256 FROM entries_1 ORDER BY number;
INSERT INTO parts SELECT number, 'entry', '', answer FROM entries_1 ORDER BY number;
DROP TABLE entries_1;
"""


def prepare_ledger(connection: sqlite3.Connection, path: Path) -> None:
    """Make an empty file a ledger, bring one of format 1 to format 2, and refuse anything else.

    Raises:
        IndexStateError: the file is another program's, or of a later format.
    """
    application, form = _marks(connection)
    if (application, form) == (APPLICATION_ID, FORMAT):
        return
    if application == APPLICATION_ID and form > FORMAT:
        raise IndexStateError(f"the ledger {path} was written by a newer ClinCite (format {form}); upgrade to read it")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or form or tables):
        raise IndexStateError(f"{path} is another program's SQLite file, not a ledger; move it away")
    connection.execute("PRAGMA journal_mode = WAL")
    with atomic(connection):
        application, form = _marks(connection)  # another process may have been faster
        if form != FORMAT:
            _run(connection, (_FROM_FORMAT_1 if form == 1 else _TABLES) + _MARKS)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    return application, form


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Statement by statement: ``executescript`` would commit the transaction first."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
