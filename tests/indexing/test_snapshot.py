"""What a snapshot answers."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import InputError
from rag.indexing import Filter, IndexStore, SpaceInfo
from rag.indexing.words.terms import MAX_TERMS, terms_of

from .brute_force import DIM, SPACES, batch_of, fill, make_document, sentences_of, unit


def test_passages_come_in_the_order_asked_for(store: IndexStore) -> None:
    documents = [make_document("a", "One two. Three four."), make_document("b", "Größe µm. Äther 😀 end.")]
    fill(store, documents)
    snapshot = store.snapshot()
    assert snapshot.passages([]) == []
    pairs = snapshot.passages([3, 0, 3, 2])
    assert [passage.id for passage, _ in pairs] == ["b#1", "a#0", "b#1", "b#0"]
    for passage, document in pairs:
        assert document in documents
        assert passage.text == document.text[passage.start : passage.end] != ""
    assert snapshot.passages([3, 0, 3, 2] * 50) == pairs * 50  # many rows travel in another way than few
    assert snapshot.passages_of("b") == [(2, sentences_of(documents[1])[0]), (3, sentences_of(documents[1])[1])]
    for row in (4, -1, 10**12):
        with pytest.raises(InputError, match=f"no passage row {row}"):
            snapshot.passages([row])


def test_documents_survive_the_round_trip(store: IndexStore) -> None:
    document = make_document("a", "Text.").model_copy(
        update={"metadata": {"mesh": ["Heart/enlarged"], "n": 1.5, "nested": {"é": None}, "synonyms": ["big heart"]}}
    )
    fill(store, [document, make_document("plain")])
    snapshot = store.snapshot()
    assert snapshot.document("a") == document and snapshot.document("b") is None
    assert snapshot.terms() == [document]


def test_whether_the_cases_of_images_have_texts_of_a_kind(store: IndexStore) -> None:
    picture = make_document("picture", "", kind="image", case_id="c1")
    fill(store, [picture, make_document("report", case_id="c1"), make_document("book", kind="literature")])
    first = store.snapshot()
    assert first.images_have(("report",)) and first.images_have(("report", "literature"))
    assert not first.images_have(("literature",))
    fill(store, [make_document("article", kind="literature", case_id="c1")])
    assert store.snapshot().images_have(("literature",))


def test_stored_vectors_come_back(store: IndexStore) -> None:
    documents, passages, vectors = batch_of([make_document(f"d{i}") for i in range(4)], seed=3)
    with store.writer() as writer:
        writer.stage(documents[:2], passages[:4], {"text": (vectors["text"][0][:4], vectors["text"][1][:4])})
        writer.publish("", SPACES)
        writer.stage(documents[2:], passages[4:], {"text": (vectors["text"][0][4:], vectors["text"][1][4:])})
        writer.publish("", SPACES)
    np.testing.assert_array_equal(store.snapshot().vectors("text", [7, 0, 4, 4]), vectors["text"][1][[7, 0, 4, 4]])
    with pytest.raises(InputError, match="row 4 has no vector"):
        store.snapshot(1).vectors("text", [0, 4])
    assert store.snapshot().vectors("text", []).shape == (0, DIM)


def test_a_space_may_cover_only_some_passages(store: IndexStore) -> None:
    documents, passages, vectors = batch_of([make_document("a"), make_document("b")])
    image = make_document("i", "", kind="image", case_id="C-a")
    picture = sentences_of(make_document("i", "."))[0].model_copy(update={"end": 0, "text": ""})
    with store.writer() as writer:
        writer.stage([*documents, image], [*passages, picture], {"image": (["i#0"], unit(9)), "text": vectors["text"]})
        writer.publish("", {**SPACES, "image": SPACES["text"]})
    snapshot = store.snapshot()
    assert {space: info.n for space, info in snapshot.spaces().items()} == {"image": 1, "text": 4}
    assert [hit.row for hit in snapshot.search("image", unit(1), 10)[0]] == [4]
    assert [document.id for document in snapshot.case("C-a")] == ["a", "i"]
    with pytest.raises(InputError, match="row 0 has no vector in space 'image'"):
        snapshot.vectors("image", [0])


def test_cases_are_found_whatever_their_case(store: IndexStore) -> None:
    fill(
        store,
        [make_document("a", case_id="CXR2814"), make_document("b", case_id="cxr7"), make_document("c", case_id="CXR7")],
    )
    snapshot = store.snapshot()
    assert snapshot.has_case("cxr2814") == "CXR2814"
    assert snapshot.has_case("cxr7") == "cxr7" and snapshot.has_case("CXR7") == "CXR7"
    assert snapshot.has_case("CXR28") is None
    with store.writer() as writer:
        writer.remove(document_ids=["a"])
        writer.publish()
    assert store.snapshot().has_case("CXR2814") is None and snapshot.has_case("CXR2814") == "CXR2814"


def test_counts_by_shelf(store: IndexStore) -> None:
    fill(store, [make_document(f"{i}", source=f"s{i % 2}", licence="CC0") for i in range(5)])
    assert [tuple(count) for count in store.snapshot().counts()] == [
        ("s0", "report", "radiology", "CC0", 3),
        ("s1", "report", "radiology", "CC0", 2),
    ]


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [(unit(0, dim=5), 3, "dimension 8"), (unit(0) * np.inf, 3, "not finite"), (unit(0), 0, "at least 1")],
)
def test_searches_that_make_no_sense_are_refused(store: IndexStore, queries: np.ndarray, k: int, message: str) -> None:
    fill(store, [make_document("a")])
    with pytest.raises(InputError, match=message):
        store.snapshot().search("text", queries, k)


def test_identical_texts_stay_distinct_and_in_row_order(store: IndexStore) -> None:
    """Normal reports are often word for word the same: their scores tie, more of them than were asked for."""
    same = [make_document(f"d{i}", "Normal chest.") for i in range(300)]
    vector = unit(1)
    with store.writer() as writer:
        for start in (0, 100, 200):
            part = same[start : start + 100]
            passages = [sentences_of(document)[0] for document in part]
            writer.stage(part, passages, {"text": ([p.id for p in passages], np.repeat(vector, 100, axis=0))})
        writer.publish("", SPACES)
    snapshot = store.snapshot()
    for k in (1, 7, 299, 300, 1000):
        assert [hit.row for hit in snapshot.search("text", vector, k)[0]] == list(range(min(k, 300)))
    assert [hit.row for hit in snapshot.search_words("normal chest", 7)] == list(range(7))
    batch = snapshot.search("text", np.repeat(vector, 40, axis=0), 5)
    assert batch == [snapshot.search("text", vector, 5)[0]] * 40


def test_scores_within_rounding_are_ordered_exactly_however_they_are_asked_for(store: IndexStore) -> None:
    """FAISS adds up float32 differently for one query and for many; what is cut off must not depend on it."""
    documents = [make_document(f"d{i}", "Normal chest.") for i in range(400)]
    passages = [sentences_of(document)[0] for document in documents]
    vectors = unit(1, dim=96) + np.float32(1e-7) * unit(2, 400, dim=96)
    with store.writer() as writer:
        writer.stage(documents, passages, {"text": ([passage.id for passage in passages], vectors)})
        writer.publish("", {"text": SpaceInfo(96, "encoder-a")})
    queries = unit(1, dim=96) * 0.999 + 0.01 * unit(3, 32, dim=96)
    exact = (queries.astype(np.float64)[:, None] * vectors.astype(np.float64)[None]).sum(axis=2).astype(np.float32)
    expected = [np.lexsort((np.arange(400), -scores))[:7].tolist() for scores in exact]
    snapshot = store.snapshot()
    assert [[hit.row for hit in hits] for hits in snapshot.search("text", queries, 7)] == expected
    assert [[hit.row for hit in snapshot.search("text", query, 7)[0]] for query in queries] == expected


def test_word_search_ranks_filters_and_forgets(store: IndexStore) -> None:
    texts = ["Pleural effusion on the left.", "Effusions.", "The heart is enlarged.", "No pneumothorax."]
    fill(store, [make_document(f"d{i}", text) for i, text in enumerate(texts)])
    snapshot = store.snapshot()
    assert [hit.row for hit in snapshot.search_words("Is there an EFFUSION?", 10)] == [
        1,
        0,
    ]  # stemmed; shorter is better
    assert all(hit.score > 0 for hit in snapshot.search_words("effusion heart", 10))
    assert [hit.row for hit in snapshot.search_words("effusion", 10, Filter(exclude_groups=("g-d1",)))] == [0]
    assert snapshot.search_words("is there the of", 10) == [] == snapshot.search_words("zebra", 10)
    with store.writer() as writer:
        writer.remove(document_ids=["d1"])
        writer.publish()
    assert [hit.row for hit in store.snapshot().search_words("effusion", 1)] == [0]
    assert [hit.row for hit in store.snapshot(1).search_words("effusion", 10)] == [1, 0]


def test_terms() -> None:
    assert terms_of("Does the CXR show a left-sided effusion, effusion?") == [
        "cxr",
        "show",
        "left",
        "sided",
        "effusion",
    ]
    assert terms_of("US of the liver in ALL") == ["us", "liver", "all"]
    assert terms_of("US OF THE LIVER") == ["liver"]
    assert len(terms_of(" ".join(f"t{i}" for i in range(500)))) == MAX_TERMS
    assert terms_of('a" OR text:x NEAR(') == ["or", "text", "x", "near"]


@pytest.fixture(scope="module")
def words_store(tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    store = IndexStore.create(tmp_path_factory.mktemp("words") / "demo")
    fill(store, [make_document("a", "Ångström x2 cœur NEAR and text.")])
    return store


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.text(max_size=80)
    | st.text(alphabet='"*^():+-{}AND OR NOT NEAR\x00\\;%_́\ud800', max_size=40)
    | st.sampled_from(
        ["\x00", '"', "text:", "NEAR(a b, 3)", "a*", "{text} : x", "-a", "'; DROP TABLE words; --", "٣ ⅷ 𝟘 ẞ"]
    )
)
def test_no_question_breaks_word_search(words_store: IndexStore, query: str) -> None:
    for hit in words_store.snapshot().search_words(query, 3):
        assert hit.row == 0 and hit.score > 0


def test_a_question_of_a_million_characters_is_answered(words_store: IndexStore) -> None:
    assert words_store.snapshot().search_words("x2 " * 333_333, 3)[0].row == 0
    assert words_store.snapshot().search_words("é" * 1_000_000, 3) == []


def test_threads_share_a_snapshot(store: IndexStore) -> None:
    fill(store, [make_document(f"d{i}") for i in range(50)])
    snapshot = store.snapshot()
    queries = unit(8, 16)
    expected = snapshot.search("text", queries, 5)
    gate = threading.Barrier(4)

    def work(number: int) -> bool:
        gate.wait()
        for i in range(30):
            where = Filter(exclude_groups=(f"g-d{(number + i) % 50}",))
            rows = [hit.row for hit in snapshot.search("text", queries[i % 16], 5, where)[0]]
            assert all(document.group_id not in where.exclude_groups for _, document in snapshot.passages(rows))
            assert snapshot.search("text", queries[i % 16], 5)[0] == expected[i % 16]
            assert len(snapshot.search_words("lungs", 5)) == 5
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_many_excluded_groups(store: IndexStore) -> None:
    fill(store, [make_document(f"d{i}") for i in range(20)])
    others = tuple(f"nobody-{i}" for i in range(50_000))
    found = store.snapshot().search("text", unit(1), 100, Filter(exclude_groups=(*others, "g-d3")))[0]
    assert len(found) == 38 and {6, 7}.isdisjoint(hit.row for hit in found)


@pytest.fixture
def parted(store: IndexStore, monkeypatch: pytest.MonkeyPatch) -> IndexStore:
    """An index of five segments, which counts as a large one."""
    monkeypatch.setattr("rag.indexing.vectors._MANY", 100)
    for part in range(5):
        fill(store, [make_document(f"d{part}-{i}", source=f"s{part % 2}") for i in range(20)], seed=part)
    return store


def test_one_question_to_many_segments_finds_what_a_batch_finds(parted: IndexStore) -> None:
    snapshot, queries = parted.snapshot(), unit(9, 12)
    assert parted.snapshot(1).search("text", queries[0], 3) != snapshot.search("text", queries[0], 3)
    for where in (Filter(), Filter(sources=("s1",)), Filter(sources=("nowhere",))):
        together = snapshot.search("text", queries, 7, where)
        assert [snapshot.search("text", query, 7, where)[0] for query in queries] == together
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda query: snapshot.search("text", query, 7)[0], np.tile(queries, (10, 1)))
        assert list(found) == snapshot.search("text", queries, 7) * 10


def test_a_forked_process_searches_many_segments_too(
    parted: IndexStore, in_subprocess: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    script = """
import os, sys
from pathlib import Path
from rag.indexing import IndexStore, vectors
from indexing.brute_force import unit
vectors._MANY = 100
snapshot = IndexStore.open(Path(sys.argv[1])).snapshot()
before = snapshot.search("text", unit(9), 5)
child = os.fork()
if not child:
    os._exit(0 if snapshot.search("text", unit(9), 5) == before else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = in_subprocess(script, str(parted.path), OMP_NUM_THREADS="4")
    assert done.stdout == "0\n", done.stderr
