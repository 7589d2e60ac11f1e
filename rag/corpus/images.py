"""Image files: checked when they are read into a corpus, and decoded to RGB when a model wants them.

Bounds are enforced here, from the header and before anything is decoded, and never by changing Pillow's globals.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.corpus import dicom
from rag.corpus.dicom_pixels import chosen_frame, load_dicom
from rag.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
MAX_BYTES = 200_000_000
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".dcm"))
# Only these decoders ever see a user's file; Pillow's others include a PostScript interpreter.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A usable image file: SHA-256 of its bytes, and its size in pixels as stored (before EXIF rotation)."""

    sha256: str
    width: int
    height: int


def check_image(path: str | Path) -> ImageInfo:
    """Read the file to its end and say what it is.

    Raises InputError if it is missing, empty, not an image, truncated, more than 100 megapixels or more than 200 MB.
    """
    path = Path(path)
    sha256 = _sha256(path)
    if dicom.is_dicom(path):
        with _explained(path):
            width, height = dicom.size(path)
            _check_pixels(width, height)
            load_dicom(path)
        return ImageInfo(sha256, width, height)
    with _opened(path) as image:
        width, height = image.size
        image.verify()  # checksums, where the format has them; the image cannot be used afterwards
    with _opened(path) as image:
        image.draft("L", (max(1, width // 8), max(1, height // 8)))  # JPEG: all data are read, an eighth is computed
        image.load()
    return ImageInfo(sha256, width, height)


def load_image(path: str | Path) -> Image.Image:
    """The image as 8-bit RGB, the way a reader would see it.

    EXIF rotation is applied; 16-bit and float greyscale is scaled by its own range, padding aside; transparency becomes
    white; of an animation the first frame counts; DICOM is windowed. Raises InputError as ``check_image`` does.
    """
    from PIL.ImageOps import exif_transpose

    path = Path(path)
    _file_size(path)
    with _explained(path):
        if dicom.is_dicom(path):
            _check_pixels(*dicom.size(path))
            return load_dicom(path)
    with _opened(path) as image:
        image.load()
        return _as_rgb(exif_transpose(image))


def shown_frame(path: Path) -> tuple[int, int]:
    """Which frame of a DICOM file is taken for its image, from 1, and how many there are; see ``check_image``."""
    with _explained(path):
        _check_pixels(*dicom.size(path))
        return chosen_frame(path)


def _as_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(np.asarray(image, dtype=np.float64))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _scaled(values: np.ndarray) -> np.ndarray:
    """Greyscale of any range as 0–255, without regard to padding and to the outermost thousandth; flat is black."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    seen = np.sort(values, axis=None)
    steps = np.diff(seen)
    for _ in range(2):  # around a slice lies a value far from all others: below them (0), above them, or both
        widest = int(steps.argmax()) if steps.size else 0
        lower, upper = seen[: widest + 1], seen[widest + 1 :]
        lone, rest = (lower, upper) if lower[0] == lower[-1] else (upper, lower)
        if not (rest.size > 1 and lone.size and lone[0] == lone[-1] and steps[widest] > rest[-1] - rest[0] > 0):
            break
        seen, steps = rest, np.diff(rest)
    cut = seen.size // 1000
    low, high = float(seen[cut]), float(seen[-1 - cut])
    grey = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.asarray(grey.clip(0, 255).round().astype(np.uint8))


def _file_size(path: Path) -> int:
    """Bytes of the file. Raises InputError if there is no such file, or it is empty or too large."""
    if not path.is_file():
        raise InputError(f"There is no image file {str(path)!r}; check the path.")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"The image {path.name!r} is empty (0 bytes); copy it again.")
    if size > MAX_BYTES:
        raise InputError(f"The image {path.name!r} has {size:,} bytes; at most {MAX_BYTES:,} are read, so shrink it.")
    return size


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(f"It has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are read, so shrink it first.")


def image_fault(path: Path, sha256: str | None) -> str | None:
    """Why an image file is not what was indexed: gone, unreadable or changed; None where it is."""
    if not path.is_file():
        return f"is no longer at {path}"
    try:
        return f"has changed since it was read ({path})" if sha256 not in (None, _sha256(path)) else None
    except InputError as error:
        return f"cannot be read ({error})"


def _sha256(path: Path) -> str:
    _file_size(path)
    with _explained(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with _explained(path), Image.open(path, formats=_FORMATS) as image:
        _check_pixels(*image.size)
        yield image


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence about this file."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except InputError as error:
        raise type(error)(f"The image {path.name!r} cannot be used. {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"The file {path.name!r} is not a PNG, JPEG, TIFF, BMP, WebP, GIF or DICOM image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"The image {path.name!r} has more than {MAX_PIXELS:,} pixels; shrink it first.") from error
    except PermissionError as error:
        raise InputError(f"The image {path.name!r} may not be read; check its permissions.") from error
    # A decoder given a hostile file can raise nearly anything; MemoryError is ours to report as it is.
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError) as error:
        raise InputError(f"The image {path.name!r} is damaged or truncated ({error}); copy it again.") from error
    except (struct.error, AttributeError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"The image {path.name!r} cannot be decoded ({error}); save it as PNG.") from error
