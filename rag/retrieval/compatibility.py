"""Vectors meet only those of the same encoder; another one is refused with the command that re-encodes the index."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.errors import IndexStateError
from rag.indexing import IndexStore, SpaceInfo
from rag.settings import Settings, load_settings


def check_encoders(
    store: IndexStore,
    spaces: Mapping[str, SpaceInfo],
    encoders: Mapping[str, TextEncoder | ImageEncoder | None],
    settings: Settings,
) -> None:
    """Refuse encoders other than those of the index.

    Args:
        spaces: the spaces of the index.
        encoders: by space, those that ``settings`` name.

    Raises:
        IndexStateError: a space was encoded by another model, or by one with other weights.
    """
    for space, encoder in encoders.items():
        if space in spaces and encoder is not None and spaces[space].fingerprint != encoder.fingerprint:
            raise IndexStateError(
                f"index {store.name!r} holds {space} vectors of another encoder ({spaces[space].fingerprint}; the "
                f"settings name {encoder.fingerprint}); use that encoder, or re-encode the index with: "
                f"{reencode_command(store, settings)}"
            )


def reencode_command(store: IndexStore, settings: Settings) -> str:
    """The shell command that brings an index to the encoders that ``settings`` name, wherever they came from."""
    usual = load_settings(settings.profile)
    words = ["rag", "index", "reencode", store.name]
    if settings.profile is not None:
        words += ["--profile", settings.profile]
    if store.path.parent != usual.indexes.absolute():
        words += ["--indexes", str(store.path.parent)]
    own = [
        f"RAG_ENCODERS__{name.upper()}={shlex.quote(str(value))}"
        for name, value in settings.encoders
        if name != "batch_size" and value is not None and value != getattr(usual.encoders, name)
    ]
    return " ".join([*own, shlex.join(words)])
