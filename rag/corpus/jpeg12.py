"""A decoder of 12-bit JPEG for pydicom: libjpeg-turbo by imagecodecs.

pydicom's own plugin for it is GPL (pylibjpeg-libjpeg), and it lets neither GDCM nor Pillow try. The names here are
those that pydicom asks a plugin for.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

LABEL = "imagecodecs"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
DECODER_DEPENDENCIES = {JPEG_EXTENDED: ("imagecodecs>=2024",)}


def is_available(uid: str) -> bool:
    """Whether this plugin decodes the transfer syntax, here."""
    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """The pixels of one frame, little endian, in as many bytes a sample as the data set says."""
    import imagecodecs

    pixels = imagecodecs.jpeg_decode(source)
    return bytearray(pixels.astype(f"<u{runner.bits_allocated // 8}").tobytes())
