"""Recorded answers for whoever has to account for them: show, verify, replay, report, export, judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rag.audit.checks import check_entry, documents_in
from rag.audit.export import jsonl
from rag.audit.feedback import feedback_on, give_feedback
from rag.audit.fhir import fhir_bundle
from rag.audit.record import Entry
from rag.audit.report import html_report
from rag.audit.sr import structured_report
from rag.errors import InputError
from rag.server.access.auth import Asker, Auditor
from rag.server.routes.answers import service_of
from rag.server.web.bodies import read_json, takes
from rag.server.web.problems import Problem, documented, without_paths
from rag.server.web.schemas import FeedbackBody, answer_out
from rag.server.work.service import Served, Service

router = APIRouter(tags=["audit"])
_HTML = {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A self-contained page."}
_FHIR = {"content": {"application/fhir+json": {"schema": {"type": "object"}}}, "description": "A FHIR R4B bundle."}
_SR = {
    "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}},
    "description": "A DICOM structured report.",
}
_LINES = {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "One entry on each line."}
Index = Annotated[str | None, Query(max_length=100, description="The server's first index unless given.")]


class CheckOut(BaseModel):
    name: str
    ok: bool
    detail: str


class VerifiedOut(BaseModel):
    """Every check of one answer, and whether all hold."""

    audit_id: str
    ok: bool
    checks: list[CheckOut]


class ChainOut(BaseModel):
    """The whole ledger of an index; note ``head`` elsewhere, and give it as ``expect`` later."""

    ok: bool
    entries: int
    head: str
    broken: int | None
    broken_at: str | None
    problem: str
    redacted: int


class ChangeOut(BaseModel):
    name: str
    then: Any
    now: Any


class ReplayOut(BaseModel):
    """What came of answering again: identical, different, or impossible."""

    audit_id: str
    index_version: int
    outcome: str
    why: str
    changed: list[ChangeOut]
    differences: list[ChangeOut]
    notes: list[str]


class FeedbackOut(BaseModel):
    """A judgement, recorded in the ledger after the answer."""

    audit_id: str
    about: str
    created: str
    caller: str
    mark: str
    correction: str | None
    reason: str | None


@router.get("/v1/audit/chain", summary="Verify the whole ledger of an index", responses=documented(404, 422, 504))
async def chain(
    request: Request,
    caller: Auditor,
    index: Index = None,
    expect: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="A head noted earlier.")] = None,
) -> ChainOut:
    """Detects any edited, removed or reordered entry, and names the first."""
    service = service_of(request)
    ledger = service.index(index).engine.ledger
    report = await service.aside.run(lambda: ledger.verify_chain(expect=expect))
    return ChainOut(ok=report.ok, **asdict(report))


@router.get(
    "/v1/audit/export",
    summary="The ledger of an index as JSONL",
    response_class=Response,
    responses={200: _LINES, **documented(404, 422)},
)
async def export(request: Request, caller: Auditor, index: Index = None, texts: bool = True) -> Response:
    """Others can verify it with SHA-256 alone; without texts it holds hashes and no question, evidence or answer."""
    served = service_of(request).index(index)
    lines: Iterator[str] = jsonl(served.engine.ledger.walk(), texts)
    return StreamingResponse(lines, media_type="application/jsonl")


@router.get("/v1/audit/{audit_id}", summary="All that is on record of an answer", responses=documented(404, 422))
async def show(request: Request, audit_id: str, caller: Auditor) -> dict[str, Any]:
    """The answer, how it came about, who asked, and how it was judged."""
    return await run_in_threadpool(_shown, service_of(request), audit_id)


def _shown(service: Service, audit_id: str) -> dict[str, Any]:
    served, entry = service.entry(audit_id)
    return {
        "number": entry.number,
        "created": entry.created,
        "sha256": entry.sha256,
        "caller": entry.caller,
        "image_sha256": entry.image_sha256,
        "answer": answer_out(entry.answer),
        "working": entry.working.model_dump(mode="json"),
        "redacted": list(entry.redacted),
        "feedback": [asdict(f) for f in feedback_on(served.engine.ledger, audit_id)],
    }


@router.get("/v1/audit/{audit_id}/verify", summary="Verify a recorded answer", responses=documented(404, 422, 504))
async def verified(request: Request, audit_id: str, caller: Auditor) -> VerifiedOut:
    """Against the ledger's hashes, and against the evidence as of its index version."""
    service = service_of(request)
    served, _ = await run_in_threadpool(service.entry, audit_id)
    report = await service.aside.run(lambda: served.engine.verify(audit_id))
    return VerifiedOut(audit_id=audit_id, ok=report.ok, checks=[CheckOut(**asdict(c)) for c in report.checks])


