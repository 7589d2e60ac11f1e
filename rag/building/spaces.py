"""Which vector spaces an index has: those that its encoders make, as its first documents decided."""

from __future__ import annotations

from rag.encoders.encoders import Encoders
from rag.encoders.protocols import ImageTextEncoder
from rag.errors import InputError
from rag.indexing import IndexStore, SpaceInfo


def spaces_of(encoders: Encoders) -> dict[str, SpaceInfo]:
    """The spaces that these encoders make; texts and images share ``joint`` where one encoder holds both."""
    text, image, bridge = encoders.text, encoders.image, encoders.bridge
    spaces = {"text": SpaceInfo(text.dim, text.fingerprint)}
    if image is not None:
        spaces["image"] = SpaceInfo(image.dim, image.fingerprint)
        if encoders.joint and isinstance(image, ImageTextEncoder):
            spaces["joint"] = spaces["image"]
    if bridge is not None:
        spaces["bridge"] = SpaceInfo(bridge.dim, bridge.fingerprint)
    return spaces


def spaces_to_fill(store: IndexStore, encoders: Encoders) -> dict[str, SpaceInfo]:
    """Those that new documents go to: no space is ever half filled, so the first reports decide about ``joint`` and the
    first documents about ``bridge``.

    Raises:
        InputError: the index has a bridge of languages, and no encoder for it is named.
    """
    spaces, joint, bridged = spaces_of(encoders), _joint_there(store), _bridge_there(store)
    if bridged and "bridge" not in spaces:
        raise InputError(f"index {store.name!r} has a bridge of languages; name its encoder in encoders.bridge")
    if joint and "image" in spaces:
        spaces["joint"] = spaces["image"]
    left_out = {name for name, there in (("joint", joint), ("bridge", bridged)) if there is False}
    return {name: space for name, space in spaces.items() if name not in left_out}


def _bridge_there(store: IndexStore) -> bool | None:
    """Whether the index's passages are in a space of many languages; None where it holds none yet."""
    if not store.version():
        return None
    with store.snapshot() as snapshot:
        return "bridge" in snapshot.spaces() if snapshot.counts() else None


def _joint_there(store: IndexStore) -> bool | None:
    """Whether the index's reports are in the joint space; None where it holds no report yet."""
    if not store.version():
        return None
    with store.snapshot() as snapshot:
        reports = any(count.kind == "report" for count in snapshot.counts())
        return "joint" in snapshot.spaces() if reports else None
