"""Images are decoded in threads while the model runs on those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TypeVar


class Pace:
    """How many images an encoder has taken in, and the seconds it spent: on decoding, all threads together, and on the
    model. Threads may count at once.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.images, self.decoding, self.encoding = 0, 0.0, 0.0
        self._lock = Lock()

    @contextmanager
    def decodes(self) -> Iterator[None]:
        begin = perf_counter()
        yield
        with self._lock:
            self.decoding += perf_counter() - begin

    @contextmanager
    def encodes(self, images: int) -> Iterator[None]:
        begin = perf_counter()
        yield
        with self._lock:
            self.images += images
            self.encoding += perf_counter() - begin

    def rates(self) -> dict[str, float]:
        """Images a second, of decoding by all threads and of the model, each as if the other took no time; empty before
        the first.
        """
        if not self.images or not self.decoding or not self.encoding:
            return {}
        return {"decode": self.images * self.threads / self.decoding, "encode": self.images / self.encoding}


_AHEAD = 2  # batches decoded while one is encoded
One = TypeVar("One")
Batch = TypeVar("Batch")


def batches(
    images: Sequence[str | Path],
    decode: Callable[[str | Path], One],
    stack: Callable[[list[One]], Batch],
    size: int,
    workers: int = 2,
) -> Iterator[Batch]:
    """Batches of at most ``size`` images, in order, each as ``stack`` makes it of what ``decode`` gives.

    Raises:
        Whatever ``decode`` raises, once the batches before are out; the images after are not decoded first.
    """
    waiting: deque[Future[Batch]] = deque()

    def join(decoding: Sequence[Future[One]]) -> Batch:
        return stack([one.result() for one in decoding])

    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(images), size):
                decoding = [pool.submit(decode, path) for path in images[start : start + size]]
                waiting.append(pool.submit(join, decoding))  # runs after them: the pool keeps the order
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
