"""LlamaIndex gets passages with their scores, and answers with their citations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.errors import InputError

pytest.importorskip("llama_index.core")
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import MetadataMode, QueryBundle, TextNode
from llama_index.core.tools import QueryEngineTool

from rag.integrations.llamaindex import ClinCiteQueryEngine, ClinCiteRetriever

ENLARGED = "Does study c1 show cardiomegaly?"


@pytest.fixture(scope="module")
def engine(small: Path) -> Engine:
    return Engine.open(small / "indexes" / "small")


def test_nodes_are_the_hits_with_their_scores_and_places(engine: Engine) -> None:
    nodes = ClinCiteRetriever(engine, k=2).retrieve("enlarged heart")
    hits = engine.search("enlarged heart", 2)
    assert [(n.node.node_id, n.score, n.node.get_content()) for n in nodes] == [
        (h.passage.id, h.score, h.passage.text) for h in hits
    ]
    first, hit = nodes[0], hits[0]
    assert first.metadata["document_id"] == first.node.ref_doc_id == hit.document.id == "c1"
    assert (first.metadata["ranks"], first.metadata["channel"]) == (hit.ranks, hit.channel)
    document = engine.store.snapshot().document("c1")
    assert document is not None
    assert document.text[first.node.start_char_idx : first.node.end_char_idx] == first.node.get_content()
    shown = first.node.get_content(MetadataMode.LLM)
    assert "group_id" not in shown and hit.document.source in shown, "a language model sees the source, not the patient"
    assert TextNode.from_dict(first.node.to_dict()) == first.node, "it can be stored and read back"


def test_a_retriever_follows_exclusions_and_images(engine: Engine, small: Path) -> None:
    nodes = ClinCiteRetriever(engine, k=10, exclude_groups=["p1"]).retrieve("enlarged heart")
    assert nodes and "p1" not in {n.metadata["group_id"] for n in nodes}
    seen = QueryBundle("What is this?", image_path=str(small / "images" / "asked.png"))
    assert ClinCiteRetriever(engine, k=1).retrieve(seen)[0].metadata["case_id"] == "e1"


def test_a_retriever_works_where_llamaindex_puts_one(engine: Engine) -> None:
    """Behind a postprocessor and a synthesizer, with a model that repeats its prompt."""
    synthesizer = get_response_synthesizer(llm=MockLLM(), response_mode="compact")
    keep = SimilarityPostprocessor(similarity_cutoff=0.5)
    chain = RetrieverQueryEngine(ClinCiteRetriever(engine, k=3), synthesizer, [keep])
    response = chain.query("enlarged heart")
    assert "The heart is enlarged." in str(response)
    assert all(n.score >= 0.5 for n in response.source_nodes)


def test_a_response_keeps_the_citations_and_what_is_promised(engine: Engine) -> None:
    response = ClinCiteQueryEngine(engine=engine).query(ENLARGED)
    answer = engine.ledger.get(response.metadata["audit_id"])
    assert str(response) == answer.answer.answer and "[1]" in str(response)
    assert (answer.caller, response.metadata["verdict"], response.metadata["decision"]) == (
        "llamaindex",
        "yes",
        "answered",
    )
    assert response.metadata["certificate"]["status"] == "uncertified"
    (source,) = response.source_nodes
    assert (source.score, source.metadata["number"]) == (answer.answer.evidence[0].score, 1)
    (citation,) = response.metadata["citations"]
    (quote,) = source.metadata["quotes"]
    assert quote["quote"] == citation["quote"] == "The heart is enlarged."
    assert (quote["start"], quote["end"], quote["verdict"]) == (citation["start"], citation["end"], "supported")


def test_what_cannot_be_answered_is_said_and_bad_input_is_ours_to_tell(engine: Engine) -> None:
    response = ClinCiteQueryEngine(engine=engine).query("What is the capital of France?")
    assert response.metadata["decision"] == "abstained" and str(response).startswith("Not answered")
    with pytest.raises(InputError, match="no study 'c99'"):
        ClinCiteQueryEngine(engine=engine, study="c99").query("Is it enlarged?")


def test_both_can_be_awaited(engine: Engine) -> None:
    async def both() -> tuple[Any, Any]:
        asked = ClinCiteQueryEngine(engine=engine, study="c1").aquery("Is the heart enlarged?")
        found = ClinCiteRetriever(engine, k=1).aretrieve("enlarged heart")
        return tuple(await asyncio.gather(asked, found))  # type: ignore[return-value]

    response, nodes = asyncio.run(both())
    assert response.metadata["verdict"] == "yes" and nodes[0].metadata["document_id"] == "c1"


def test_an_agent_can_hold_it_as_a_tool(engine: Engine) -> None:
    tool = QueryEngineTool.from_defaults(ClinCiteQueryEngine(engine=engine), name="clincite", description="Cited.")
    assert "The heart is enlarged." in str(tool.call(ENLARGED))
