"""Images are decoded in threads while the model runs on those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

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
