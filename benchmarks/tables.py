"""docs/evaluation.md is made here, from benchmarks/results/*.json: ``python benchmarks/tables.py``.

One file holds the answer to one question, as one table:

    section    the chapter of the document, one of SECTIONS
    question   what was to be found out; the table's heading
    columns    the heads, a unit with each that has one
    runs       what was measured: machine, date, commit and the rows, cells being numbers, words or null. Several, where
               parts were measured on other machines or days. None: not measured, and the note says why
    command    what measures it again
    note       at most one line that the table cannot say

The newest figure alone is kept: history belongs to git. Benchmarks print their table, and with ``--save`` write the
file and the document as well. In runs taken over from earlier documents, ``commit`` is the one that wrote the figure
down.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).parent.parent
RESULTS, DOCUMENT = ROOT / "benchmarks" / "results", ROOT / "docs" / "evaluation.md"
Section = Literal[
    "Reading",
    "Collections",
    "Verifying",
    "Risk control",
    "Finding",
    "Routing",
    "Grounding",
    "Speed",
    "Vector search",
    "Serving",
]
SECTIONS: tuple[str, ...] = get_args(Section)
HEAD = """\
# Evaluation

<!-- Made by `python benchmarks/tables.py` from benchmarks/results/*.json. Edit those, not this. -->

One table for each question: what was measured, on what, and the command that measures it again. The machines were
shared and noisy: read ratios and medians, not single times. Nothing here was measured on patients, and none of it says
that an answer is medically right: agreement is with reports and with the people who coded them.
"""
Line = Annotated[str, Field(pattern=r"^[^\n]*$")]
Cell = int | float | Line | None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(Strict):
    """What one machine measured on one day."""

    machine: Line
    date: Line
    commit: Line
    rows: tuple[tuple[Cell, ...], ...]


class Table(Strict):
    """The newest answer to one question."""

    section: Section
    question: Line
    columns: tuple[Line, ...]
    runs: tuple[Run, ...]
    command: Line
    note: Line = ""

    @model_validator(mode="after")
    def _whole(self) -> Table:
        wrong = [row for run in self.runs for row in run.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"a row has {len(wrong[0])} cells under {len(self.columns)} columns: {wrong[0]}")
        if not self.runs and not self.note:
            raise ValueError("nothing was measured, and no note says why")
        return self

    def merged(self, earlier: Table, key: int) -> Table:
        """This table with the rows of an earlier one that it does not measure anew; ``key``: cells that name a row.

        Rows under other columns cannot be kept.
        """
        if earlier.columns != self.columns:
            return self
        mine = {row[:key] for run in self.runs for row in run.rows}
        kept = [r.model_copy(update={"rows": tuple(x for x in r.rows if x[:key] not in mine)}) for r in earlier.runs]
        return self.model_copy(update={"runs": (*self.runs, *(run for run in kept if run.rows))})


def report(name: str, table: Table, *, save: bool, key: int | None = None) -> None:
    """Print a benchmark's table; to ``save`` it is to write results/``name``.json and the document anew.

    Args:
        key: how many cells name a row, where a run may measure a part of the rows: the others are kept.
    """
    print(markdown(table), flush=True)
    if not save:
        return
    file = RESULTS / f"{name}.json"
    if key is not None and file.exists():
        table = table.merged(read(file), key)
    file.write_text(written(table), encoding="utf-8")
    DOCUMENT.write_text(document(), encoding="utf-8")


def saving(argv: list[str]) -> tuple[list[str], bool]:
    """The arguments without ``--save``, and whether it was among them."""
    return [a for a in argv if a != "--save"], "--save" in argv


def measured(rows: Sequence[Sequence[Cell]], packages: Sequence[str] = ()) -> Run:
    """The rows, with where and when they were measured: here and now, by this commit."""
    commit = _git("rev-parse", "--short", "HEAD") + ("" if not _git("status", "--porcelain", "rag") else " and changes")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Run(machine=machine(packages), date=today, commit=commit, rows=tuple(map(tuple, rows)))


def machine(packages: Sequence[str] = ()) -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = "".join(f", {name} {version}" for name in packages if (version := _installed(name)))
    here = f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}{versions}"
    elsewhere = os.environ.get("TEXTS_WRITTEN_ON")  # where a memo comes from another machine
    return f"{here}; the model's texts from a memo, written on {elsewhere}" if elsewhere else here


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def written(table: Table) -> str:
    """A table's file: JSON with a line for each row."""
    fields = table.model_dump(mode="json")
    for run in fields["runs"]:
        run["rows"] = [json.dumps(row, ensure_ascii=False) for row in run["rows"]]
    text = json.dumps(fields | {"columns": json.dumps(table.columns, ensure_ascii=False)}, indent=1, ensure_ascii=False)
    return re.sub(r'"\[.*\]"', lambda line: str(json.loads(line[0])), text) + "\n"


# The document


def read(file: Path) -> Table:
    """A table from its file; ends with one sentence where the file is not of the schema."""
    try:
        return Table.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"{file.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}")


def document() -> str:
    """The whole of docs/evaluation.md: sections in their order, and within one the files by name."""
    tables = [read(file) for file in sorted(RESULTS.glob("*.json"))]
    parts = [HEAD]
    for section in SECTIONS:
        some = [table for table in tables if table.section == section]
        parts += [f"## {section}\n"] * bool(some) + [_chapter(table) for table in some]
    return "\n".join(parts)


def _chapter(table: Table) -> str:
    note = f"\n{table.note}\n" if table.note else ""
    by = f"`{table.command}`"
    if not table.runs:
        return f"### {table.question}\n\nNot measured: {table.note} Command: {by}\n"
    if len(table.runs) == 1:
        where = _where(table.runs[0])
    else:
        where = "; ".join(f"({n}) {_where(run)}" for n, run in enumerate(table.runs, start=1))
    return f"### {table.question}\n\n{markdown(table)}\n{note}\n{by} · {where}\n"


def _where(run: Run) -> str:
    return f"{run.machine}; {run.date}, {run.commit}"


def markdown(table: Table) -> str:
    """The table alone."""
    several = len(table.runs) > 1
    rows = [[*row, n] if several else list(row) for n, run in enumerate(table.runs, start=1) for row in run.rows]
    heads = [*table.columns, *(["run"] * several)]
    lines = [heads, []]
    columns = [[row[i] for row in rows] for i in range(len(heads))]
    shown = [_cells(column) for column in columns]
    lines[1] = ["---:" if _numeric(column) else "---" for column in columns]
    lines += [[column[i] for column in shown] for i in range(len(rows))]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _cells(column: Sequence[Cell]) -> list[str]:
    """Floats as exact as they were written down, and no more than three digits or so; shares all to one length."""
    floats = [c for c in column if isinstance(c, float)]
    alike = max(map(_decimals, floats), default=0) if all(abs(c) <= 1 for c in floats) else None
    return [
        f"{c:,.{_decimals(c) if alike is None else alike}f}" if isinstance(c, float)
        else f"{c:,}" if isinstance(c, int)
        else c or ""
        for c in column
    ]  # fmt: skip


def _decimals(x: float) -> int:
    enough = 3 if abs(x) <= 1 else 2 if abs(x) < 10 else 1 if abs(x) < 100 else 0
    return min(enough, len(repr(x).partition(".")[2]))


def _numeric(column: Sequence[Cell]) -> bool:
    """Whether what is said begins with a number throughout."""
    said = [c for c in column if c not in (None, "")]
    return all(isinstance(c, int | float) or str(c)[0].isdigit() for c in said)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
