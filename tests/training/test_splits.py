"""No patient is in two parts, however the records are given."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import InputError
from rag.training.splits import assign_splits


@dataclass(frozen=True)
class Record:
    group: str
    split: str = ""


ENOUGH = [Record("a", "train"), Record("b", "dev"), Record("c", "test")]
groups = st.lists(st.integers(0, 40).map(lambda n: f"g{n}"), max_size=120)


@settings(max_examples=60, deadline=None)
@given(
    groups, st.dictionaries(st.integers(0, 40), st.sampled_from(["train", "dev", "test", "smoke"])), st.integers(0, 9)
)
def test_groups_stay_together(names: list[str], known: dict[int, str], seed: int) -> None:
    """Some records of a group may name its split; the others follow it."""
    named = {f"g{n}": split for n, split in known.items()}
    records = ENOUGH + [Record(g, named.get(g, "") if i % 2 else "") for i, g in enumerate(names)]
    parts = assign_splits(records, seed)
    where: dict[str, set[str | None]] = {}
    for record, part in zip(records, parts, strict=True):
        where.setdefault(record.group, set()).add(part)
    assert all(len(found) == 1 for found in where.values())
    for record, part in zip(records, parts, strict=True):
        assert record.split in ("", "smoke") or part == record.split


def test_a_group_falls_into_its_part_whatever_else_there_is() -> None:
    many = [Record(f"p{n}") for n in range(2000)]
    parts = assign_splits(many, 3)
    shares = {name: parts.count(name) / len(parts) for name in ("train", "dev", "test")}
    assert shares == pytest.approx({"train": 0.8, "dev": 0.1, "test": 0.1}, abs=0.03)
    assert assign_splits(ENOUGH + many[500:], 3)[3:] == parts[500:]
    assert assign_splits(many, 4) != parts


def test_what_cannot_be_divided_is_said() -> None:
    with pytest.raises(InputError, match=r"group 'a' is in the splits 'train' and 'test'"):
        assign_splits([*ENOUGH, Record("a", "test")])
    with pytest.raises(InputError, match=r"1 groups were given: give more"):
        assign_splits([Record("only")] * 30)
    with pytest.raises(InputError, match=r"nothing to test on"):
        assign_splits(ENOUGH[:2])
