"""Random lives of an index against a brute-force model."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.indexing import Filter, IndexStore, Snapshot

from .brute_force import SPACES, Batch, Model, batch_of, make_document, unit

IDS = [f"d{i}" for i in range(12)]
KINDS, DOMAINS, SOURCES, GROUPS = ("report", "literature"), ("radiology", "pathology"), ("s0", "s1"), ("g0", "g1", "g2")


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


staged = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(IDS),
        "text": st.sampled_from(["Clear lungs.", "Clear lungs. Big heart.", "A. B. C."]),
        "kind": st.sampled_from(KINDS),
        "domain": st.sampled_from(DOMAINS),
        "source": st.sampled_from(SOURCES),
        "group_id": st.sampled_from(GROUPS),
        "seed": st.integers(0, 3),  # few seeds: equal vectors under different ids are common
    }
)
removed = (
    st.fixed_dictionaries({"document_ids": st.lists(st.sampled_from(IDS), min_size=1, max_size=3)})
    | st.fixed_dictionaries({"sources": st.lists(st.sampled_from(SOURCES), min_size=1, max_size=1)})
    | st.fixed_dictionaries({"groups": st.lists(st.sampled_from(GROUPS), min_size=1, max_size=1)})
)
lives = st.lists(st.lists(staged | staged | removed, min_size=1, max_size=8), min_size=1, max_size=4)
filters = st.builds(
    Filter,
    kinds=some(KINDS),
    domains=some(DOMAINS),
    sources=some(SOURCES),
    case_ids=st.just(()) | st.lists(st.sampled_from([f"C-{i}" for i in IDS]), min_size=1).map(tuple),
    exclude_groups=some(GROUPS),
)


@settings(max_examples=20, deadline=None)
@given(life=lives, where=st.lists(filters, min_size=1, max_size=4), k=st.integers(1, 12))
def test_every_version_answers_as_brute_force_does(life: list[list[dict]], where: list[Filter], k: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = IndexStore.create(Path(directory) / "demo")
        model = Model()
        pinned: list[Snapshot] = []
        for steps in life:
            before = store.version()
            version = live(store, model, steps)
            assert version in (before, before + 1)
            pinned.append(store.snapshot())
        for number, alive in model.versions.items():
            if number:
                check(store.snapshot(number), number, model, alive, where, k)
        for snapshot in pinned:
            if snapshot.version:
                check(snapshot, snapshot.version, model, model.versions[snapshot.version], where[:1], k)


def live(store: IndexStore, model: Model, steps: list[dict]) -> int:
    """Apply one version's steps to the store and to the model."""
    batches: dict[str, Batch] = {}
    gone: set[str] = set()
    with store.writer() as writer:
        for step in steps:
            if "stage" in step:
                fields = {key: step[key] for key in ("kind", "domain", "source", "group_id")}
                document = make_document(step["stage"], step["text"], **fields)
                batches.pop(document.id, None)  # staged again: it takes its place at the end
                batches[document.id] = batch_of([document], seed=step["seed"], pool=2)
                writer.stage(*batches[document.id])
            else:
                writer.remove(**step)
                gone |= {key for key, (document, _) in model.alive.items() if hit(document, step)}
                batches = {key: batch for key, batch in batches.items() if not hit(batch[0][0], step)}
        version = writer.publish("step", SPACES)
    if batches or gone:
        model.publish(version, batches, gone)
    return version


def hit(document, step: dict) -> bool:  # type: ignore[no-untyped-def]
    return (
        document.id in step.get("document_ids", ())
        or document.source in step.get("sources", ())
        or document.group_id in step.get("groups", ())
    )


def check(snapshot: Snapshot, number: int, model: Model, alive: dict, where: list[Filter], k: int) -> None:
    total = sum(count.documents for count in snapshot.counts())
    assert total == len(alive)
    for key, (document, rows) in alive.items():
        assert snapshot.document(key) == document
        assert snapshot.passages_of(key) == [(row, passage) for row, passage, _ in rows]
    if "text" not in snapshot.spaces():
        assert not any(rows for _, rows in alive.values())
        return
    assert snapshot.spaces()["text"].n == sum(len(rows) for _, rows in alive.values())
    queries = unit(1, 2)
    for filter_ in where:
        found = snapshot.search("text", queries, k, filter_)
        for query, hits in zip(queries, found, strict=True):
            assert [tuple(one) for one in hits] == model.search(number, query, k, filter_)
        matching = {one.row for one in snapshot.search_words("clear", 100, filter_)}
        expected = model.search(number, queries[0], 1000, filter_)
        texts = {row: passage.text for _, rows in alive.values() for row, passage, _ in rows}
        assert matching == {row for row, _ in expected if "Clear" in texts[row]}
