"""What stands behind answers: the document that a quote is from, and the studies of an index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from rag.cohorts.examples import example_questions
from rag.cohorts.statements import date_of
from rag.indexing.snapshot import Snapshot
from rag.server.access.auth import Asker
from rag.server.routes.answers import service_of
from rag.server.web.problems import Problem, documented
from rag.server.web.schemas import Name
from rag.server.work.quoted import Quoted, quoted_evidence
from rag.server.work.service import Served
from rag.types import Document

router = APIRouter(tags=["indexes"])
_MOST = 500  # documents of one study, or parts of one work, that are listed
StudyId = Annotated[str, Query(min_length=1, max_length=1000)]


class DocumentOut(BaseModel):
    """One document, as it is quoted from."""

    id: str
    kind: str
    title: str
    domain: str
    source: str
    licence: str
    date: str = Field(description="ISO, as exact as its source tells it; empty where it does not.")
    text: str
    image: bool = Field(description="Whether it is an image.")
    modality: str = Field(description="Of a DICOM image, as 'CT'; empty where unknown.")
    series: str = Field(description="Of a DICOM image, the series that it is a slice of; empty where unknown.")
    references: list[str]


class PartOut(BaseModel):
    """A part of the same work (a section, a page), or a study of the same patient."""

    id: str
    title: str
    date: str


class SourceOut(BaseModel):
    """Where a piece of evidence is from, as of the answer's index version."""

    index: str
    index_version: int
    study: str | None = Field(description="The study that it belongs to; null for literature.")
    document: DocumentOut
    parts: list[PartOut] = Field(description="Of the same work, in its order, this one among them.")


class StudyOut(BaseModel):
    """A study with its documents, and all studies of its patient, oldest first."""

    index: str
    id: str
    documents: list[DocumentOut]
    studies: list[PartOut]


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/source",
    summary="The document that an answer quotes",
    responses=documented(404, 410, 422),
)
async def source(
    request: Request,
    audit_id: str,
    number: int,
    caller: Asker,
    part: Annotated[str | None, Query(max_length=1000, description="Another part of the same work, by its id.")] = None,
) -> SourceOut:
    """Whole, so that a quote can be read where it stands."""
    quoted = await run_in_threadpool(quoted_evidence, service_of(request), audit_id, number, caller)
    return await run_in_threadpool(_source, quoted, part)


@router.get(
    "/v1/indexes/{name}/studies", summary="Studies by the beginning of their name", responses=documented(404, 422)
)
async def studies(
    request: Request,
    name: Name,
    caller: Asker,
    starting: Annotated[str, Query(max_length=200, description="Case does not count.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 12,
) -> dict[str, list[str]]:
    """The shortest first; for completing what is typed."""
    snapshot = _snapshot(service_of(request).index(name))
    return {"studies": await run_in_threadpool(snapshot.cases_starting, starting, limit)}


@router.get("/v1/indexes/{name}/study", summary="A study and its patient's others", responses=documented(404, 422))
async def study(request: Request, name: Name, id: StudyId, caller: Asker) -> StudyOut:
    """Its reports and images, and what else the index holds of the patient, in order of time."""
    return await run_in_threadpool(_study, service_of(request).index(name), id)


@router.get("/v1/indexes/{name}/examples", summary="What could be asked", responses=documented(404, 422))
async def examples(request: Request, name: Name, caller: Asker) -> dict[str, list[str]]:
    """At most three questions that this index can answer."""
    pipeline = service_of(request).index(name).engine.pipeline()
    return {"examples": await run_in_threadpool(example_questions, pipeline.snapshot, pipeline.lexicon)}


def _snapshot(served: Served) -> Snapshot:
    """Of the version that questions are answered from; it stays open."""
    return served.engine.pipeline().snapshot


def _source(quoted: Quoted, part: str | None) -> SourceOut:
    with quoted.snapshot() as snapshot:
        document = snapshot.document(quoted.evidence.document_id)
        if document is None:
            raise Problem(410, "the document is no longer in the index")
        literature = document.kind == "literature"
        works = snapshot.documents_of_group(document.group_id) if literature else snapshot.case(document.case_id)
        parts = [d for d in works if d.kind == document.kind and d.source == document.source]
    shown = document if part is None else next((d for d in parts if d.id == part), None)
    if shown is None:
        raise Problem(404, "part: the work that is quoted has no such part")
    return SourceOut(
        index=quoted.served.name,
        index_version=quoted.entry.answer.index_version,
        study=None if literature else document.case_id,
        document=_out(shown),
        parts=_parts(parts) if len(parts) > 1 else [],
    )


def _study(served: Served, name: str) -> StudyOut:
    snapshot = _snapshot(served)
    case = snapshot.has_case(name)
    documents = snapshot.case(case) if case is not None else []
    if case is None or all(d.kind == "literature" for d in documents):
        raise Problem(404, f"the index holds no study {name!r}; complete its name, or look for it in another index")
    others: dict[str, Document] = {}
    for d in snapshot.documents_of_group(documents[0].group_id):
        if d.case_id not in others or d.kind == "report":
            others.setdefault(d.case_id, d)
    listed = sorted(others.values(), key=lambda d: (date_of(d.metadata), d.case_id))
    return StudyOut(
        index=served.name,
        id=case,
        documents=[_out(d) for d in documents[:_MOST]],
        studies=[PartOut(id=d.case_id, title=d.title, date=date_of(d.metadata)) for d in listed[:_MOST]],
    )


def _parts(documents: Iterable[Document]) -> list[PartOut]:
    return [PartOut(id=d.id, title=d.title or d.id, date=date_of(d.metadata)) for d in list(documents)[:_MOST]]


def _out(d: Document) -> DocumentOut:
    return DocumentOut(
        id=d.id,
        kind=d.kind,
        title=d.title or d.id,
        domain=d.domain,
        source=d.source,
        licence=d.licence,
        date=date_of(d.metadata),
        text=d.text,
        image=d.image is not None,
        modality=str(d.metadata.get("modality") or ""),
        series=str(d.metadata.get("series") or ""),
        references=[str(r) for r in d.metadata.get("references") or ()],
    )
