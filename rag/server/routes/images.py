"""Images of recorded answers, and frames of DICOM files: as small pictures, and as the viewer draws them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from rag.corpus.dicom import is_dicom, size
from rag.errors import InputError
from rag.grounding.answers import EntryImages
from rag.server.access.auth import Asker, Caller
from rag.server.routes.answers import service_of
from rag.server.web.bodies import MULTIPART, content_type, read_form
from rag.server.web.frames import FRAMES, MEDIA_TYPE, framed
from rag.server.web.pictures import EDGE, ServedPicture, served_page, served_picture, unchanged
from rag.server.web.problems import Problem, documented
from rag.server.web.schemas import Name
from rag.server.work.quoted import Quoted, quoted_evidence
from rag.server.work.service import Served, Service
from rag.settings import ServingSettings

router = APIRouter(tags=["images"])
Edge = Annotated[int, Query(ge=64, le=EDGE, description="Longest side in pixels.")]
DocumentId = Annotated[str, Query(min_length=1, max_length=1000)]
First = Annotated[int, Query(ge=0, le=1_000_000, description="Index of the first frame, from 0.")]
_PNG: dict[str, Any] = {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
_JPEG: dict[str, Any] = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {"file": {"type": "string", "format": "binary", "description": "A DICOM file."}},
}


class KeptPicture(NamedTuple):
    """An image file, and the hash that it has while it is the one that was recorded."""

    path: Path
    sha256: str | None


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/image",
    summary="An image of an answer's evidence",
    response_class=Response,
    responses={200: _JPEG, **documented(404, 410, 422)},
)
async def evidence_image(request: Request, audit_id: str, number: int, caller: Asker, edge: Edge = 1024) -> Response:
    """Only images of what this answer cites, as of its index version, and only while they are what was indexed."""
    service = service_of(request)
    return await run_in_threadpool(lambda: _small(_of_evidence(service, audit_id, number, caller), edge))


@router.get(
    "/v1/answers/{audit_id}/image",
    summary="The image that a question came with",
    response_class=Response,
    responses={200: _JPEG, **documented(404, 410, 422)},
)
async def question_image(request: Request, audit_id: str, caller: Asker, edge: Edge = 1024) -> Response:
    """As the ledger keeps it; 410 once it has been redacted."""
    service = service_of(request)
    return await run_in_threadpool(lambda: _small(_of_question(service, audit_id, caller), edge))


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/pixels",
    summary="The pixels of an image of an answer's evidence",
    response_class=Response,
    responses={200: FRAMES, **documented(404, 410, 422, 504)},
)
async def evidence_pixels(request: Request, audit_id: str, number: int, caller: Asker, first: First = 0) -> Response:
    """DICOM frames as they are stored, any other picture as JPEG."""
    service = service_of(request)
    return await service.aside.run(lambda: _whole(_of_evidence(service, audit_id, number, caller), first))


@router.get(
    "/v1/answers/{audit_id}/pixels",
    summary="The pixels of the image that a question came with",
    response_class=Response,
    responses={200: FRAMES, **documented(404, 410, 422, 504)},
)
async def question_pixels(request: Request, audit_id: str, caller: Asker, first: First = 0) -> Response:
    """DICOM frames as they are stored, any other picture as JPEG."""
    service = service_of(request)
    return await service.aside.run(lambda: _whole(_of_question(service, audit_id, caller), first))


@router.get(
    "/v1/answers/{audit_id}/evidence/{number}/pages/{page}",
    summary="A page of a PDF file that an answer quotes",
    response_class=Response,
    responses={200: _PNG, **documented(404, 410, 422)},
)
async def evidence_page(
    request: Request,
    audit_id: str,
    number: int,
    page: Annotated[int, PathParameter(ge=1, le=100_000)],
    caller: Asker,
    edge: Edge = 1024,
) -> Response:
    """To draw the ``boxes`` of evidence and citations over: only pages that they name, only while the file is what was
    read, and none where identifiers were masked in its text."""
    service = service_of(request)
    picture = await run_in_threadpool(lambda: _page(quoted_evidence(service, audit_id, number, caller), page, edge))
    return _shown(picture, f"-{edge}")


@router.get(
    "/v1/indexes/{name}/image",
    summary="An image of an index",
    response_class=Response,
    responses={200: _JPEG, **documented(404, 410, 422)},
)
async def index_image(request: Request, name: Name, document: DocumentId, caller: Asker, edge: Edge = 1024) -> Response:
    """Of the version that questions are answered from, and only while it is what was indexed."""
    served = service_of(request).index(name)
    return await run_in_threadpool(lambda: _small(_of_document(served, document), edge))


@router.get(
    "/v1/indexes/{name}/pixels",
    summary="The pixels of an image of an index",
    response_class=Response,
    responses={200: FRAMES, **documented(404, 410, 422, 504)},
)
async def index_pixels(request: Request, name: Name, document: DocumentId, caller: Asker, first: First = 0) -> Response:
    """DICOM frames as they are stored, any other picture as JPEG."""
    service = service_of(request)
    served = service.index(name)
    return await service.aside.run(lambda: _whole(_of_document(served, document), first))


@router.post(
    "/v1/frames",
    summary="The frames of a DICOM file",
    response_class=Response,
    responses={200: FRAMES, **documented(400, 408, 413, 415, 422, 504)},
    openapi_extra={"requestBody": {"required": True, "content": {MULTIPART: {"schema": _FORM}}}},
)
async def frames(request: Request, caller: Asker, first: First = 0) -> Response:
    """Of the file that is sent: decoded, not windowed. Nothing is kept; send it again for frames further on."""
    service = service_of(request)
    settings = service.settings.serving
    content = await _sent(request, settings)
    return Response(await service.aside.run(lambda: _decoded(content, first, settings)), media_type=MEDIA_TYPE)


async def _sent(request: Request, settings: ServingSettings) -> bytes:
    if content_type(request) != MULTIPART:
        raise Problem(415, f"send {MULTIPART}")
    form = await read_form(request, max_files=1, max_field=4096)
    try:
        sent = form.get("file")
        if not isinstance(sent, UploadFile) or len(form.multi_items()) != 1:
            raise Problem(422, "file: send one DICOM file, and nothing else")
        if sent.size is not None and sent.size > settings.max_image_mib << 20:
            raise Problem(413, f"file: it is larger than {settings.max_image_mib} MiB")
        return await sent.read()
    finally:
        await form.close()


def _decoded(content: bytes, first: int, settings: ServingSettings) -> bytes:
    with ExitStack() as held:
        path = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="clincite-")), "upload")  # of mode 0700
        path.write_bytes(content)
        if not is_dicom(path):
            raise Problem(422, "file: it is not a DICOM file; other images need no decoding here")
        width, height = size(path)
        if width * height > settings.max_image_megapixels * 1_000_000:
            raise Problem(413, f"file: a frame has more than {settings.max_image_megapixels} million pixels")
        return framed(path, first)


def _small(picture: KeptPicture, edge: int) -> Response:
    return _shown(served_picture(picture.path, picture.sha256, edge), f"-{edge}")


def _whole(picture: KeptPicture, first: int) -> Response:
    content = unchanged(*picture)
    if content[128:132] != b"DICM":
        return _shown(served_picture(picture.path, picture.sha256), "")
    try:
        return _shown(ServedPicture(framed(picture.path, first), MEDIA_TYPE, str(picture.sha256)), f"-from-{first}")
    except InputError as error:
        raise Problem(410, f"the image cannot be shown. {error}") from error


def _shown(picture: ServedPicture, form: str) -> Response:
    headers = {"Cache-Control": "private, max-age=3600", "ETag": f'"{picture.sha256[:32]}{form}"'}
    return Response(picture.content, media_type=picture.media_type, headers=headers)


def _of_question(service: Service, audit_id: str, caller: Caller) -> KeptPicture:
    served, entry = service.entry(audit_id, caller)
    if entry.image_sha256 is None:
        raise Problem(404, "the question came without an image")
    return KeptPicture(served.engine.ledger.images.path(entry.image_sha256), entry.image_sha256)


def _of_evidence(service: Service, audit_id: str, number: int, caller: Caller) -> KeptPicture:
    quoted = quoted_evidence(service, audit_id, number, caller)
    with quoted.snapshot() as snapshot:
        document = EntryImages(quoted.entry, snapshot, quoted.served.engine.ledger.images).document(number)
    if document is None or document.image is None:
        raise Problem(404, "the evidence under this number has no image, nor has its case")
    return KeptPicture(Path(document.image), document.image_sha256)


def _of_document(served: Served, identity: str) -> KeptPicture:
    document = served.engine.pipeline().snapshot.document(identity)
    if document is None or document.image is None:
        raise Problem(404, "document: the index holds no image of this id")
    return KeptPicture(Path(document.image), document.image_sha256)


def _page(quoted: Quoted, page: int, edge: int) -> ServedPicture:
    shown = quoted.served.engine.settings.serving.show_pages
    if not shown or page not in {box.page for box in quoted.evidence.boxes}:
        raise Problem(404, "the answer quotes no such page under this number")
    document = quoted.document(quoted.evidence.document_id)
    if document is None:
        raise Problem(410, "the document is no longer in the index")
    return served_page(document, page, edge)
