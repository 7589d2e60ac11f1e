"""From settings to encoders. Models load when they are first used and are shared by the whole process."""

from __future__ import annotations

from functools import lru_cache

from rag.encoders.image import ImageNetEncoder
from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.encoders.text import SentenceEncoder
from rag.errors import InputError
from rag.settings import EncoderSettings


def load_text_encoder(settings: EncoderSettings) -> TextEncoder:
    """The text encoder that ``settings.text`` names."""
    return _text(settings.text, settings.batch_size)


def load_image_encoder(settings: EncoderSettings) -> ImageEncoder:
    """The image encoder that ``settings.image`` names.

    Raises:
        InputError: no such encoder.
    """
    if settings.image != "imagenet":
        raise InputError(f"there is no image encoder {settings.image!r}; use 'imagenet'")
    return _image(settings.batch_size)


@lru_cache(maxsize=4)
def _text(model: str, batch_size: int) -> SentenceEncoder:
    return SentenceEncoder(model, batch_size)


@lru_cache(maxsize=4)
def _image(batch_size: int) -> ImageNetEncoder:
    return ImageNetEncoder(batch_size)
