"""Named points between durable steps where a test can kill the process.

``RAG_FAILPOINT=name`` kills at the first passage through that point, ``RAG_FAILPOINT=name:3`` at the third. The
process dies by SIGKILL, so nothing is flushed, rolled back or cleaned: what a power cut would leave behind.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()


def hit(name: str) -> None:
    """Pass the point ``name``; die here if the environment says so."""
    wanted = os.environ.get("RAG_FAILPOINT")
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _passed[name] += 1
    if _passed[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
