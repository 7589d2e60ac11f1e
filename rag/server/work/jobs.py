"""Work in the background: a table that survives restarts, and one thread that does the work in turn."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rag.errors import InputError, RagError
from rag.indexing.locks import Lock
from rag.server.web.metrics import Metrics
from rag.server.web.problems import Problem, log_failure, without_paths
from rag.server.web.schemas import JobOut
from rag.types import sha256_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, about TEXT NOT NULL,
    request TEXT NOT NULL, caller TEXT NOT NULL, state TEXT NOT NULL, created TEXT NOT NULL, started TEXT,
    finished TEXT, progress TEXT NOT NULL DEFAULT '{}', result TEXT, error TEXT, server TEXT NOT NULL DEFAULT ''
) STRICT;
"""
_LOCKS = "servers"  # a file for each server, locked while it lives
_COLUMNS = "id, kind, about, state, created, started, finished, progress, result, error"
_TOLD_S = 0.25  # between two looks of a listener at a job's progress
RESUMABLE = ("interrupted", "failed", "cancelled")
_OVER = ("done", *RESUMABLE)

Work = Callable[[dict[str, Any], "Listener"], dict[str, Any]]  # the request and who listens -> the result


class Stopped(Exception):  # noqa: N818
    """Raised inside a job's work when it is to stop; what it had staged stays, for when it is resumed."""


class Listener:
    """A job's progress (see ``rag.progress``), and the point at which it notices that it is to stop."""

    def __init__(self) -> None:
        self.stop: str | None = None  # the state to end in
        self.stages: dict[str, tuple[int, int | None]] = {}

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
        self.check()
        name = without_paths(name)
        done, known = self.stages.get(name, (0, 0))
        self.stages[name] = (done, None if total is None or known is None else known + total)

        def advance(n: int) -> None:
            done, whole = self.stages[name]
            self.stages[name] = (done + n, whole)
            self.check()

        return advance

    def check(self) -> None:
        if self.stop is not None:
            raise Stopped


