"""From settings to encoders. Models load when they are first used and are shared by the whole process.

An encoder plugs in as a function of the settings; its entry is in :mod:`rag.plugins`. A name that is neither a part's
nor a dotted path is that of a model: a sentence-transformers id or folder for text, ``local-dir:`` or ``hf-hub:`` for
images.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rag.encoders.bridge import NAME as BRIDGE
from rag.encoders.bridge import UseMultilingualEncoder
from rag.encoders.cross import CrossEncoder
from rag.encoders.image import ImageNetEncoder
from rag.encoders.minilm import MiniLmEncoder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.encoders.text import AsymmetricEncoder, SentenceEncoder
from rag.errors import InputError
from rag.plugins import Kind, find, has, is_dotted_path
from rag.settings import EncoderSettings, RetrievalSettings


def load_text_encoder(settings: EncoderSettings) -> TextEncoder:
    """The text encoder that ``settings`` name: one model, or one for passages and another for questions.

    Raises:
        InputError: no such encoder, or its files cannot be used.
        MissingDependencyError: the model is not on this machine.
    """
    passages = _text(settings.text, settings.pooling, settings.batch_size)
    if settings.queries is None:
        return passages
    return AsymmetricEncoder(_text(settings.queries, settings.pooling, settings.batch_size), passages)


def load_image_encoder(settings: EncoderSettings) -> ImageEncoder:
    """The image encoder that ``settings.image`` names.

    Raises:
        InputError: no such encoder, or its files cannot be used.
        MissingDependencyError: the model is not on this machine.
    """
    return _image(settings.image, settings.batch_size)


def load_reranker(settings: RetrievalSettings) -> CrossEncoder | None:
    """The reranker that ``settings.reranker`` names; None where it names none.

    Raises:
        InputError: no such reranker, or its files cannot be used.
        MissingDependencyError: MiniLM's package is not installed.
    """
    return None if settings.reranker is None else _reranker(settings.reranker)


def load_bridge_encoder(settings: EncoderSettings, fingerprint: str | None = None) -> TextEncoder | None:
    """The encoder of many languages that ``settings.bridge`` names, or else ours where it made an index's vectors.

    Args:
        fingerprint: of the encoder of the index's bridge, where it has one; an index that has none needs no setting.

    Raises:
        InputError: there is no such encoder.
        MissingDependencyError: the model is not on this machine.
    """
    name = settings.bridge or (BRIDGE if fingerprint is not None and fingerprint.startswith(f"{BRIDGE}:") else None)
    return None if name is None else _bridge(name)


def make_bridge_encoder(settings: EncoderSettings) -> TextEncoder:
    return UseMultilingualEncoder()


def make_sentence_encoder(settings: EncoderSettings) -> TextEncoder:
    return SentenceEncoder(settings.text, settings.batch_size, settings.pooling)


def make_minilm_encoder(settings: EncoderSettings) -> TextEncoder:
    if settings.pooling is not None:
        raise InputError("the text encoder 'minilm' has a pooling of its own (mean); leave encoders.pooling out")
    return MiniLmEncoder(settings.batch_size)


def make_open_clip_encoder(settings: EncoderSettings) -> ImageEncoder:
    return OpenClipEncoder(settings.image, settings.batch_size)


def make_imagenet_encoder(settings: EncoderSettings) -> ImageEncoder:
    return ImageNetEncoder(settings.batch_size)


@lru_cache(maxsize=4)
def _text(name: str, pooling: str | None, batch_size: int | None) -> TextEncoder:
    settings = EncoderSettings.model_validate({"text": name, "pooling": pooling, "batch_size": batch_size})
    make = _part("text-encoder", name, "encoders.text") or make_sentence_encoder
    made: TextEncoder = make(settings)
    return made


@lru_cache(maxsize=2)
def _bridge(name: str) -> TextEncoder:
    made: TextEncoder = find("text-encoder", name, setting="encoders.bridge")(EncoderSettings())
    return made


@lru_cache(maxsize=4)
def _image(name: str, batch_size: int | None) -> ImageEncoder:
    settings = EncoderSettings.model_validate({"image": name, "batch_size": batch_size})
    make = _part("image-encoder", name, "encoders.image") or make_open_clip_encoder
    made: ImageEncoder = make(settings)
    return made


@lru_cache(maxsize=2)
def _reranker(name: str) -> CrossEncoder:
    return CrossEncoder.find(name)


def _part(kind: Kind, name: str, setting: str) -> Any:
    return find(kind, name, setting=setting) if is_dotted_path(name) or has(kind, name) else None
