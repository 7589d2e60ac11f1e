"""Whether what was found bears on the question is told by what was found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.engine import Engine
from rag.encoders.encoders import Encoders
from rag.retrieval.relevance import MINILM, OTHERS, Signs
from rag.settings import Settings

PASSAGES = (
    "Baloxavir shortens the symptoms of influenza; it blocks the endonuclease of the virus.",
    "Oseltamivir inhibits the neuraminidase of influenza viruses.",
    "Chlorotoxin is a peptide of 36 amino acids from the venom of a scorpion.",
    "Gene therapy restored hearing in a mouse model of Usher syndrome.",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    from rag.building.ingest import ingest
    from rag.building.source import Source
    from rag.indexing import IndexStore

    folder = tmp_path_factory.mktemp("relevance")
    rows = [{"id": f"p{n}", "kind": "literature", "text": text} for n, text in enumerate(PASSAGES)]
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    store = IndexStore.create(folder / "index")
    ingest([Source(folder / "cases.jsonl")], store, Encoders.load(Settings().encoders))
    return Engine.open(folder / "index")


@pytest.mark.parametrize(
    "question", ["What is chlorotoxin?", "What does baloxavir block?", "Is chlorotoxin a peptide?"]
)
def test_words_of_no_list_are_answered_where_a_passage_has_them(question: str, engine: Engine) -> None:
    answer = engine.ask(question)
    assert answer.decision == "answered", answer.reason
    assert not answer.domain.out_of_domain
    assert max(e.relevance or 0.0 for e in answer.evidence) >= engine.settings.retrieval.min_relevance


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "What is mirtazapine?", "Is ibudilast effective for multiple sclerosis?"],
)
def test_what_nothing_bears_on_is_refused(question: str, engine: Engine) -> None:
    answer = engine.ask(question)
    assert (answer.decision, answer.reason) == ("abstained", "none of the passages found bears on the question")


def test_every_passage_found_by_words_has_its_relevance_and_rarer_words_weigh_more(engine: Engine) -> None:
    hits = engine.search("influenza endonuclease")
    assert all(h.relevance is not None for h in hits)
    assert hits[0].passage.document_id == "p0"
    assert [h.document.id for h in sorted(hits, key=lambda h: -(h.relevance or 0))][:2] == ["p0", "p1"]
    shares = engine.pipeline().snapshot.shared_words("influenza endonuclease zzz", [*PASSAGES[:2], ""])
    assert [rarest for _, rarest in shares] == [False, False, False], "the rarest is in none"
    assert 1 > shares[0][0] > shares[1][0] > shares[2][0] == 0


def test_a_question_without_words_shares_nothing(engine: Engine) -> None:
    assert engine.pipeline().snapshot.shared_words("what is the", ["any text"]) == [(0.0, False)]


@given(st.floats(-1, 1), st.floats(0, 1), st.booleans(), st.floats(0, 1), st.sampled_from([MINILM, OTHERS]))
def test_no_sign_that_speaks_for_a_passage_lowers_its_relevance(
    cosine: float, words: float, rarest: bool, more: float, relevance: object
) -> None:
    assert callable(relevance)
    here = relevance(Signs(cosine, words, rarest))
    assert 0 <= here <= 1
    assert relevance(Signs(min(1.0, cosine + more), words, rarest)) >= here
    assert relevance(Signs(cosine, min(1.0, words + more), True)) >= here
