"""Conversations that a memo lacks, collected to be written later, many at once and perhaps on another machine.

A suite that is run with ``generation.memo.misses = "collect"`` asks no model: what the memo lacks is noted in the
memo's folder, and whatever comes of the run is to be thrown away. ``rag models write FOLDER`` writes the texts in
batches, and the suite, run again, finds them in the memo. The collection holds the prompts, evidence included, and the
pictures as PNG; it is readable by its owner only, and deleted when all of it is written.

    {"who": "transformers:compact-lvlm:…, 96 tokens, likeliest", "key": "…", "opening": false, "system": "…",
     "user": "…", "pictures": [{"label": "…", "file": "images/….png"}]}
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Generator as Steps
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.corpus.images import load_image
from rag.errors import InputError, StorageError
from rag.generation.chat import ChatModel, Piece
from rag.generation.memo import Memo, RememberingModel, SpokenText, memo_key, speaker_of
from rag.generation.messages import Messages, Picture
from rag.settings import GenerationSettings

FILE, PICTURES = "requests.jsonl", "images"
_LONGEST = 4_000_000  # bytes of a line


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    file: str


class CollectedRequest(BaseModel):
    """One conversation to be continued by the model named ``who``; of an ``opening`` its first words are enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str
    key: str
    opening: bool
    system: str
    user: str
    pictures: tuple[_Shown, ...] = ()

    def messages(self, folder: Path) -> Messages:
        """With the pictures of the folder.

        Raises:
            InputError: a picture is missing or damaged, or any of it was changed since.
        """
        shown = tuple(Picture(load_image(_inside(folder, p.file)), p.label) for p in self.pictures)
        made = Messages(self.system, self.user, shown)
        if memo_key(self.who, made) != self.key:
            raise InputError(f"a request of {folder / FILE} was changed after it was collected; collect it again")
        return made


class CollectingModel(RememberingModel):
    """A model that notes what it is asked and is not in the memo, and answers *Yes* to it; see the module.

    The listener who goes on after that word wants the whole text, and the one who leaves wants the opening.
    """

    def __init__(self, model: ChatModel, memo: Memo, folder: Path, settings: GenerationSettings) -> None:
        super().__init__(model, memo, settings)
        self._folder = folder
        self._noted: dict[str, bool] = {}  # by key whether the opening alone was noted
        self._lock = threading.Lock()

    @property
    def parallel(self) -> int:
        return 1

    @property
    def may_think(self) -> bool:
        return False

    def _go_on(self, key: str, messages: Messages, told: SpokenText | None) -> Steps[Piece, None, None]:
        if told is None:
            try:
                yield Piece("Yes", 0.5, either=0.5)
            except GeneratorExit:
                self._note(key, messages, opening=True)
                raise
        self._note(key, messages, opening=False)

    def _note(self, key: str, messages: Messages, *, opening: bool) -> None:
        with self._lock:
            if key in self._noted and (opening or not self._noted[key]):
                return
            self._noted[key] = opening
            try:
                self._write(key, messages, opening)
            except OSError as error:
                raise StorageError(
                    f"cannot write {self._folder / FILE}: {(error.strerror or str(error)).lower()}; make room, or name "
                    "another folder"
                ) from error

    def _write(self, key: str, messages: Messages, opening: bool) -> None:
        shown = []
        for p in messages.pictures:
            file = f"{PICTURES}/{p.sha256}.png"
            shown.append({"label": p.label, "file": file})
            (self._folder / PICTURES).mkdir(mode=0o700, exist_ok=True)
            if not (self._folder / file).exists():
                (self._folder / file).write_bytes(p.png)
        name = speaker_of(self._model, self._settings)
        row = {"who": name, "key": key, "opening": opening, "system": messages.system, "user": messages.user}
        descriptor = os.open(self._folder / FILE, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row | {"pictures": shown}, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Collection:
    """What was collected in a folder.

    >>> Collection(folder).requests()                                                       # doctest: +SKIP
    """

    folder: Path

    def requests(self) -> list[CollectedRequest]:
        """In the order in which they came; of the same conversation the longest wish alone.

        Raises:
            InputError: nothing was collected there, or a line is of another form.
        """
        found: dict[str, CollectedRequest] = {}
        for n, line in enumerate(self._lines(), start=1):
            try:
                row = CollectedRequest.model_validate_json(line)
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"]))
                raise InputError(
                    f"{self.folder / FILE}, line {n}, field {where!r}: {error.errors()[0]['msg']}; collect it again"
                ) from error
            if row.key not in found or not row.opening:
                found[row.key] = row
        return list(found.values())

    def discard(self) -> None:
        """Delete the requests and their pictures."""
        (self.folder / FILE).unlink(missing_ok=True)
        shutil.rmtree(self.folder / PICTURES, ignore_errors=True)

    def _lines(self) -> Iterator[Any]:
        try:
            with (self.folder / FILE).open(encoding="utf-8") as stream:
                while line := stream.readline(_LONGEST):
                    yield line
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"nothing was collected in {str(self.folder)!r}; run a measurement first, with the settings "
                "generation.memo.folder and generation.memo.misses = 'collect'"
            ) from error


def _inside(folder: Path, file: str) -> Path:
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{folder / FILE} names the picture {file!r} outside its folder; collect it again")
    return path
