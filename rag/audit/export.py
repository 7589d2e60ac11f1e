"""The ledger as files: JSONL that a third party can verify, and labelled questions.

Each line of the JSONL is one entry, in order: ``number``, ``kind``, ``audit_id``, ``created``, ``record`` (the exact
text that was hashed), ``previous``, ``sha256`` and ``parts`` (``salt`` and ``text`` by name; redacted ones are
missing). It verifies with nothing but SHA-256 over UTF-8:

1. ``previous`` of the first line is 64 zeros, and of every other line the ``sha256`` of the line before.
2. ``sha256`` is SHA-256 of ``previous``, a newline and ``record``; ``number``, ``kind``, ``audit_id`` and ``created``
   are also in the record. Where ``record`` is empty (entries of format 1), it is SHA-256 of ``previous``, a newline,
   ``created``, a newline and the text of the part ``entry``.
3. Of each part, SHA-256 of ``salt``, a newline and ``text`` is what the record's ``parts`` say under its name.
4. A part that the record names and the line lacks is named under ``redacted`` by the record of some later line of the
   kind ``redaction`` (or the export was made without texts).
5. ``image_sha256`` of a record is SHA-256 of the bytes of the question's image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from rag.audit.record import Entry, canonical_json


def jsonl(entries: Iterable[Entry], texts: bool = True) -> Iterator[str]:
    """One line for each entry. Without ``texts`` only records are given: no question, evidence or answer."""
    for entry in entries:
        parts = {name: part._asdict() for name, part in entry.parts.items()} if texts else {}
        line = {name: getattr(entry, name) for name in ("number", "kind", "audit_id", "created", "record")}
        yield canonical_json(line | {"previous": entry.previous, "sha256": entry.sha256, "parts": parts}) + "\n"


def as_dict(entry: Entry) -> dict[str, object]:
    """One entry for people and programs: the record parsed, the parts by name, what is gone."""
    parts = {name: json.loads(part.text) if name != "image" else part.text for name, part in entry.parts.items()}
    head = {name: getattr(entry, name) for name in ("number", "kind", "audit_id", "created", "previous", "sha256")}
    return head | {"record": entry.fields, "parts": parts, "redacted": list(entry.redacted)}
