"""From settings to encoders. Models load when they are first used and are shared by the whole process."""

from __future__ import annotations

from functools import lru_cache

from rag.encoders.image import ImageNetEncoder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.encoders.text import AsymmetricEncoder, SentenceEncoder
from rag.settings import EncoderSettings


def load_text_encoder(settings: EncoderSettings) -> TextEncoder:
    """The text encoder that ``settings`` name: one model, or one for passages and another for questions."""
    return _text(settings.text, settings.queries, settings.pooling, settings.batch_size)


def load_image_encoder(settings: EncoderSettings) -> ImageEncoder:
    """The image encoder that ``settings.image`` names.

    Raises:
        InputError: no such encoder, or its files cannot be used.
        MissingDependencyError: the model is not on this machine.
    """
    if settings.image == "imagenet":
        return _imagenet(settings.batch_size)
    return _image_text(settings.image, settings.batch_size)


@lru_cache(maxsize=4)
def _text(model: str, queries: str | None, pooling: str | None, batch_size: int) -> TextEncoder:
    passages = SentenceEncoder(model, batch_size, pooling)
    return passages if queries is None else AsymmetricEncoder(SentenceEncoder(queries, batch_size, pooling), passages)


@lru_cache(maxsize=4)
def _imagenet(batch_size: int) -> ImageNetEncoder:
    return ImageNetEncoder(batch_size)


@lru_cache(maxsize=4)
def _image_text(model: str, batch_size: int) -> OpenClipEncoder:
    return OpenClipEncoder(model, batch_size)