class Jobs:
    """All jobs of the servers over one folder of indexes. Each does its own; those that a dead server left are
    ``interrupted``, and whichever server is asked to can resume them."""

    def __init__(self, path: Path, works: Mapping[str, Work], executor: Executor, metrics: Metrics) -> None:
        self._path = path
        self._works = works
        self._executor = executor
        self._metrics = metrics
        self._active: dict[str, Listener] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._server, self._alive = self._enlisted()
        with self._connected() as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {_SCHEMA}")
            if "server" not in {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}:
                connection.execute("ALTER TABLE jobs ADD COLUMN server TEXT NOT NULL DEFAULT ''")
            open_jobs = connection.execute("SELECT DISTINCT server FROM jobs WHERE state IN ('queued', 'running')")
            for (server,) in open_jobs.fetchall():
                if not self._lives(server):
                    query = "UPDATE jobs SET state = 'interrupted' WHERE state IN ('queued', 'running') AND server = ?"
                    connection.execute(query, (server,))

    def submit(self, kind: str, index: str, request: dict[str, Any], caller: str, identity: str) -> JobOut:
        """Record a job and queue it; ``identity`` comes from ``new_id``."""
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO jobs (id, kind, about, request, caller, state, created, server)"
                " VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)",
                (identity, kind, index, json.dumps(request), caller, _now(), self._server),
            )
        self._start(identity)
        return self.get(identity)

    def get(self, identity: str) -> JobOut:
        """Raises Problem 404 where there is no such job."""
        with self._connected() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise Problem(404, "there is no such job; GET /v1/jobs lists them")
        return self._out(row)

    def newest(self, limit: int) -> list[JobOut]:
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY number DESC LIMIT ?", (limit,))
            return [self._out(row) for row in rows]

    def cancel(self, identity: str) -> JobOut:
        """Ask a job to stop at its next step; one that is over stays as it is. Raises Problem 409 for another's."""
        job = self.get(identity)
        with self._lock:
            listener = self._active.get(identity)
            if listener is not None:
                listener.stop = listener.stop or "cancelled"
        if listener is None and job.state not in _OVER and self.get(identity).state not in _OVER:
            raise Problem(409, "another server of this folder does the job; cancel it there")
        return self.get(identity)

    def resume(self, identity: str) -> JobOut:
        """Do a job again from where it was; raises Problem 409 if it is done or under way."""
        job = self.get(identity)
        if job.state not in RESUMABLE:
            raise Problem(409, f"the job is {job.state}; only interrupted, failed and cancelled jobs can be resumed")
        changed = self._set(
            identity, "state = 'queued', error = NULL, finished = NULL, server = ?", (self._server,), RESUMABLE
        )
        if changed:
            self._start(identity)
        return self.get(identity)

    async def follow(self, identity: str, stopping: asyncio.Event) -> Any:
        """The job whenever it has changed, until it is over or the server stops."""
        last: JobOut | None = None
        while True:
            job = await asyncio.to_thread(self.get, identity)
            if job != last:
                yield job
            if job.state in _OVER or stopping.is_set():
                return
            last = job
            try:
                await asyncio.wait_for(stopping.wait(), _TOLD_S)
            except TimeoutError:
                continue

    def interrupt(self) -> None:
        """Stop whatever is under way; it can be resumed by the next server."""
        with self._lock:
            for listener in self._active.values():
                listener.stop = listener.stop or "interrupted"

    # ---------------------------------------------------------------- several servers

    def _enlisted(self) -> tuple[str, Lock]:
        """A name for this server, and the lock that tells others that it lives."""
        name = secrets.token_hex(8)
        (self._path.parent / _LOCKS).mkdir(mode=0o700, exist_ok=True)
        lock = Lock.exclusive(self._path.parent / _LOCKS / name, create=True)
        assert lock is not None, "nobody else knows the name"
        return name, lock

    def _lives(self, server: str) -> bool:
        path = self._path.parent / _LOCKS / server
        if not server or not path.is_file():
            return False
        lock = Lock.exclusive(path)
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()
        return lock is None

    def close(self) -> None:
        """Others may take over what was left."""
        (self._path.parent / _LOCKS / self._server).unlink(missing_ok=True)
        self._alive.release()

    # ---------------------------------------------------------------- the thread

    def _start(self, identity: str) -> None:
        with self._lock:
            self._active[identity] = Listener()
        self._executor.submit(self._run, identity)

    def _run(self, identity: str) -> None:
        listener, state, result, problem = self._active[identity], "done", None, None
        try:
            with self._connected() as connection:
                kind, request = connection.execute(
                    "SELECT kind, request FROM jobs WHERE id = ?", (identity,)
                ).fetchone()
            listener.check()
            self._set(identity, "state = 'running', started = ?", (_now(),))
            result = self._works[kind](json.loads(request), listener)
        except Stopped:
            state = listener.stop or "interrupted"
        except (RagError, Problem) as error:
            state, problem = "failed", without_paths(str(error))
            if not isinstance(error, InputError | Problem):
                log_failure(error)
        except Exception as error:
            state, problem = "failed", "something went wrong on the server; its log says where"
            log_failure(error)
        finally:
            progress = json.dumps(listener.stages)
            self._set(
                identity,
                "state = ?, finished = ?, progress = ?, result = ?, error = ?",
                (state, _now(), progress, None if result is None else json.dumps(result, default=str), problem),
            )
            with self._lock:
                self._active.pop(identity, None)
            self._metrics.jobs.labels(kind, state).inc()

    def _set(self, identity: str, assignment: str, values: tuple[Any, ...], only: tuple[str, ...] = ()) -> int:
        condition = f" AND state IN ({','.join('?' * len(only))})" if only else ""
        with self._connected() as connection:
            return connection.execute(
                f"UPDATE jobs SET {assignment} WHERE id = ?{condition}", (*values, identity, *only)
            ).rowcount

    def _out(self, row: tuple[Any, ...]) -> JobOut:
        identity, kind, index, state, created, started, finished, progress, result, error = row
        listener = self._active.get(identity)
        return JobOut(
            id=identity,
            kind=kind,
            index=index,
            state=state,
            created=created,
            started=started,
            finished=finished,
            progress={k: list(v) for k, v in listener.stages.items()} if listener else json.loads(progress),
            result=json.loads(result) if result else None,
            error=error,
        )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            yield connection


def new_id() -> str:
    """A job's id: its time, so that ids sort, and random bits."""
    return f"j-{datetime.now(UTC):%Y%m%d}-{sha256_of(f'{time.time_ns()}{os.urandom(16).hex()}')[:12]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
