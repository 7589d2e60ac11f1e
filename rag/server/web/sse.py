"""Server-sent events: how they are written, and a stream whose work stops when its reader has gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

_T = TypeVar("_T")
HEARTBEAT_S = 10.0
EVENT_SCHEMA = {
    "type": "object",
    "description": "One event; its data are JSON.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
_END = object()


def event(name: str | None, data: Any) -> bytes:
    """One event; ``data`` as JSON on one line, or as it is if it is text."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return (f"event: {name}\n{lines}\n" if name else f"{lines}\n").encode()


async def with_heartbeats(events: AsyncIterator[bytes], every_s: float = HEARTBEAT_S) -> AsyncGenerator[bytes]:
    """The events, with a comment wherever none came for a while: proxies close silent connections."""
    iterator = events.__aiter__()
    pending = asyncio.ensure_future(iterator.__anext__())
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                yield pending.result()
            except StopAsyncIteration:
                return
            pending = asyncio.ensure_future(iterator.__anext__())
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


class EventStream(StreamingResponse):
    """A response of events. ``at_end`` is called when it is over, even if its reader went before it began."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], at_end: Callable[[], object] = lambda: None) -> None:
        super().__init__(_closing(events), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


async def _closing(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(with_heartbeats(events)) as beating:
        async for chunk in beating:
            yield chunk


async def in_thread(
    make: Callable[[], Iterator[_T]], executor: Executor, done: Callable[[], None], timeout_s: float
) -> AsyncGenerator[_T]:
    """Iterate in a thread of ``executor``. When the reader goes, the iterator is closed at its next step.

    ``done`` is called in the event loop once the thread has let go of everything. Raises TimeoutError after
    ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[Any] = asyncio.Queue()
    gone = threading.Event()

    def put(item: Any) -> None:
        loop.call_soon_threadsafe(items.put_nowait, item)

    def work() -> None:
        iterator: Iterator[_T] = iter(())
        try:
            if not gone.is_set():
                iterator = make()
            for item in iterator:
                put((item, None))
                if gone.is_set():
                    return
        except BaseException as error:
            put((None, error))
        else:
            put((_END, None))
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    worker = loop.run_in_executor(executor, work)
    worker.add_done_callback(lambda _: done())
    try:
        while True:
            item, error = await asyncio.wait_for(items.get(), max(0.001, deadline - time.monotonic()))
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        gone.set()
