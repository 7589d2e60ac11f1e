"""The engine inside LlamaIndex: a retriever, and a query engine whose responses keep citations and scores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rag.answering.engine import Engine
from rag.errors import MissingDependencyError
from rag.types import Answer, Document, Evidence, Hit, Passage, Question

try:
    from llama_index.core.base.response.schema import Response
    from llama_index.core.query_engine import CustomQueryEngine
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
except ImportError as missing:
    raise MissingDependencyError('llama-index-core is not installed: pip install "clincite[llamaindex]"') from missing

CALLER = "llamaindex"  # how the ledger names questions that came this way
_READ = ("title", "source")  # what of the metadata a language model gets to see before the text


class ClinCiteRetriever(BaseRetriever):  # type: ignore[misc]
    """Passages of an index as nodes, best first; ``score`` is the fused score in (0, 1].

    A query bundle's ``image_path`` is searched for as well. The metadata say which document a passage is from, where it
    stands in it, and which channel found it at which rank.

    >>> ClinCiteRetriever(engine, k=5).retrieve("hyperinflated lungs")      # doctest: +SKIP
    """

    def __init__(self, engine: Engine, k: int = 10, exclude_groups: Sequence[str] = (), **options: Any) -> None:
        """Search with ``engine`` for the best ``k`` passages.

        Args:
            exclude_groups: patients or articles that the search may not see.
            options: those of ``BaseRetriever``.
        """
        self._engine = engine
        self._k = k
        self._exclude = tuple(exclude_groups)
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = Question(text=query_bundle.query_str, image=query_bundle.image_path, exclude_groups=self._exclude)
        return [_of_hit(hit) for hit in self._engine.search(question, self._k)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class ClinCiteQueryEngine(CustomQueryEngine):  # type: ignore[misc]
    """Verified answers as responses.

    The response's text carries ``[n]`` marks, its ``source_nodes`` are the evidence in that order (metadata ``number``)
    with the quotes taken from each, and its ``metadata`` hold the decision, the citations, the certificate and the
    audit id. A question that cannot be answered gets the reason as text and the decision ``abstained``.

    >>> ClinCiteQueryEngine(engine=engine).query("Does study CXR2814 show cardiomegaly?")      # doctest: +SKIP
    """

    engine: Any
    study: str | None = None
    image: str | None = None
    exclude_groups: tuple[str, ...] = ()

    def custom_query(self, query_str: str) -> Response:
        """Answer one question; it is recorded in the ledger with the caller 'llamaindex'."""
        question = Question(
            text=query_str, study=self.study, image=self.image, exclude_groups=tuple(self.exclude_groups)
        )
        return response_of(self.engine.ask(question, caller=CALLER))

    async def acustom_query(self, query_str: str) -> Response:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.custom_query, query_str)


def response_of(answer: Answer) -> Response:
    """An answer as LlamaIndex has it."""
    kept = answer.model_dump(mode="json", exclude={"answer", "evidence", "question", "selection"})
    return Response(
        response=answer.answer, source_nodes=[_of_evidence(e, answer) for e in answer.evidence], metadata=kept
    )


def _of_hit(hit: Hit) -> NodeWithScore:
    d, p = hit.document, hit.passage
    found = {
        "channel": hit.channel,
        "ranks": hit.ranks,
        "similarities": hit.similarities,
        "references": list(d.metadata.get("references", ())),
        "image": hit.found_image or d.image,
    }
    return _node(p.id, p.text, p.start, _about(d, p) | found, hit.score)


def _about(document: Document, passage: Passage) -> dict[str, Any]:
    names = ("kind", "domain", "title", "source", "licence", "case_id", "group_id")
    return {name: getattr(document, name) for name in names} | {"document_id": document.id, "sha256": passage.sha256}


def _of_evidence(e: Evidence, answer: Answer) -> NodeWithScore:
    quotes = [
        {"quote": c.quote, "start": c.start, "end": c.end, "verdict": c.verdict, "score": c.score}
        for c in answer.citations
        if c.number == e.number
    ]
    about = e.model_dump(mode="json", exclude={"text", "start", "score", "passage_id"})
    return _node(e.passage_id, e.text, e.start, about | {"quotes": quotes}, e.score)


def _node(identity: str, text: str, start: int, metadata: dict[str, Any], score: float) -> NodeWithScore:
    """A passage as a node of its document; offsets are in the document's text."""
    hidden = [name for name in metadata if name not in _READ]
    node = TextNode(
        id_=identity,
        text=text,
        metadata=metadata,
        start_char_idx=start,
        end_char_idx=start + len(text),
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=list(metadata),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=metadata["document_id"])},
    )
    return NodeWithScore(node=node, score=score)
