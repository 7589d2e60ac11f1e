"""A file beside an index that only counts as this system wrote it: its hash is noted in the index's ledger."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.audit.ledger import LEDGER, Ledger
from rag.errors import IndexStateError
from rag.types import sha256_of


class NotedFile(BaseModel):
    """Values that are kept in one file of an index's folder.

    One of another index is not noted in this one's ledger, and counts as edited. Formats rise by one with every field
    that an older version would not understand.

    Attributes:
        FILE: its name.
        FORMAT: the latest format, which is written.
        COMMAND: what computes it again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    FILE: ClassVar[str]
    FORMAT: ClassVar[int]
    COMMAND: ClassVar[str]

    @classmethod
    def upgraded(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a file of an earlier format, as this one has them."""
        return values

    def edited(self) -> Self:
        """What is left of a file that somebody edited, or brought from another index."""
        raise NotImplementedError

    def save(self, folder: Path) -> Path:
        """Write it after noting its hash in the ledger; a crash leaves the old file or the new one."""
        path, text = folder / self.FILE, self.model_dump_json(indent=2)
        Ledger(folder / LEDGER).note_certificate(sha256_of(text))
        aside = path.with_name(f".{path.name}.new")
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        return path

    @classmethod
    def noted(cls, folder: Path) -> int:
        """The number of the ledger's entry that notes the file in ``folder``; 0 where there is none."""
        mine = sha256_of((folder / cls.FILE).read_text(encoding="utf-8"))
        notes = Ledger(folder / LEDGER).walk("certificate")
        return max((note.number for note in notes if note.fields["file_sha256"] == mine), default=0)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What the file in ``folder`` says; None where there is none. One that was edited comes back as :meth:`edited`.

        Raises:
            IndexStateError: the file is damaged, or of a later format.
        """
        path = folder / cls.FILE
        try:
            read: Self = _read(cls, path, path.read_text(encoding="utf-8"))
            return read
        except FileNotFoundError:
            return None
        except (ValidationError, ValueError) as error:
            raise IndexStateError(f"{path} is damaged; compute it again with: {cls.COMMAND}, or delete it") from error


@lru_cache(maxsize=16)
def _read(kind: type[Any], path: Path, text: str) -> Any:
    """What a file says. Every question looks at it, and hardly ever has it changed."""
    values = json.loads(text)
    form = values.get("format", 1) if isinstance(values, dict) else None
    if isinstance(form, int) and form > kind.FORMAT:
        raise IndexStateError(
            f"{path} was written by a newer ClinCite (format {form}); upgrade, or compute it again: {kind.COMMAND}"
        )
    read = kind.model_validate_json(json.dumps(kind.upgraded(values) if isinstance(values, dict) else values))
    noted = Ledger(path.parent / LEDGER).certificates()
    return read if sha256_of(text) in noted else read.edited()
