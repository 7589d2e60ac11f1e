"""Train, dev and test parts that never share a patient or article: the one rule of everything that is trained."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from rag.errors import InputError

Split = Literal["train", "dev", "test"]
TRAIN: Split = "train"
DEV: Split = "dev"
TEST: Split = "test"
_USES: dict[Split, str] = {TRAIN: "learn from", DEV: "tune by", TEST: "test on"}
_SHARES: tuple[tuple[Split, float], ...] = ((TRAIN, 0.8), (DEV, 0.1), (TEST, 0.1))


class Grouped(Protocol):
    """A record that knows its group, and perhaps its split ('' where it was given none)."""

    @property
    def group(self) -> str: ...

    @property
    def split(self) -> str: ...


def assign_splits(records: Sequence[Grouped], needed: Collection[Split] = (TRAIN, DEV, TEST)) -> list[Split | None]:
    """The part of each record: its own ``split`` where it has one, else by a hash of its group.

    A record without a split follows its group. Records of another split ('smoke', 'holdout') are None: left out.
    Nothing but its group's name and split decides about a record (no seed, no order, no other record), so that what one
    training is tested on is what no other training of the same patients has learned from:

        assign_splits([Record("p1"), Record("p1"), Record("p2", "test")], needed=())   # ["train", "train", "test"]

    Args:
        needed: the parts that may not be empty.

    Raises:
        InputError: records of one group name different splits, or a part that is needed has no group.
    """
    given: dict[str, str] = {}
    for record in records:
        if record.split and given.setdefault(record.group, record.split) != record.split:
            raise InputError(
                f"the group {record.group!r} is in the splits {given[record.group]!r} and {record.split!r}; "
                "give all records of a group one split"
            )
    parts = [_known(given[r.group]) if r.group in given else _hashed(r.group) for r in records]
    groups = Counter(part for part, _ in {(part, record.group) for part, record in zip(parts, records, strict=True)})
    for name, use in _USES.items():
        if name in needed and not groups[name]:
            raise InputError(
                f"no group of records is in the split {name!r}, so there is nothing to {use}; "
                f"{len({r.group for r in records})} groups were given: give more, or name their splits"
            )
    return parts


def _known(split: str) -> Split | None:
    return next((name for name in _USES if name == split), None)


def _hashed(group: str) -> Split:
    # the "0:" keeps the parts of what was trained with the default seed when a seed was hashed too
    draw = int.from_bytes(hashlib.sha256(f"0:{group}".encode()).digest()[:8], "big") / 2**64
    for name, share in _SHARES:
        if draw < share:
            return name
        draw -= share
    return TEST
