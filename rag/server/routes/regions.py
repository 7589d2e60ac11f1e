"""Where in images findings are: of recorded answers, of reports, and of an image that is sent.

Worked out when asked for, never while a question is answered, and never kept: an image that has been redacted since
leaves no map behind. What is served follows :mod:`rag.grounding.standing`: where a model was never measured, or was no
better than guessing, a region has no box and no map, and ``cannot_say`` says why.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from rag.errors import InputError
from rag.grounding.answers import CitedGrounding
from rag.server.access.auth import Asker, Caller
from rag.server.routes.answers import ASKED, service_of
from rag.server.web.bodies import receive_question, takes
from rag.server.web.problems import Problem, documented, without_paths
from rag.server.web.schemas import FoundRegion, FoundRegionsOut, RegionOut, RegionsBody, RegionsOut
from rag.server.work.service import Served

router = APIRouter(tags=["regions"])
_PNG = {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["phrases", "image"],
    "additionalProperties": False,
    "properties": {
        "phrases": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 16},
        "index": {"type": "string"},
        "domain": {"type": "string"},
        "image": {"type": "string", "format": "binary"},
    },
}


@router.get(
    "/v1/answers/{audit_id}/regions",
    summary="Where in its images the findings of an answer are",
    responses=documented(404, 410, 422, 504),
)
async def regions(request: Request, audit_id: str, caller: Asker) -> RegionsOut:
    """Of what the answer says is there, in the question's image; of what it quotes, in the images of its evidence."""
    return await _listed(request, audit_id, None, caller)


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/regions",
    summary="Where in its image the findings of a report are",
    responses=documented(404, 410, 422, 504),
)
async def report_regions(request: Request, audit_id: str, number: int, caller: Asker) -> RegionsOut:
    """Of every sentence of the evidence's document that says something is there, in the image of its case."""
    return await _listed(request, audit_id, number, caller)


@router.get(
    "/v1/answers/{audit_id}/regions/{n}/map",
    summary="The heat map of a region of an answer",
    response_class=Response,
    responses={200: _PNG, **documented(404, 410, 422, 504)},
)
async def region_map(request: Request, audit_id: str, n: int, caller: Asker) -> Response:
    """A PNG to lay over the image, of its proportions: one colour, its opacity the heat. 404 where nothing is shown."""
    return await _drawn(request, audit_id, None, n, caller)


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/regions/{n}/map",
    summary="The heat map of a region of a report",
    response_class=Response,
    responses={200: _PNG, **documented(404, 410, 422, 504)},
)
async def report_region_map(request: Request, audit_id: str, number: int, n: int, caller: Asker) -> Response:
    """As for an answer's regions."""
    return await _drawn(request, audit_id, number, n, caller)


@router.post(
    "/v1/regions",
    summary="Where in an image findings are",
    response_model=FoundRegionsOut,
    responses=documented(*ASKED),
    openapi_extra=takes(RegionsBody, _FORM),
)
async def found(request: Request, caller: Asker) -> FoundRegionsOut:
    """Of an image that is sent; nothing of it is kept, so each map comes as a data URL."""
    service = service_of(request)
    with ExitStack() as held:
        body, image = await receive_question(request, RegionsBody, held)
        if image is None:
            raise Problem(422, "image: send one; without it there is nothing to look at")
        engine = service.index(body.index).engine
        grounded = await service.aside.run(lambda: engine.ground(image, body.phrases, body.domain))
        drawn = [
            f"data:image/png;base64,{base64.b64encode(g.png(*g.heat.shape[::-1])).decode('ascii')}"
            if g.region.cannot_say is None
            else None
            for g in grounded
        ]
    listed = [FoundRegion(**g.region.model_dump(), map=map_) for g, map_ in zip(grounded, drawn, strict=True)]
    return FoundRegionsOut(regions=listed)


async def _listed(request: Request, audit_id: str, report: int | None, caller: Caller) -> RegionsOut:
    service = service_of(request)
    served, _ = await run_in_threadpool(service.entry, audit_id, caller)
    answer = f"/v1/answers/{audit_id}"
    try:
        grounded = await service.aside.run(lambda: _grounded(served, audit_id, report))
    except InputError as error:  # nobody can say where things are
        return RegionsOut(audit_id=audit_id, cannot_say=without_paths(str(error)))
    listed = answer if report is None else f"{answer}/evidence/{report}"
    found = []
    for n, g in enumerate(grounded):
        of = "" if g.target.evidence is None else f"/evidence/{g.target.evidence}"
        map_ = f"{listed}/regions/{n}/map" if g.region.cannot_say is None else None
        found.append(RegionOut(**g.region.model_dump(), image=f"{answer}{of}/image", map=map_))
    return RegionsOut(audit_id=audit_id, regions=found)


async def _drawn(request: Request, audit_id: str, report: int | None, n: int, caller: Caller) -> Response:
    service = service_of(request)
    served, _ = await run_in_threadpool(service.entry, audit_id, caller)
    picture = await service.aside.run(lambda: _map(served, audit_id, report, n))
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _map(served: Served, audit_id: str, report: int | None, n: int) -> bytes:
    grounded = _grounded(served, audit_id, report)
    if not 0 <= n < len(grounded):
        raise Problem(404, f"there is no region {n}; there are {len(grounded)}")
    if (why := grounded[n].region.cannot_say) is not None:
        raise Problem(404, f"no map is shown: {why}")
    return grounded[n].png()


def _grounded(served: Served, audit_id: str, report: int | None) -> list[CitedGrounding]:
    entry = served.engine.ledger.answered(audit_id)
    if report is not None and not any(e.number == report for e in entry.answer.evidence):
        raise Problem(404, "the answer has no evidence under this number")
    try:
        served.store.snapshot(entry.answer.index_version).close()
    except InputError as error:
        raise Problem(410, "the index version of this answer has been erased") from error
    return served.engine.regions(audit_id, report)
