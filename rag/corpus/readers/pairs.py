"""What an image and its text become: documents of one case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from rag.corpus.images import check_image
from rag.corpus.text import bounded
from rag.errors import InputError
from rag.types import Document, Kind


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, a text, or both, as one case of a corpus: ``case``, or unless given a case of its own."""

    id: str
    source: str
    text: str = ""
    image: Path | None = None
    kind: Kind = "report"
    title: str = ""
    domain: str = "general"
    group: str = ""
    case: str = ""
    licence: str = "unknown"
    metadata: dict[str, Any] = field(default_factory=dict)


def documents_of(pair: Pair) -> Iterator[Document]:
    """The image's document ("<id>:image"), then the text's ("<id>"), as far as there are any.

    Raises InputError, before it gives the first, if the image cannot be used or the text is too long.
    """
    text = bounded(pair.text)
    shared = {
        "domain": pair.domain,
        "title": pair.title,
        "case_id": pair.case or pair.id,
        "group_id": pair.group or pair.case or pair.id,
        "source": pair.source,
        "licence": pair.licence,
        "metadata": pair.metadata,
    }
    if pair.image is not None:
        info = check_image(pair.image)
        image = {"id": f"{pair.id}:image", "kind": "image", "image": str(pair.image), "image_sha256": info.sha256}
        yield Document.model_validate(image | shared)
    if text.strip():
        yield Document.model_validate({"id": pair.id, "kind": pair.kind, "text": text} | shared)


def path_inside(folder: Path, relative: str) -> Path:
    """The absolute path of a file named relative to ``folder``. Raises InputError if it lies outside, or is no file."""
    if PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).anchor:
        raise InputError(f"Its path {relative!r} is absolute; give it relative to {folder.name!r}.")
    root = folder.resolve()
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        raise InputError(f"Its path {relative!r} leads out of {folder.name!r}, which is refused.")
    if not path.is_file():
        raise InputError(f"There is no file {relative!r} in {folder.name!r}.")
    return path
