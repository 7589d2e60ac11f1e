"""Text in pictures, by RapidOCR (the weights of PP-OCR are inside its wheel): the extra ``ocr``.

>>> [seen.text for seen in recognise(load_image("scan.png"))]                                # doctest: +SKIP
['KAUFMAN SCOTT [M] 03.09.2012', 'DOB: 07.22.1943']
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from rag.errors import MissingDependencyError

MIN_SCORE = 0.5
_MARKER = 3  # letters and digits of a mark for the reader ("L", "AP"); more could be a name or a number
_LOCK = threading.Lock()
_MISSING = 'Reading text in pictures needs rapidocr: pip install "clincite[ocr]".'


@dataclass(frozen=True, slots=True)
class TextInPicture:
    """A line of text in a picture: how sure the recogniser is, from 0 to 1, and its box x0, y0, x1, y1 in pixels."""

    text: str
    score: float
    box: tuple[float, float, float, float]


def is_there() -> bool:
    """Whether the packages are installed."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def need_ocr() -> None:
    """Raises MissingDependencyError where the packages are not installed."""
    if not is_there():
        raise MissingDependencyError(_MISSING)


def burnt_in(image: Image.Image) -> list[TextInPicture]:
    """The lines of text in a picture that could name somebody: all but marks of side and view."""
    return [seen for seen in recognise(image) if sum(map(str.isalnum, seen.text)) > _MARKER]


def recognise(image: Image.Image) -> list[TextInPicture]:
    """The lines of text in a picture, in no particular order; about two seconds on two cores.

    Raises MissingDependencyError without the packages.
    """
    pixels = np.asarray(image.convert("RGB"))[..., ::-1]  # RapidOCR takes BGR, as OpenCV does
    with _LOCK:
        found = _engine()(np.ascontiguousarray(pixels))
    if found.boxes is None:
        return []
    rows = zip(found.boxes.tolist(), found.txts, found.scores, strict=True)
    return [
        TextInPicture(str(text), float(score), _upright(box))
        for box, text, score in rows
        if score >= MIN_SCORE and text.strip()
    ]


def _upright(corners: list[list[float]]) -> tuple[float, float, float, float]:
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@cache
def _engine() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    return RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": 2})
