"""Checking a chain: does every entry follow from the one before, and is all that is missing missing with a reason?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rag.audit.images import ImageStore
from rag.audit.record import GENESIS, IMAGE, WHOLE, Entry


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the whole ledger found.

    Attributes:
        entries: how many were looked at; all of them where the chain holds.
        head: hash of the last of them. Who keeps it elsewhere can tell later whether the end was cut off.
        broken: number of the first entry that is wrong or missing.
        broken_at: the same for people, with the audit id where there is one.
        problem: what is wrong there, in words.
        redacted: parts that recorded redactions took out.
    """

    entries: int
    head: str
    broken: int | None = None
    broken_at: str | None = None
    problem: str = ""
    redacted: int = 0

    @property
    def ok(self) -> bool:
        return self.broken_at is None


def check_chain(entries: Iterable[Entry], images: ImageStore | None = None, expect: str | None = None) -> ChainReport:
    """Recompute every hash, from the first entry on.

    Args:
        entries: all of them, by number.
        images: where the questions' images lie, to check their bytes as well.
        expect: a hash that the chain must go through: one noted earlier as its head.
    """
    previous, number, met = GENESIS, 0, expect in (None, GENESIS)
    missing: dict[tuple[int, str], str] = {}
    taken: set[tuple[int, str]] = set()
    broken: tuple[int, str, str] | None = None
    for entry in entries:
        if entry.kind == "redaction" and entry.sha256 == entry.expected_sha256:
            taken |= {(one["entry"], name) for one in entry.fields["redacted"] for name in one["parts"]}
        if broken is not None:
            continue  # what follows a break can still tell which texts were redacted
        problem = _link(entry, number + 1, previous) or _parts(entry, images)
        if problem:
            gone = entry.number > number + 1
            label = f"entry {number + 1}" if gone else f"entry {number + 1} ({entry.audit_id})"
            broken = (number + 1, label, problem)
            continue
        number, previous = entry.number, entry.sha256
        met = met or entry.sha256 == expect
        missing |= {(entry.number, name): entry.audit_id for name in entry.redacted}
    if broken is None and not met:
        words = f"no entry has the hash {expect}: the end was cut off, or the ledger was written anew"
        broken = (number + 1, f"entry {number + 1}", words)
    unexplained = min((at for at in missing if at not in taken), default=None)
    if unexplained is not None:
        at, name = unexplained
        words = f"its part {name!r} is missing, and no entry that can be trusted records a redaction of it"
        label = f"entry {at} ({missing[unexplained]})"
        # Where the chain is broken the redaction may have stood there, so the break is what is certain.
        broken = (*broken[:2], f"{broken[2]}; besides, of {label} {words}") if broken else (at, label, words)
    if broken is None:
        return ChainReport(number, previous, redacted=len(taken & missing.keys()))
    return ChainReport(number, previous, *broken, redacted=len(taken & missing.keys()))


def _link(entry: Entry, number: int, previous: str) -> str | None:
    """What is wrong with an entry's place and hash."""
    if entry.number != number:
        return f"it was removed: entry {entry.number} ({entry.audit_id}) is the next"
    if entry.previous != previous:
        return "it does not follow from the entry before: one of them was edited, removed or moved"
    expected = entry.expected_sha256
    if expected is not None and entry.sha256 != expected:
        return "it was edited: its hash differs"
    if not entry.record:
        return None
    try:
        told = {name: entry.fields.get(name) for name in ("number", "kind", "audit_id", "created")}
    except ValueError:
        return "it was edited: its record is not JSON"
    if told != {"number": number, "kind": entry.kind, "audit_id": entry.audit_id, "created": entry.created}:
        return "it was edited: its columns are not those of its record"
    return None


def _parts(entry: Entry, images: ImageStore | None) -> str | None:
    """What is wrong with an entry's texts and image."""
    for name in edited_parts(entry):
        return f"its part {name!r} was edited" if name in entry.commitments else f"a part {name!r} was added to it"
    image = entry.parts.get(IMAGE)
    if image is not None and images is not None and not images.holds(image.text):
        return f"the image {image.text[:12]}… of its question is missing or was changed"
    return None


def edited_parts(entry: Entry) -> list[str]:
    """Names of the parts that are not what the record commits to; a whole entry of format 1 is its own record."""
    wanted = entry.commitments
    return [n for n, part in entry.parts.items() if n not in wanted or (n != WHOLE and part.commitment != wanted[n])]
