"""What a generator has learned from, as hashes: enough to refuse its own training questions, and no text.

A model's folder tells it in ``seen.json``. A certificate computed on questions that the model has seen is void, so
calibration compares. Hashes are the first 16 digits of SHA-256: of a group's name, of a text in lower case without
needless white space, of an image's bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import InputError
from rag.generation.compact_lvlm.parts import ModelParts

SEEN = "seen.json"


class SeenData(BaseModel):
    """One source that was learned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    licence: str
    examples: int
    groups: int


class Seen(BaseModel):
    """Everything that was learned from, and by which splits it was chosen.

    >>> seen = Seen(data=(), groups=frozenset({hash_of_name("CXR1")}), texts=frozenset(), images=frozenset())
    >>> hash_of_name("CXR1") in seen.groups
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[SeenData, ...]
    groups: frozenset[str]
    texts: frozenset[str]
    images: frozenset[str]

    def joined(self, other: Seen) -> Seen:
        """Both: a model that was tuned in two steps has seen what each step showed it."""
        return Seen(
            data=(*self.data, *other.data),
            groups=self.groups | other.groups,
            texts=self.texts | other.texts,
            images=self.images | other.images,
        )

    def write(self, folder: Path) -> None:
        """``seen.json`` in ``folder``, sorted, so that the same data give the same bytes."""
        values = self.model_dump()
        values |= {name: sorted(values[name]) for name in ("groups", "texts", "images")}
        (folder / SEEN).write_text(json.dumps(values, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Seen | None:
        """What the model in ``folder`` has seen; None where nobody wrote it down.

        Raises:
            InputError: the file is damaged; without it nobody can tell whether a certificate would be void.
        """
        path = folder / SEEN
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(f"{path} is damaged, so nobody can tell what the model has seen; copy it again") from error


def seen_of(model: str) -> Seen | None:
    """What a model on this machine has seen, by its folder or the name of a shipped one; None where nobody says.

    Raises:
        InputError: its parts or its ``seen.json`` are damaged.
    """
    parts = ModelParts.find(model)
    return Seen.read(parts.folder if parts is not None else Path(model))


def hash_of_name(name: str) -> str:
    """16 hexadecimal digits of a group's name, as it is."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def hash_of_text(text: str) -> str:
    """The same for texts that differ in case and white space alone."""
    return hash_of_name(" ".join(text.split()).casefold())


def hash_of_file(path: str | Path) -> str:
    """Of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def hashes_of_texts(texts: Iterable[str]) -> frozenset[str]:
    """Of those that say something: a text of fewer than six words is many people's."""
    return frozenset(hash_of_text(text) for text in texts if len(text.split()) >= 6)
