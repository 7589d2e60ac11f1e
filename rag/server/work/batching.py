"""Concurrent questions become batches: whatever waits when the engine is free goes in together.

An idle engine takes a single question at once; nobody is ever made to wait for company. All methods run on the event
loop; only the engine runs in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import ClientDisconnect

from rag.errors import RagError
from rag.server.web.metrics import Metrics
from rag.server.web.problems import Problem, busy
from rag.types import Answer, Question

_T = TypeVar("_T")
_PATIENCE_S = 4.0  # longest that the first of a batch waits for the last: a slow generator gets small batches
Ask = Callable[[Sequence[Question], Sequence[str]], list[Answer]]  # questions and their askers


@dataclass
class _Waiting:
    question: Question
    caller: str
    answer: asyncio.Future[Answer]
    held: ExitStack  # a temporary image, let go when nobody needs it any more

    @property
    def given_up(self) -> bool:
        return self.answer.done()


class Batcher:
    """A bounded queue in front of one index's engine."""

    def __init__(
        self, ask: Ask, executor: Executor, metrics: Metrics, *, size: int, queue: int, lanes: int = 1
    ) -> None:
        """``lanes`` batches are under way at once: while one waits for the disk, another computes."""
        self._ask = ask
        self._executor = executor
        self._metrics = metrics
        self._size = size
        self._most = queue
        self._lanes = lanes
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Waiting] = deque()
        self._seconds = 0.05  # per question, lately

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def admit(self, questions: int = 1) -> None:
        """Refuse what there is no room for.

        Raises:
            Problem: 429; Retry-After says how long the queue takes at its present pace.
        """
        if len(self._waiting) + questions > self._most:
            self._metrics.refused.labels("queue full").inc()
            raise busy(
                len(self._waiting) * self._seconds / self._lanes,
                f"{len(self._waiting)} questions are waiting already; try again later",
            )

    def submit(self, question: Question, caller: str, held: ExitStack) -> asyncio.Future[Answer]:
        """Put a question into the queue. ``held`` is closed when it has been answered, refused or dropped.

        Cancelling the future gives the question up. Raises Problem 429 where the queue is full.
        """
        try:
            self.admit()
        except Problem:
            held.close()
            raise
        loop = asyncio.get_running_loop()
        entry = _Waiting(question, caller, loop.create_future(), held)
        self._waiting.append(entry)
        self._metrics.queue.inc()
        if self._running < self._lanes:
            self._running += 1
            task = loop.create_task(self._drain())
            self._tasks.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._tasks.discard)
        return entry.answer

    async def wait(self, answer: asyncio.Future[Answer], timeout_s: float) -> Answer:
        """The answer of a submitted question.

        Raises:
            Problem: 504 after ``timeout_s``; the question is then given up.
            ClientDisconnect: it was cancelled.
            RagError: the engine refused it.
        """
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if answer.cancelled() and task is not None and not task.cancelling():
                raise ClientDisconnect from error  # the question's own end, not that of whoever waits for it
            raise
        except TimeoutError as error:
            self._metrics.refused.labels("timeout").inc()
            raise Problem(504, f"the question took longer than {timeout_s:g} s and was given up") from error

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                if batch:
                    await self._work(batch)
        finally:
            self._running -= 1

    def _take(self) -> list[_Waiting]:
        """The next questions; those whose askers have gone are dropped."""
        batch: list[_Waiting] = []
        most = min(self._size, max(1, int(_PATIENCE_S / self._seconds)))
        while self._waiting and len(batch) < most:
            entry = self._waiting.popleft()
            self._metrics.queue.dec()
            if entry.given_up:
                entry.held.close()
            else:
                batch.append(entry)
        return batch

    async def _work(self, batch: list[_Waiting]) -> None:
        begin, loop = time.perf_counter(), asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._executor, self._answers, batch)
        except BaseException as error:
            results = [error if isinstance(error, Exception) else RuntimeError()] * len(batch)
        self._seconds = 0.8 * self._seconds + 0.2 * max(1e-4, (time.perf_counter() - begin) / len(batch))
        self._metrics.batch.observe(len(batch))
        for entry, result in zip(batch, results, strict=True):
            entry.held.close()
            if entry.given_up:
                continue
            if isinstance(result, Answer):
                entry.answer.set_result(result)
            else:
                entry.answer.set_exception(result)

    def _answers(self, batch: Sequence[_Waiting]) -> list[Answer | Exception]:
        """One question that cannot be answered must not take its neighbours with it: then each is asked alone."""
        try:
            return list(self._ask([e.question for e in batch], [e.caller for e in batch]))
        except Exception as error:
            if len(batch) == 1 or not isinstance(error, RagError):
                return [error] * len(batch)
            return [self._answers([e])[0] for e in batch]


class Pool:
    """A few threads for work that cannot be put together, with room for as many more to wait."""

    def __init__(self, threads: int, queue: int, timeout_s: float, metrics: Metrics) -> None:
        self._timeout_s = timeout_s
        self._executor = ThreadPoolExecutor(threads, "aside")
        self._most = threads + queue
        self._metrics = metrics
        self._here = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """The result of ``work``.

        Raises:
            Problem: 429 where there is no room, 504 where it takes too long.
        """
        if self._here >= self._most:
            self._metrics.refused.labels("queue full").inc()
            raise busy(1.0, f"{self._here} requests are waiting already; try again later")
        self._here += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._timeout_s)
        except TimeoutError as error:
            self._metrics.refused.labels("timeout").inc()
            raise Problem(504, f"it took longer than {self._timeout_s:g} s and was given up") from error

    def _leave(self, future: object) -> None:
        self._here -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=True)