@router.get(
    "/v1/audit/{audit_id}/replay", summary="Answer a recorded question again", responses=documented(404, 422, 504)
)
async def replayed(request: Request, audit_id: str, caller: Auditor) -> ReplayOut:
    """From the same index version by the same policy; nothing is recorded, and what differs is named."""
    service = service_of(request)
    served, _ = await run_in_threadpool(service.entry, audit_id)
    done = await service.aside.run(lambda: served.engine.replay(audit_id))
    told = {name: [ChangeOut(**c._asdict()) for c in getattr(done, name)] for name in ("changed", "differences")}
    rest = {"why": without_paths(done.why), "notes": [without_paths(note) for note in done.notes]}
    kept = {name: getattr(done, name) for name in ("audit_id", "index_version", "outcome")}
    return ReplayOut.model_validate(kept | told | rest)


@router.get(
    "/v1/audit/{audit_id}/report",
    summary="A readable report of a recorded answer",
    response_class=Response,
    responses={200: _HTML, **documented(404, 422, 504)},
)
async def report(request: Request, audit_id: str, caller: Auditor) -> Response:
    """One HTML file with the answer, its evidence and its checks; it loads nothing and runs nothing."""
    return await _written(request, audit_id, _report, "text/html", "html")


def _report(served: Served, entry: Entry) -> str:
    ledger, lookup = served.engine.ledger, documents_in(served.store)
    audit = check_entry(entry, lookup, ledger.verify_chain(images=False))
    return html_report(entry, lookup, audit, ledger.images, feedback_on(ledger, entry.audit_id))


@router.get(
    "/v1/audit/{audit_id}/fhir",
    summary="A recorded answer as FHIR",
    response_class=Response,
    responses={200: _FHIR, **documented(404, 422, 504)},
)
async def fhir(request: Request, audit_id: str, caller: Auditor) -> Response:
    """A preliminary DiagnosticReport with its Provenance; the readable report is attached to it."""
    return await _written(request, audit_id, _bundle, "application/fhir+json", "fhir.json")


def _bundle(served: Served, entry: Entry) -> str:
    return fhir_bundle(entry, _report(served, entry))


@router.get(
    "/v1/audit/{audit_id}/sr",
    summary="A recorded answer as DICOM structured report",
    response_class=Response,
    responses={200: _SR, **documented(404, 422, 504)},
)
async def sr(request: Request, audit_id: str, caller: Auditor) -> Response:
    """Unverified and preliminary, and it says so; made to be sent to an archive."""
    return await _written(request, audit_id, lambda _, entry: structured_report(entry), "application/dicom", "dcm")


async def _written(
    request: Request, audit_id: str, write: Callable[[Served, Entry], str | bytes], media_type: str, ending: str
) -> Response:
    """A recorded answer written in one form, as a file to be kept under its id."""
    service = service_of(request)
    served, entry = await run_in_threadpool(service.entry, audit_id)
    content = await service.aside.run(lambda: write(served, entry))
    kept = f'attachment; filename="{entry.audit_id}.{ending}"'
    return Response(content, media_type=media_type, headers={"Content-Disposition": kept})


@router.post(
    "/v1/answers/{audit_id}/feedback",
    summary="Say whether an answer was right",
    status_code=201,
    responses=documented(400, 404, 408, 413, 415, 422),
    openapi_extra=takes(FeedbackBody),
)
async def feedback(request: Request, audit_id: str, caller: Asker) -> FeedbackOut:
    """Recorded after the answer; nothing is ever overwritten. Judged answers can serve as calibration questions."""
    service = service_of(request)
    body = await read_json(request, FeedbackBody)
    served, _ = await run_in_threadpool(service.entry, audit_id, caller)

    def give() -> FeedbackOut:
        ledger, words = served.engine.ledger, {"correction": body.correction, "reason": body.reason}
        try:
            return FeedbackOut(**asdict(give_feedback(ledger, audit_id, body.verdict, caller=caller.id, **words)))
        except InputError as error:
            raise Problem(422, without_paths(str(error))) from error

    return await run_in_threadpool(give)
