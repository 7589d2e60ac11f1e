"""What the first words of a command, a question from the shell and a server cost: medians of whole processes.

Processor time is counted beside the clock, since machines are shared. Questions and server need a demo index (make
demo, or its path as an argument); modules are compiled before, as an installation does. No RAG_ variable is set.
"""

from __future__ import annotations

import compileall
import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

from tables import Table, measured, report, saving

import rag

RUNS = 7
COMMANDS = {
    "python (nothing)": ("pass",),
    "import rag": ("import rag",),
    "import rag; rag.Engine": ("import rag; rag.Engine",),
    "rag --help": ("from rag.cli import main; main()", "--help"),
}
ASK = ("from rag.cli import main; main()", "ask", "--json", "--no-ledger")
QUESTIONS = {
    "a question about a study": ("Is there a pleural effusion?", "--study", "CXR1"),
    "a question to the literature": ("What is pneumothorax?",),
}
SERVE = "rag serve, until /readyz answers"
WAIT_S = 60.0  # for a server


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    demo = Path(argv[0] if argv else "indexes/demo").absolute()
    commands = dict(COMMANDS)
    if demo.is_dir():
        where = ("--index", demo.name, "--indexes", str(demo.parent))
        commands |= {name: (*ASK, *asked, *where) for name, asked in QUESTIONS.items()}
    compileall.compile_dir(str(Path(rag.__file__).parent), quiet=1)
    rows: list[tuple[str, float, float, int]] = [(name, *_medians(command)) for name, command in commands.items()]
    if demo.is_dir():
        port = _free_port()
        serve = ("from rag.cli import main; main()", "serve", *where, "--port", str(port))
        rows.append((SERVE, *_medians(serve, f"http://127.0.0.1:{port}/readyz")))
    table = Table(
        section="Speed",
        question="How long do `import rag`, a question from the shell and the start of a server take?",
        columns=("what", "s by the clock", "s of processor time", "MB resident"),
        runs=(measured(rows),),
        command="python benchmarks/run.py start",
        note=f"{RUNS} processes each, files in memory. Wanted: help 0.25 s, study 0.5 s, literature 1.5 s, server 3 s.",
    )
    report("speed-start", table, save=save)


def _medians(command: tuple[str, ...], ready: str = "") -> tuple[float, float, int]:
    """Seconds by the clock and of processor time, and the most memory that a process held (no less than this one).

    ``ready``: the process is a server, which is stopped as soon as this URL answers.
    """
    code, *words = command
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    clock, processor, memory = [], [], 0
    for run in range(RUNS + 1):
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        if ready:
            took = _until(ready, child, begin)
            child.terminate()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if not ready:
            took = time.perf_counter() - begin
            if child.returncode:
                raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
        if run:  # the first brings the files into memory
            clock.append(took)
            processor.append(used.ru_utime + used.ru_stime)
            memory = max(memory, used.ru_maxrss // 1024)
    return round(statistics.median(clock), 3), round(statistics.median(processor), 3), memory


def _until(url: str, server: subprocess.Popen[bytes], begin: float) -> float:
    """Seconds from ``begin`` until the server answers; it is asked every 10 ms."""
    while time.perf_counter() - begin < WAIT_S and server.poll() is None:
        with suppress(OSError), urlopen(url, timeout=WAIT_S) as answer:
            answer.read()
            return time.perf_counter() - begin
        time.sleep(0.01)
    server.kill()
    raise SystemExit(f"{url} did not answer in {WAIT_S:.0f} s (exit code {server.wait()})")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main(sys.argv[1:])
