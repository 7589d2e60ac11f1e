"""Frames on the wire: a length, a JSON header of that length, and the pixels as they are stored."""

from __future__ import annotations

import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from rag.corpus.dicom_frames import Frames, read_frames

MEDIA_TYPE = "application/vnd.clincite.frames"
MOST_BYTES = 32 << 20  # of pixels in one answer
_ALIGNED = 8  # pixels begin at a multiple of this, so that a browser can look at them as 16-bit numbers
FRAMES: dict[str, Any] = {
    "description": "Four bytes: the length of the header (little endian). The header: JSON, padded with spaces. "
    "Then the pixels, as `stored` says: `int16` or `uint16` (little endian), or `rgb8`; value = stored * slope + "
    "intercept. What is no DICOM file comes as JPEG.",
    "content": {
        MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
    },
}


def framed(path: Path, first: int) -> bytes:
    """Frames of a DICOM file from ``first`` on, at most ``MOST_BYTES`` of them.

    Raises:
        InputError, MissingDependencyError: as ``read_frames`` does.
    """
    return on_the_wire(read_frames(path, first, most_bytes=MOST_BYTES))


def on_the_wire(frames: Frames) -> bytes:
    """
    >>> on_the_wire(read_frames(Path("slice.dcm"), most_bytes=1 << 20))[:4]                  # doctest: +SKIP
    b'd\\x01\\x00\\x00'
    """
    told = asdict(frames)
    pixels: bytes = told.pop("pixels")
    header = to_json(told, inf_nan_mode="null")
    header += b" " * (-(4 + len(header)) % _ALIGNED)
    return struct.pack("<I", len(header)) + header + pixels
