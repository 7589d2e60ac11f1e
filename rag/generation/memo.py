"""What a language model said, kept in a folder by everything that decides it, so that nothing is written twice.

A measurement that is repeated after the rules behind the model have changed asks the model the same again; with a memo
(setting ``generation.memo.folder``) only what is new is written. What decides a text is the model's fingerprint, the
settings of drawing, and all that is sent (:class:`~rag.generation.messages.Messages`, pictures by their pixels). The
key is a hash of these; the texts themselves, which may tell of patients, lie in the file as they were written: it is
readable by its owner only, nothing is kept unless a folder is named, and a server refuses to keep any.

Of a conversation that the listener broke off (a measurement that wants the first word) that much is kept. Who listens
longer the next time is told it again and hears the rest from the model.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Generator as Steps
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from rag.errors import InputError, StorageError
from rag.generation.chat import ChatModel, Piece
from rag.generation.messages import Messages
from rag.settings import GenerationSettings
from rag.types import sha256_of

FILE = "memo.sqlite"
_APPLICATION_ID = 0x434C4D45  # "CLME"
_FORMAT = 1
_TABLE = (
    "CREATE TABLE IF NOT EXISTS said (key TEXT PRIMARY KEY, pieces TEXT NOT NULL, yes REAL, either REAL, ended TEXT)"
)

Ended = Literal["whole", "truncated", "broken off"]


class SpokenText(NamedTuple):
    """What a model said to one conversation.

    ``yes`` and ``either`` are those of :class:`~rag.generation.chat.Piece`. ``ended`` says whether the model had
    finished, was stopped by the limit of tokens, or by the listener, when more might have come.
    """

    pieces: tuple[str, ...]
    yes: float | None
    either: float | None
    ended: Ended

    def told(self) -> Iterator[Piece]:
        """As the model told it; what came after it was broken off is missing."""
        for text in self.pieces:
            yield Piece(text, self.yes, either=self.either)
        if self.ended != "broken off" or not self.pieces:
            yield Piece("", self.yes, self.ended == "truncated", self.either)

    def tells_more_than(self, other: SpokenText | None) -> bool:
        """Whether it is worth keeping in the other's place."""
        return other is None or (
            other.ended == "broken off" and (self.ended != "broken off" or len(self.pieces) > len(other.pieces))
        )


class Memo:
    """A folder with what models said, at most ``most`` texts: of more, those kept first are dropped.

    Safe for several threads and processes.

    >>> memo = Memo(folder, most=1000)                                                      # doctest: +SKIP
    >>> memo.keep(key, SpokenText(("Yes, ", "it is."), 0.9, None, "whole"))                     # doctest: +SKIP
    >>> memo.find(key).yes                                                                  # doctest: +SKIP
    0.9

    Raises:
        InputError: the folder holds another program's file of that name, a damaged one, or one of a later version.
        StorageError: it cannot be written.
    """

    def __init__(self, folder: Path, most: int = 200_000) -> None:
        self._path, self._most = folder / FILE, most
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise StorageError(
                f"cannot write the memo {self._path}: {(error.strerror or str(error)).lower()}; set "
                "'generation.memo.folder' to a folder that can be written"
            ) from error
        self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=60)
        with self._refusals():
            self._prepare()

    def __len__(self) -> int:
        with self._lock, self._refusals():
            return int(self._connection.execute("SELECT count(*) FROM said").fetchone()[0])

    def find(self, key: str) -> SpokenText | None:
        """What was said, or None. Raises InputError for a damaged memo."""
        with self._lock, self._refusals():
            row = self._connection.execute(
                "SELECT pieces, yes, either, ended FROM said WHERE key = ?", (key,)
            ).fetchone()
            return None if row is None else _spoken(row)

    def keep(self, key: str, said: SpokenText) -> None:
        """Keep it, where it tells more than what is kept. Raises StorageError where the disk is full."""
        if not said.tells_more_than(self.find(key)):
            return
        row = (key, json.dumps(said.pieces), said.yes, said.either, said.ended)
        with self._lock, self._refusals():
            self._connection.execute("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?)", row)
            self._connection.execute("DELETE FROM said WHERE rowid <= (SELECT max(rowid) FROM said) - ?", (self._most,))

    def close(self) -> None:
        """Write all of it into the one file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        application, form = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == _APPLICATION_ID and form > _FORMAT:
            raise InputError(f"the memo {self._path} was written by a newer ClinCite; upgrade, or name another folder")
        if application != _APPLICATION_ID and (application or tables):
            raise InputError(f"{self._path} is another program's file, not a memo; name another folder")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # what a crash takes is written again
        self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {_FORMAT}")
        self._connection.execute(_TABLE)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """SQLite's own errors, in a sentence."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"cannot use the memo {self._path}: {error}; make room, or name another folder"
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise InputError(
                f"the memo {self._path} is damaged; delete it, and what it held is written again"
            ) from error


