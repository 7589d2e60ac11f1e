"""How long `import rag` and the first words of the command take: medians of whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
COMMANDS = {
    "python (nothing)": "pass",
    "import rag": "import rag",
    "import rag; rag.Engine": "import rag; rag.Engine",
    "rag --help": "import sys; sys.argv = ['rag', '--help']; from rag.cli import main; main()",
}


def main(argv: list[str]) -> None:
    print("| what | median s | over bare python s |\n|---|---:|---:|")
    bare = 0.0
    for name, code in COMMANDS.items():
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
            times.append(time.perf_counter() - begin)
        median = statistics.median(times)
        bare = bare or median
        print(f"| {name} | {median:.3f} | {median - bare:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
