"""How long each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Milliseconds per step."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._ms[step] = self._ms.get(step, 0.0) + (time.perf_counter() - begin) * 1000

    def copy(self, shares: int) -> Clock:
        """A clock that starts with this one's times, shared equally between ``shares`` questions."""
        other = Clock()
        other._ms = {k: v / shares for k, v in self._ms.items()}
        return other

    def timings(self) -> dict[str, float]:
        return {k: round(v, 3) for k, v in self._ms.items()} | {"total": round(sum(self._ms.values()), 3)}
