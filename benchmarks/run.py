"""All benchmarks, or those named: ``python benchmarks/run.py [--save] [NAME ...]``. Each prints its tables.

With ``--save`` each writes them to benchmarks/results and makes docs/evaluation.md anew, too: see ``tables.py``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ORDER = ("start", "encode", "ingest", "ask", "reader", "verification", "splits", "search", "guarantees", "stress")


def main(names: list[str]) -> None:
    here = Path(__file__).parent
    sys.path.insert(0, str(here))
    options = ["--save"] * ("--save" in names)
    names = [n for n in names if n not in options]
    unknown = [n for n in names if not (here / f"{n}.py").is_file()]
    if unknown:
        sys.exit(
            f"no benchmark {unknown[0]!r}; there are: {', '.join(n for n in ORDER if (here / f'{n}.py').is_file())}"
        )
    for name in names or [n for n in ORDER if (here / f"{n}.py").is_file()]:
        print(f"\n## {name}\n", flush=True)
        import_module(name).main(list(options))


if __name__ == "__main__":
    main(sys.argv[1:])
