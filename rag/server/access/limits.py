"""How often one caller may ask: a token bucket each."""

from __future__ import annotations

import time
from collections import OrderedDict

_MOST = 10_000  # callers remembered; the one that has been silent longest is forgotten first


class RateLimit:
    """``per_minute`` requests on average, and as many at once. For use from one thread: the event loop's."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Count one request; 0 if it may go on, else the seconds after which it might."""
        now = time.monotonic()
        tokens, last = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - last) * self._rate)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self._rate
