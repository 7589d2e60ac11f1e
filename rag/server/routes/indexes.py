"""The indexes: what they hold, their versions, and the work that changes them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from rag.answering.certificate import StoredCertificate
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import ImageEffects
from rag.errors import IndexStateError
from rag.indexing.snapshot import Snapshot
from rag.server.access.auth import Admin, Asker, Ingester
from rag.server.routes.answers import service_of
from rag.server.web import uploads
from rag.server.web.bodies import JSON, MULTIPART, content_type, fields_of, read_form, read_json, takes, validated
from rag.server.web.problems import Problem, documented
from rag.server.web.schemas import (
    Corpus,
    IndexDetail,
    IndexOut,
    IngestBody,
    JobOut,
    Name,
    RollbackBody,
    RolledBack,
    Space,
    VersionOut,
)
from rag.server.work.jobs import new_id
from rag.server.work.service import Served, Service
from rag.settings import Deidentify

router = APIRouter(tags=["indexes"])
_UPLOAD = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "Files of one corpus, or a zip archive of them.",
        },
        "format": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "deidentify": {"type": "string", "enum": list(get_args(Deidentify))},
        "sync": {"type": "boolean"},
    },
}


@router.get("/v1/indexes", summary="The indexes served", responses=documented())
async def indexes(request: Request, caller: Asker) -> dict[str, list[IndexOut]]:
    """The first is the default."""
    service = service_of(request)
    return {"indexes": [await run_in_threadpool(_summary, service.index(name)) for name in service.names]}


@router.get("/v1/indexes/{name}", summary="What an index holds", responses=documented(404, 422))
async def index(request: Request, name: Name, caller: Asker) -> IndexDetail:
    """Its corpora with their counts and licences, its vector spaces and backends, and its certificate."""
    return await run_in_threadpool(_detail, service_of(request).index(name))


@router.get("/v1/indexes/{name}/versions", summary="The versions of an index", responses=documented(404, 422))
async def versions(request: Request, name: Name, caller: Asker) -> dict[str, list[VersionOut]]:
    """Oldest first; the last one is served."""
    found = await run_in_threadpool(service_of(request).index(name).store.versions)
    return {"versions": [VersionOut(**asdict(v)) for v in found]}


@router.post(
    "/v1/indexes/{name}/rollback",
    summary="Return to an older version",
    responses=documented(400, 404, 408, 409, 413, 415, 422),
    openapi_extra=takes(RollbackBody),
)
async def rollback(request: Request, name: Name, caller: Admin) -> RolledBack:
    """Publishes a new version with exactly the documents of an older one; questions in flight are not disturbed."""
    served = service_of(request).index(name)
    body = await read_json(request, RollbackBody)
    return RolledBack(index=name, version=await run_in_threadpool(_rollback, served, body.version))


def _rollback(served: Served, version: int) -> int:
    try:
        number = served.store.rollback(version, timeout_s=5.0)
    except IndexStateError as error:
        raise Problem(409, "the index is being written; try again when that is done") from error
    served.engine.refresh()
    return number


@router.post(
    "/v1/indexes/{name}/compact", summary="Merge an index's segments", status_code=202, responses=documented(404, 422)
)
async def compact(request: Request, name: Name, caller: Admin) -> JobOut:
    """A job; readers go on. Nothing is forgotten: that is for the command line."""
    service = service_of(request)
    served = service.index(name)
    return await run_in_threadpool(
        service.jobs.submit, "compact", served.name, {"index": served.name}, caller.id, new_id()
    )


@router.post(
    "/v1/indexes/{name}/ingest",
    summary="Add a corpus to an index",
    status_code=202,
    response_model=JobOut,
    responses=documented(400, 404, 408, 413, 415, 422),
    openapi_extra=takes(IngestBody, _UPLOAD),
)
async def ingest(request: Request, name: Name, caller: Ingester) -> JobOut:
    """Uploaded files (multipart), a path under an allowed folder, or a packaged corpus (JSON); a job."""
    service, identity = service_of(request), new_id()
    served = service.index(name)
    if content_type(request) == JSON:
        work = _named(service, await read_json(request, IngestBody))
    elif content_type(request) == MULTIPART:
        work = await _uploaded(request, service, served, identity)
    else:
        raise Problem(415, f"send {JSON} or {MULTIPART}")
    return await run_in_threadpool(service.jobs.submit, "ingest", name, {"index": name, **work}, caller.id, identity)


def _named(service: Service, body: IngestBody) -> dict[str, Any]:
    if (body.path is None) == (body.packaged is None):
        raise Problem(422, "give either a path or a packaged corpus")
    work = body.model_dump(exclude={"path"})
    if body.path is not None:
        work["path"] = str(uploads.allowed(body.path, service.settings.serving.ingest_roots))
    return work


async def _uploaded(request: Request, service: Service, served: Served, identity: str) -> dict[str, Any]:
    settings = service.settings.serving
    form = await read_form(request, max_files=settings.max_upload_files, max_field=4096)
    try:
        body = validated(IngestBody, fields_of(form, ("file",)))
        if body.path is not None or body.packaged is not None:
            raise Problem(422, "send either files, or JSON that names a corpus")
        files = [(f.filename or "", f.file) for f in form.getlist("file") if isinstance(f, UploadFile)]
        folder = service.uploads(served, identity)
        corpus = await run_in_threadpool(uploads.receive, files, folder, settings)
    finally:
        await form.close()
    return body.model_dump(exclude={"path"}) | {"path": str(corpus), "uploaded": str(folder)}


def _summary(served: Served) -> IndexOut:
    with served.store.snapshot() as snapshot:
        return IndexOut(name=served.name, version=snapshot.version, documents=_by_kind(snapshot))


def _by_kind(snapshot: Snapshot) -> dict[str, int]:
    documents: dict[str, int] = {}
    for count in snapshot.counts():
        documents[count.kind] = documents.get(count.kind, 0) + count.documents
    return documents


def _detail(served: Served) -> IndexDetail:
    certificate, enough = StoredCertificate.load(served.store.path), EvidenceCertificate.load(served.store.path)
    effects = ImageEffects.load(served.store.path)
    with served.store.snapshot() as snapshot:
        return IndexDetail(
            name=served.name,
            version=snapshot.version,
            documents=_by_kind(snapshot),
            corpora=[Corpus(**count._asdict()) for count in snapshot.counts()],
            spaces={
                name: Space(dim=s.dim, fingerprint=s.fingerprint, vectors=s.n, backends=snapshot.backends(name))
                for name, s in snapshot.spaces().items()
            },
            certificate=certificate.model_dump(
                mode="json", exclude={"familiar": True, "parts": {"__all__": {"scores"}}}
            )
            if certificate
            else None,
            evidence_certificate=enough.model_dump(mode="json") if enough else None,
            image_effects=effects.model_dump(mode="json") if effects else None,
        )
