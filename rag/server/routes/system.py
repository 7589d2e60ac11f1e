"""Whether the server lives, is ready, and how it does."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from rag.server.access.auth import Admin
from rag.server.routes.answers import service_of
from rag.server.web import metrics
from rag.server.web.problems import Problem, documented

router = APIRouter(tags=["system"])
NOTICE = "research software, not a medical device"


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> dict[str, str]:
    """Always, while it does."""
    return {"status": "alive"}


@router.get("/readyz", summary="Whether questions can be answered", responses={503: documented()[503]})
async def readyz(request: Request) -> dict[str, str]:
    """503 while the indexes are being opened and while the server stops. Their names are not told: anybody may ask."""
    service = service_of(request)
    if not service.ready or request.app.state.stopping.is_set():
        raise Problem(503, "the server is starting or stopping", headers={"Retry-After": "2"})
    return {"status": "ready", "notice": NOTICE}


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented()},
)
async def numbers(request: Request, caller: Admin) -> Response:
    """Counts and times by route, status and index; nothing that was asked."""
    return Response(service_of(request).metrics.text(), headers={"Content-Type": metrics.MEDIA_TYPE})