class RememberingModel:
    """A language model that is asked only what is not in the memo; see the module.

    >>> RememberingModel(model, Memo(folder), settings).chat(messages)                      # doctest: +SKIP
    """

    def __init__(self, model: ChatModel, memo: Memo, settings: GenerationSettings) -> None:
        self._model, self._memo, self._settings = model, memo, settings

    @property
    def fingerprint(self) -> str:
        """The model's own: who remembers says nothing else."""
        return self._model.fingerprint

    @property
    def window(self) -> int | None:
        return self._model.window

    @property
    def parallel(self) -> int:
        return self._model.parallel

    @property
    def may_think(self) -> bool:
        return self._model.may_think

    def count(self, messages: Messages) -> int:
        return self._model.count(messages)

    def chat(self, messages: Messages) -> Steps[Piece, None, None]:
        """See :class:`~rag.generation.chat.ChatModel`. What failed midway is not kept."""
        key = memo_key(speaker_of(self._model, self._settings), messages)
        known = self._memo.find(key)
        if known is not None:
            yield from known.told()
            if known.ended != "broken off":
                return
        yield from self._go_on(key, messages, known)

    def _go_on(self, key: str, messages: Messages, told: SpokenText | None) -> Steps[Piece, None, None]:
        """The model itself, without what has been told; kept at its end."""
        passed = len("".join(told.pieces)) if told is not None else 0
        heard: list[Piece] = []
        with closing(self._model.chat(messages)) as pieces:
            try:
                for piece in pieces:
                    heard.append(piece)
                    untold = piece.text[passed:]
                    passed = max(0, passed - len(piece.text))
                    yield piece._replace(text=untold)
            except GeneratorExit:
                self._memo.keep(key, _as_spoken(heard, "broken off"))
                raise
        self._memo.keep(key, _as_spoken(heard, "truncated" if heard and heard[-1].truncated else "whole"))


def speaker_of(model: ChatModel, settings: GenerationSettings) -> str:
    """The model, and how its tokens are drawn."""
    drawing = "likeliest"
    if settings.temperature > 0:
        drawing = f"temperature {settings.temperature:g}, seed {settings.seed}"
    return f"{model.fingerprint}, {settings.max_new_tokens} tokens, {drawing}"


def memo_key(who: str, messages: Messages) -> str:
    """Of everything that decides what is said."""
    return sha256_of(f"{_FORMAT}\n{who}\n{messages.sha256}")


def _as_spoken(heard: list[Piece], ended: Ended) -> SpokenText:
    first = heard[0] if heard else Piece()
    return SpokenText(tuple(p.text for p in heard if p.text), first.yes, first.either, ended)


def _spoken(row: tuple[str, float | None, float | None, Ended]) -> SpokenText:
    """Raises ValueError if it is not one."""
    pieces = json.loads(row[0])
    if not isinstance(pieces, list) or not all(isinstance(p, str) for p in pieces):
        raise ValueError("pieces are a list of texts")
    return SpokenText(tuple(pieces), *row[1:])
