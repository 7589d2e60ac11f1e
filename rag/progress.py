"""How long work reports that it is going on, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """A listener. ``stage`` opens one piece of work and returns the function that counts finished units.

    Opening a stage of the same name again makes it longer: streams learn their length batch by batch.
    """

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]: ...


class Silent:
    """Nobody listens."""

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
        return lambda n: None
