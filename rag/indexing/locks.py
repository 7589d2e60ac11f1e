"""Locks between processes, held by the operating system: a killed process holds none.

``flock`` belongs to the open file, so two writers, or a reader and a compactor, exclude each other
inside one process too.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class Lock:
    """An ``flock`` on a file; released by ``release`` and when the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def shared(cls, path: Path) -> Lock | None:
        """A shared lock on an existing file, or None while someone holds it exclusively."""
        return cls._take(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)

    @classmethod
    def exclusive(cls, path: Path, *, create: bool = False, timeout_s: float = 0.0) -> Lock | None:
        """An exclusive lock, or None if someone else still holds the file after ``timeout_s`` seconds."""
        flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            lock = cls._take(os.dup(descriptor), fcntl.LOCK_EX)
            if lock is not None or time.monotonic() >= deadline:
                os.close(descriptor)
                return lock
            time.sleep(0.02)

    @classmethod
    def _take(cls, descriptor: int, mode: int) -> Lock | None:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def is_on(self, path: Path) -> bool:
        """Whether the locked file is still the one at ``path``."""
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def write_owner(self) -> None:
        """Leave this process's id in the locked file, for the message to whoever waits in vain."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()
