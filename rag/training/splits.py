"""Train, dev and test parts that never share a patient or article."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol

from rag.errors import InputError

Split = Literal["train", "dev", "test"]
_PARTS: tuple[tuple[Split, float], ...] = (("train", 0.8), ("dev", 0.1), ("test", 0.1))


class Grouped(Protocol):
    """A record that knows its group, and perhaps its split ('' where it was given none)."""

    @property
    def group(self) -> str: ...

    @property
    def split(self) -> str: ...


def assign_splits(records: Sequence[Grouped], seed: int = 0) -> list[Split | None]:
    """The part of each record: its own ``split`` where it has one, else by a hash of its group.

    A record without a split follows its group. Records of another split ('smoke', 'holdout') are None: left out.

    Raises:
        InputError: records of one group name different splits, or there is no group to learn from or none to test on.
    """
    given: dict[str, str] = {}
    for record in records:
        if record.split and given.setdefault(record.group, record.split) != record.split:
            raise InputError(
                f"the group {record.group!r} is in the splits {given[record.group]!r} and {record.split!r}; "
                "give all records of a group one split"
            )
    parts = [_known(given[r.group]) if r.group in given else _hashed(r.group, seed) for r in records]
    groups = Counter(part for part, _ in {(part, record.group) for part, record in zip(parts, records, strict=True)})
    for name, use in (("train", "learn from"), ("dev", "stop early by"), ("test", "test on")):
        if not groups[name]:  # type: ignore[index]
            raise InputError(
                f"no group of records is in the split {name!r}, so there is nothing to {use}; "
                f"{len({r.group for r in records})} groups were given: give more, or name their splits"
            )
    return parts


def _known(split: str) -> Split | None:
    return next((name for name, _ in _PARTS if name == split), None)


def _hashed(group: str, seed: int) -> Split:
    """The same group falls into the same part whatever else there is."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64
    for name, share in _PARTS:
        if draw < share:
            return name
        draw -= share
    return "test"
