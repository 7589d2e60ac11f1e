"""Answering in processes of their own.

One process of Python computes one thing at a time, and a question about a study is nothing but Python. Each worker has
its own engines on the same indexes; they follow new versions by themselves, and append to the same ledgers, whose
transactions are one after the other whoever writes. What there must be one of stays with the server: connections, keys,
limits, the queue, jobs, numbers.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any

from pydantic import TypeAdapter

from rag.answering.engine import Engine
from rag.encoders.runtime import share_cores
from rag.errors import InputError, RagError
from rag.server.web.problems import log_failure, log_to_stderr
from rag.settings import Settings
from rag.types import Answer, Question

WARM = "What is pneumonia?"  # asked of every index before the first asker comes, who need not wait for models
_LEAVE_S = 10.0
_ANSWERS = TypeAdapter(list[Answer])  # as JSON they travel three times as fast as pickled


class AnswerWorkers:
    """``count`` processes that answer. One that dies is replaced when its turn comes; safe for many threads."""

    def __init__(self, settings: Settings, names: Sequence[str], count: int) -> None:
        self._all = [_Worker(settings, names, count) for _ in range(count)]
        self._free: SimpleQueue[_Worker] = SimpleQueue()

    def start(self) -> None:
        """Start all at once, and wait until all are ready.

        Raises:
            RagError: what kept one of them from opening its indexes.
        """
        atexit.register(self.close)  # else a process that ends on an error would wait for them
        for worker in self._all:
            worker.start()
            self._free.put(worker)
        try:
            for worker in self._all:
                worker.wait()
        except BaseException:
            self.close()
            raise

    def ask(self, index: str, questions: Sequence[Question], callers: Sequence[str]) -> list[Answer]:
        """What the engine of the first free worker answers, once there is one.

        Raises:
            RagError: what the engine refused, or that the worker died.
        """
        worker = self._free.get()
        try:
            return worker.ask(index, questions, callers)
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Stop them; none may be at work."""
        atexit.unregister(self.close)
        for process in [worker.leave() for worker in self._all]:
            if process is not None:
                process.join(_LEAVE_S)
                process.kill()


class _Worker:
    """One process, and our end of the pipe to it; none before the start, and when it has died."""

    def __init__(self, settings: Settings, names: Sequence[str], count: int) -> None:
        self._arguments = (dict(settings), settings.profile, tuple(names), count)
        self._running: tuple[Connection, SpawnProcess] | None = None

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # models and their threads do not survive a fork
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_work, args=(theirs, *self._arguments), name="answering", daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends with the process
        self._running = ours, process

    def wait(self) -> None:
        try:
            self._exchange(None)
        except BaseException:
            self.leave()
            raise

    def ask(self, index: str, questions: Sequence[Question], callers: Sequence[str]) -> list[Answer]:
        if self._running is None or not self._running[1].is_alive():
            self.leave()
            self.start()
            self.wait()
        return _ANSWERS.validate_json(self._exchange((index, questions, callers)))

    def leave(self) -> SpawnProcess | None:
        """Close the pipe, which ends the process; it is given back, so that one can wait for it."""
        if self._running is None:
            return None
        (pipe, process), self._running = self._running, None
        pipe.close()
        return process

    def _exchange(self, request: tuple[str, Sequence[Question], Sequence[str]] | None) -> bytes:
        """What the process says next, or to a request."""
        assert self._running is not None
        pipe, _ = self._running
        try:
            if request is not None:
                pipe.send(request)
            error, answers = pipe.recv()
        except (EOFError, OSError) as gone:
            self.leave()
            raise RagError("a process that answers has ended unexpectedly; ask again") from gone
        if error is not None:
            raise error
        return bytes(answers)


def _work(pipe: Connection, fields: dict[str, Any], profile: str | None, names: Sequence[str], count: int) -> None:
    """The life of a process that answers: until the server closes the pipe, or is gone."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the server finishes what it began
        signal.signal(stop, signal.SIG_IGN)
    log_to_stderr()
    settings = Settings.model_construct(**fields)
    settings._profile = profile
    engines: dict[str, Engine] = {}

    def opened() -> bytes:
        share_cores(count)
        for name in names:
            engines[name] = Engine.open(settings.indexes / name, settings)
            with suppress(InputError):
                engines[name].ask_many([Question(text=WARM)], record=False)
        return b""

    def answered(index: str, questions: Sequence[Question], callers: Sequence[str]) -> bytes:
        return _ANSWERS.dump_json(engines[index].ask_many(questions, caller=callers))

    with suppress(EOFError, OSError):
        _tell(pipe, opened)
        settle()
        while True:
            _tell(pipe, partial(answered, *pipe.recv()))


def settle() -> None:
    """Once all is open: what there is now stays as long as the process, so the garbage collector need not look again.

    Models, lexicon and libraries are most of a million objects; looking at all of them stops everybody for half a
    second.
    """
    gc.collect()
    gc.freeze()


def _tell(pipe: Connection, work: Callable[[], bytes]) -> None:
    """Send what comes of some work: nothing and its result, or its error and nothing."""
    try:
        said: tuple[Exception | None, bytes] = None, work()
    except RagError as error:
        said = error, b""
    except Exception as error:
        log_failure(error)  # here, where its place is known; its message may hold what was asked
        said = RuntimeError(type(error).__name__), b""
    pipe.send(said)
