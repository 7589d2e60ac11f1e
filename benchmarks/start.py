"""How long `import rag` and the first words of the command take: medians of whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tables import Table, measured, report, saving

RUNS = 7
COMMANDS = {
    "python (nothing)": "pass",
    "import rag": "import rag",
    "import rag; rag.Engine": "import rag; rag.Engine",
    "rag --help": "import sys; sys.argv = ['rag', '--help']; from rag.cli import main; main()",
}


def main(argv: list[str]) -> None:
    _, save = saving(argv)
    rows: list[tuple[str, float]] = []
    for name, code in COMMANDS.items():
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
            times.append(time.perf_counter() - begin)
        rows.append((name, round(statistics.median(times), 3)))
    table = Table(
        section="Speed",
        question="How long does `import rag` take?",
        columns=("what", "median s (wanted: 0.3)"),
        runs=(measured(rows),),
        command="python benchmarks/run.py start",
        note=f"Whole processes, {RUNS} each.",
    )
    report("speed-start", table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
