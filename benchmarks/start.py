"""What the first words of a command and a question from the shell cost: medians of whole processes.

Processor time is counted beside the clock, since machines are shared. The questions need a demo index (make demo, or
its path as an argument); modules are compiled before, as an installation does.
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    demo = Path(argv[0] if argv else "indexes/demo").absolute()
    commands = dict(COMMANDS)
    if demo.is_dir():
        where = ("--index", demo.name, "--indexes", str(demo.parent))
        commands |= {name: (*ASK, *asked, *where) for name, asked in QUESTIONS.items()}
    compileall.compile_dir(str(Path(rag.__file__).parent), quiet=1)
    table = Table(
        section="Speed",
        question="How long does `import rag` take, and a question from the shell?",
        columns=("what", "s by the clock", "s of processor time", "MB resident"),
        runs=(measured([(name, *_medians(command)) for name, command in commands.items()]),),
        command="python benchmarks/run.py start",
        note=f"{RUNS} whole processes each, files in memory. Wanted: help 0.25 s, a study 0.5 s, literature 1.5 s.",
    )
    report("speed-start", table, save=save)


def _medians(command: tuple[str, ...]) -> tuple[float, float, int]:
    """Seconds by the clock and of processor time, and the most memory that a process held (no less than this one)."""
    code, *words = command
    clock, processor, memory = [], [], 0
    for run in range(RUNS + 1):
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
        if run:  # the first brings the files into memory
            clock.append(time.perf_counter() - begin)
            processor.append(used.ru_utime + used.ru_stime)
            memory = max(memory, used.ru_maxrss // 1024)
    return round(statistics.median(clock), 3), round(statistics.median(processor), 3), memory


if __name__ == "__main__":
    main(sys.argv[1:])
