"""Commands run side by side, each in a process of its own, with what they took of the processor and how long is left.

A pool of the standard library would share this process's interpreter or its imports; and of a pool's child nobody can
say afterwards what it took of the processor. ``os.wait4`` says it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK, _TELL = 0.2, 30.0  # seconds between looks at the processes, and between lines of progress
_ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Job:
    """A command; ``likely_s`` is what it took of the processor the last time, 0 where nobody knows."""

    name: str
    command: tuple[str, ...]
    likely_s: float = 0.0


@dataclass(frozen=True)
class Done:
    """How a job ended: its exit status, what it printed, and seconds that passed and were spent of the processor."""

    job: Job
    status: int
    printed: str
    error: str
    wall_s: float
    processor_s: float


def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    *,
    at_once: int = 2,
    tell: Callable[[str], None] = print,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Done]:
    """Each job as it ends, the longest begun first; whoever stops listening stops those that still run.

    Each process computes with one thread: as many processes as cores then share the machine evenly, and the same
    command gives the same bytes whatever runs beside it.

    Args:
        folder: where what they print is kept while they run.
        tell: given a line when a job begins and twice a minute.
        environment: variables of the commands, besides this process's own.
    """
    waiting = sorted(jobs, key=lambda job: -job.likely_s)
    variables = os.environ | _ONE_CORE | (environment or {})
    running: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
    ended, told = list[Done](), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[_begin(job, folder, variables)] = job, time.monotonic()
                tell(f"{job.name}: begun")
            for process, (job, since) in list(running.items()):
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if not pid:
                    continue
                del running[process]
                process.returncode = os.waitstatus_to_exitcode(status)
                printed, error = (_file(job, folder, of).read_text("utf-8", "replace") for of in ("out", "err"))
                spent = used.ru_utime + used.ru_stime
                ended.append(Done(job, process.returncode, printed, error, time.monotonic() - since, spent))
                yield ended[-1]
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                tell(_progress(waiting, [(job, told - since) for job, since in running.values()], ended, at_once))
            time.sleep(_LOOK if running else 0)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _begin(job: Job, folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with _file(job, folder, "out").open("wb") as out, _file(job, folder, "err").open("wb") as err:
        return subprocess.Popen(job.command, stdout=out, stderr=err, env=variables)


def _file(job: Job, folder: Path, of: str) -> Path:
    return folder / f"{job.name}.{of}"


def _progress(waiting: Sequence[Job], running: Sequence[tuple[Job, float]], ended: Sequence[Done], at_once: int) -> str:
    """Who runs and for how long, and how much is left, as the jobs so far went beside what was likely."""
    known = [done for done in ended if done.job.likely_s]
    pace = sum(d.wall_s for d in known) / sum(d.job.likely_s for d in known) if known else 1.0
    left = [pace * job.likely_s for job in waiting] + [max(0.0, pace * job.likely_s - t) for job, t in running]
    minutes = max(sum(left) / at_once, max(left, default=0.0)) / 60
    names = ", ".join(f"{job.name} for {t:.0f} s" for job, t in running)
    return f"{names}; {len(waiting)} to begin; about {minutes:.0f} min left"
