"""No patient is in two parts, however the records are given and whatever is trained with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rag.corpus.source import read_source
from rag.errors import InputError
from rag.training.retriever.examples import divide, read_examples
from rag.training.router.images import read_images
from rag.training.splits import assign_splits


@dataclass(frozen=True)
class Record:
    group: str
    split: str = ""


ENOUGH = [Record("a", "train"), Record("b", "dev"), Record("c", "test")]
groups = st.lists(st.integers(0, 40).map(lambda n: f"g{n}"), max_size=120)


@settings(max_examples=60, deadline=None)
@given(groups, st.dictionaries(st.integers(0, 40), st.sampled_from(["train", "dev", "test", "smoke"])))
def test_groups_stay_together(names: list[str], known: dict[int, str]) -> None:
    """Some records of a group may name its split; the others follow it."""
    named = {f"g{n}": split for n, split in known.items()}
    records = ENOUGH + [Record(g, named.get(g, "") if i % 2 else "") for i, g in enumerate(names)]
    parts = assign_splits(records)
    where: dict[str, set[str | None]] = {}
    for record, part in zip(records, parts, strict=True):
        where.setdefault(record.group, set()).add(part)
    assert all(len(found) == 1 for found in where.values())
    for record, part in zip(records, parts, strict=True):
        assert record.split in ("", "smoke") or part == record.split


def test_a_group_falls_into_its_part_whatever_else_there_is() -> None:
    many = [Record(f"p{n}") for n in range(2000)]
    parts = assign_splits(many)
    shares = {name: parts.count(name) / len(parts) for name in ("train", "dev", "test")}
    assert shares == pytest.approx({"train": 0.8, "dev": 0.1, "test": 0.1}, abs=0.03)
    assert assign_splits(ENOUGH + many[500:])[3:] == parts[500:]


def test_weights_trained_before_keep_their_parts() -> None:
    """The parts of the default seed of before, so that old test figures stay figures of unseen patients."""
    parts = assign_splits([Record(f"p{n}") for n in range(30)])
    assert (
        "".join({"train": "-", "dev": "d", "test": "t"}[part or ""] for part in parts)
        == "-t----t-dt--dd----tt--t--t----"
    )


def test_what_cannot_be_divided_is_said() -> None:
    with pytest.raises(InputError, match=r"group 'a' is in the splits 'train' and 'test'"):
        assign_splits([*ENOUGH, Record("a", "test")])
    with pytest.raises(InputError, match=r"1 groups were given: give more"):
        assign_splits([Record("only")] * 30)
    with pytest.raises(InputError, match=r"nothing to test on"):
        assign_splits(ENOUGH[:2])
    assert assign_splits(ENOUGH[:2], needed=("train", "dev")) == ["train", "dev"]


@pytest.mark.parametrize("named", [0.0, 0.3], ids=["no split is named", "some rows name theirs"])
def test_the_router_is_tested_on_nobody_the_retriever_has_learned_from(tmp_path: Path, named: float) -> None:
    """Both read one file; the retriever takes the images with texts only, the router all."""
    Image.new("RGB", (2, 2)).save(tmp_path / "i.png")
    rows = []
    for n in range(600):
        group = f"g{n // 3}"
        row = {"id": f"c{n}", "image": "i.png", "domain": "radiology", "group": group}
        row |= {"text": "Clear lungs."} if n % 3 else {}  # the first image of each group has none
        row |= {"split": "test"} if n % 3 == 0 and n < 600 * named else {}
        rows.append(row)
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    learned = divide(read_examples(read_source(path, "cases"))[0])
    routed = read_images([path], {"radiology"})
    for part in ("train", "dev", "test"):
        assert {e.group for e in getattr(learned, part)} == {image.group for image in routed.of(part)} != set()
