"""Word search against BM25 written out in dictionaries."""

from __future__ import annotations

import math
import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.indexing import Filter, IndexStore
from rag.indexing.words.terms import Tokenizer, terms_of

from .brute_force import fill, make_document

# Words that the stemmer leaves alone, so that the model needs none.
WORDS = ["heart", "lung", "chest", "left", "clear", "big", "no", "rib"]


def bm25(texts: dict[int, str], query: list[str]) -> dict[int, float]:
    """BM25 of every text that shares a word with the query."""
    words = {row: re.findall(r"\w+", text.lower()) for row, text in texts.items()}
    mean = sum(map(len, words.values())) / len(words)
    scores: Counter[int] = Counter()
    for term in dict.fromkeys(query):
        having = {row: some.count(term) for row, some in words.items() if term in some}
        idf = math.log(1 + (len(words) - len(having) + 0.5) / (len(having) + 0.5))
        for row, count in having.items():
            norm = 1.2 * (0.25 + 0.75 * len(words[row]) / mean)
            scores[row] += idf * count * 2.2 / (count + norm)
    return scores


texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None)
@given(
    versions=st.lists(texts, min_size=1, max_size=3),
    gone=st.lists(st.integers(0, 5), max_size=3),
    query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
    k=st.integers(1, 8),
)
def test_scores_are_bm25_over_the_version_and_nothing_else(
    versions: list[list[str]], gone: list[int], query: list[str], k: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = IndexStore.create(Path(directory) / "demo")
        alive: dict[str, tuple[int, str]] = {}
        history: dict[int, dict[int, str]] = {}
        row = 0
        for number, some in enumerate(versions):
            documents = [make_document(f"d{(i * (number + 1)) % 7}-{i}", text + ".") for i, text in enumerate(some)]
            for document in documents:
                alive[document.id] = row, document.text
                row += 1
            history[fill(store, documents)] = dict(alive.values())
        with store.writer() as writer:
            ids = sorted(alive)
            names = [ids[i] for i in gone if i < len(ids)]
            writer.remove(document_ids=names)
            version = writer.publish()
        history[version] = dict(value for key, value in alive.items() if key not in names)
        for _ in range(2):
            for number, expected in history.items():
                with store.snapshot(number) as snapshot:
                    found = snapshot.search_words(" ".join(query), k)
                scores = bm25(expected, query) if expected else {}
                best = sorted(scores, key=lambda row: (-round(scores[row], 9), row))[:k]
                assert [hit.row for hit in found] == best
                assert [hit.score for hit in found] == pytest.approx([scores[row] for row in best])
            store.compact()


def test_scores_do_not_depend_on_the_filter(store: IndexStore) -> None:
    fill(store, [make_document(f"d{i}", f"Effusion {'left ' * i}.") for i in range(8)])
    snapshot = store.snapshot()
    everything = snapshot.search_words("left effusion", 10)
    narrow = snapshot.search_words("left effusion", 10, Filter(exclude_groups=("g-d1", "g-d7")))
    assert narrow == [hit for hit in everything if hit.row not in (1, 7)]


def test_counting() -> None:
    counted = Tokenizer().count(["Größe groesse, GRÖSSE!", "", "effusions effusion x-ray", "..."])
    assert counted.terms == sorted(counted.terms)
    table = {
        term: counted.postings[start:end].tolist()
        for term, start, end in zip(counted.terms, counted.starts, counted.starts[1:], strict=False)
    }
    assert table[b"effus"] == [[2, 2]] and table[b"x"] == [[2, 1]]
    assert counted.lengths.tolist() == [3, 0, 4, 0]
    assert sum(count for rows in table.values() for _, count in rows) == 7
    empty = Tokenizer().count(["", "…"])
    assert empty.terms == [] and empty.lengths.tolist() == [0, 0] and empty.starts.tolist() == [0]


@given(st.text(max_size=60))
def test_questions_and_texts_are_split_alike(text: str) -> None:
    """Every term kept of a question is found in the text that the question quotes."""
    tokenizer = TOKENIZER
    terms = terms_of(text)
    stems = tokenizer.stems(terms)
    there = set(tokenizer.count([" ".join(terms)]).terms)
    assert set(stems) <= there


TOKENIZER = Tokenizer()
