"""Images that come in with questions, and images of evidence that go out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rag.corpus.images import check_image, load_image
from rag.corpus.pdf_file import page_picture
from rag.errors import InputError
from rag.server.web.problems import Problem
from rag.settings import ServingSettings
from rag.types import Document

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[\w.-]+)*;base64,", re.I)
_TYPES = ("image/png", "image/jpeg", "image/tiff", "image/bmp", "image/webp", "image/gif", "application/dicom")
_NAME = "upload"  # what messages call it
EDGE = 2048  # longest side of an image that goes out, in pixels
_LEAST_EDGE = 16
_GONE = "the image is no longer what was indexed, so it is not shown"


@dataclass(frozen=True)
class ServedPicture:
    """Encoded pixels and their type and SHA-256."""

    content: bytes
    media_type: str
    sha256: str


def decode_base64(text: str, settings: ServingSettings) -> bytes:
    """The bytes of base64 text or of a data URL.

    Raises:
        Problem: 413 if they are too many, 422 if they are none, or an address: nothing is ever fetched.
    """
    if re.match(r"\s*[a-z][a-z0-9+.-]*://", text, re.I):
        raise Problem(422, "image: addresses are not fetched; send the image itself as base64 or a data URL")
    if len(text) > settings.max_image_mib * (1 << 20) * 4 // 3 + 1024:
        raise _too_large(settings)
    match = _DATA_URL.match(text)
    if match is not None and match["type"] is not None and match["type"].lower() not in _TYPES:
        raise Problem(422, "image: the data URL is not of a PNG, JPEG, TIFF, BMP, WebP, GIF or DICOM image")
    if match is None and text.startswith("data:"):
        raise Problem(422, "image: a data URL must be base64, as in data:image/png;base64,…")
    try:
        return base64.b64decode("".join((text[match.end() :] if match else text).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "image: this is not base64") from error


def hold(content: bytes, settings: ServingSettings, held: ExitStack) -> str:
    """Write a question's image into a private temporary file that goes when ``held`` closes; returns its path.

    Raises:
        Problem: 413 if it is too large in bytes or pixels, 422 if it is no usable image.
    """
    if len(content) > settings.max_image_mib << 20:
        raise _too_large(settings)
    folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="clincite-")))  # of mode 0700
    path = folder / _NAME
    path.write_bytes(content)
    try:
        info = check_image(path)
    except InputError as error:
        if "pixels" in str(error) and "shrink" in str(error):
            raise _too_many(settings) from error
        raise Problem(422, str(error)) from error
    if info.width * info.height > settings.max_image_megapixels * 1_000_000:
        raise _too_many(settings)
    return str(path)


def unchanged(path: Path, sha256: str | None) -> bytes:
    """The bytes of an image file, while it is the one that was recorded.

    Raises:
        Problem: 410 if it is gone, cannot be read or is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Problem(410, _GONE) from error
    if sha256 is None or hashlib.sha256(content).hexdigest() != sha256:
        raise Problem(410, _GONE)
    return content


def served_picture(path: Path, sha256: str | None, edge: int = EDGE) -> ServedPicture:
    """An image file of the index as JPEG, made anew: no metadata, no surprises, at most ``edge`` pixels a side.

    Raises:
        Problem: 410 if the file is gone, cannot be read or is not the one that was indexed.
    """
    unchanged(path, sha256)
    try:
        image = load_image(path)
    except (OSError, InputError) as error:
        raise Problem(410, _GONE) from error
    image.thumbnail((max(edge, _LEAST_EDGE),) * 2)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return ServedPicture(out.getvalue(), "image/jpeg", str(sha256))


def served_page(document: Document, page: int, edge: int = EDGE) -> ServedPicture:
    """A page of the file that a document was read from, drawn anew, at most ``edge`` pixels a side.

    Raises:
        Problem: 410 if the file is gone, is not what was read, or is not to be shown.
    """
    try:
        content = page_picture(document, page, max(edge, _LEAST_EDGE))
    except InputError as error:
        raise Problem(410, str(error)) from error
    return ServedPicture(content, "image/png", hashlib.sha256(content).hexdigest())


def _too_large(settings: ServingSettings) -> Problem:
    return Problem(413, f"image: it is larger than {settings.max_image_mib} MiB; shrink it first")


def _too_many(settings: ServingSettings) -> Problem:
    return Problem(413, f"image: it has more than {settings.max_image_megapixels} million pixels; shrink it first")
