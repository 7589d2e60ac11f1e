"""Collected conversations, written many at once into a memo: what a GPU is lent for.

Conversations are taken in the order in which they were collected, some hundreds at a time: made ready by threads while
the device writes, sorted by their length so that little is padding, and cut into batches that fill the device. A batch
that does not fit its memory is halved.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from rag.errors import InputError, StorageError
from rag.generation.collecting import CollectedRequest, Collection
from rag.generation.memo import Memo, SpokenText, speaker_of
from rag.generation.transformers import LocalModel, Ready
from rag.progress import Progress, Silent
from rag.settings import GenerationSettings

_AT_ONCE = 512  # conversations that are made ready together
_OPENING = 4  # tokens of an opening: a first word, and the beginning of what comes after it
_ROOM = {"cuda": 400_000}  # tokens of a batch, padding and answers included
_LITTLE_ROOM = 8_000  # of a processor, which gains nothing from more


class WrittenTexts(NamedTuple):
    """How many texts were written, were in the memo already, and are left; ``why`` the first of these could not be.

    ``foreign`` are another model's.
    """

    written: int
    known: int
    left: int
    foreign: int
    why: str | None


@dataclass(frozen=True)
class _Waiting:
    request: CollectedRequest
    ready: Ready
    most: int

    @property
    def kind(self) -> tuple[object, ...]:
        """What those of one batch have alike."""
        return self.most, self.ready.shape


def write_collected(
    folder: Path, settings: GenerationSettings, *, seconds: float | None = None, progress: Progress | None = None
) -> WrittenTexts:
    """Write what was collected in ``folder`` into the memo there, by the settings' model; stop after some ``seconds``.

    What was collected is deleted once all of it is written.

    >>> write_collected(Path("memo"), load_settings("compact-lvlm").generation).written     # doctest: +SKIP
    500

    Raises:
        InputError: nothing was collected, it is for another model, or the settings draw by chance.
        MissingDependencyError: the model or a library is not on this machine.
        StorageError: a single conversation does not fit into the device's memory, or the disk is full.
    """
    begun, collection, model = time.monotonic(), Collection(folder), LocalModel(settings)
    memo, name = Memo(folder, settings.memo.most), speaker_of(model, settings)
    requests = collection.requests()
    own = [r for r in requests if r.who == name]
    if not own:
        raise InputError(
            f"the requests of {str(folder)!r} are for {requests[0].who!r}, and these settings have {name!r}; name the "
            "profile that they were collected with"
        )
    wanted = [r for r in own if not _is_known(r, memo)]
    advance = (progress or Silent()).stage("writing", len(wanted))
    writer, written = _Writer(model, folder, settings), 0
    for batch in writer.batches(wanted):
        if seconds is not None and time.monotonic() - begun > seconds:
            break
        for waiting, said in zip(batch, writer.write(batch), strict=True):
            memo.keep(waiting.request.key, said)
        written += len(batch)
        advance(len(batch))
    left = len(wanted) - written
    memo.close()
    if not left and len(own) == len(requests):
        collection.discard()
    return WrittenTexts(written, len(own) - len(wanted), left, len(requests) - len(own), writer.why)


def _is_known(request: CollectedRequest, memo: Memo) -> bool:
    said = memo.find(request.key)
    return said is not None and (request.opening or said.ended != "broken off")


class _Writer:
    """A model that is given batches. ``why`` the first conversation that could not be used could not."""

    def __init__(self, model: LocalModel, folder: Path, settings: GenerationSettings) -> None:
        self._model, self._folder, self._settings = model, folder, settings
        self.why: str | None = None

    def batches(self, wanted: Sequence[CollectedRequest]) -> Iterator[list[_Waiting]]:
        """Conversations that are alike, as many as fit the device together; some hundreds ahead of who takes them."""
        room = _ROOM.get(self._model.device.partition(":")[0], _LITTLE_ROOM)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            following = pool.map(self._ready, wanted[:_AT_ONCE])
            for n in range(_AT_ONCE, len(wanted) + _AT_ONCE, _AT_ONCE):
                now, following = following, pool.map(self._ready, wanted[n : n + _AT_ONCE])
                ready = sorted((w for w in now if w is not None), key=lambda w: (repr(w.kind), w.ready.tokens))
                for _, alike in groupby(ready, key=lambda w: w.kind):
                    yield from _cut(list(alike), room)

    def write(self, batch: Sequence[_Waiting]) -> list[SpokenText]:
        """What the model says to each; a batch that is too large is halved."""
        try:
            return self._model.write_together([w.ready for w in batch], batch[0].most)
        except StorageError:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            return self.write(batch[:half]) + self.write(batch[half:])

    def _ready(self, request: CollectedRequest) -> _Waiting | None:
        longest = self._settings.max_new_tokens
        try:
            ready = self._model.ready(request.messages(self._folder))
        except InputError as error:  # its picture is gone, or it was changed: the others can be written
            self.why = self.why or str(error)
            return None
        return _Waiting(request, ready, min(_OPENING, longest) if request.opening else longest)


def _cut(alike: Sequence[_Waiting], room: int) -> Iterator[list[_Waiting]]:
    """Conversations sorted by length, in portions of at most ``room`` tokens."""
    portion: list[_Waiting] = []
    for waiting in alike:  # the next one is the longest so far
        if portion and (len(portion) + 1) * (waiting.ready.tokens + waiting.most) > room:
            yield portion
            portion = []
        portion.append(waiting)
    if portion:
        yield portion
