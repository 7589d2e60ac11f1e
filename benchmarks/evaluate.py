"""Every suite of benchmarks/evaluate.yaml: ``python benchmarks/evaluate.py [--save] [--data FOLDER] [NAME ...]``.

Each entry is a command of ``rag evaluate`` with what it gave last. The reports go to build/evaluation (JSON, Markdown
and one page for all), with ``--save`` the tables to benchmarks/results. ``--check`` runs the same commands and says
what moved; ``--expect`` keeps what they give as what is expected from now on. An entry whose data or index is not there
is not measured, and that is said.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from tables import ROOT, Cell, Table, measured, report, saving

from rag.evaluation.page import page_of, report_of
from rag.evaluation.report import Report, Row

LISTED = Path(__file__).with_suffix(".yaml")
BUILT = ROOT / "build" / "evaluation"
_CLOSE = 0.0005  # figures are kept to three digits
_ROWS = 24  # of a table in the document


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    check, expect = "--check" in argv, "--expect" in argv
    data = argv[argv.index("--data") + 1] if "--data" in argv else "../shared/data"
    names = [a for a in argv if a not in ("--check", "--expect", "--data", data)]
    listed = yaml.safe_load(LISTED.read_text("utf-8"))
    entries = [e for e in listed if not names or e["name"] in names]
    if unknown := sorted(set(names) - {e["name"] for e in entries}):
        sys.exit(f"{LISTED.name} has no entry {unknown[0]!r}")
    BUILT.mkdir(parents=True, exist_ok=True)
    moved = 0
    for entry in entries:
        started, before = time.monotonic(), _processor()
        found = run(entry["command"], data)
        if isinstance(found, str):
            print(f"{entry['name']}: not measured: {found}", flush=True)
            continue
        (BUILT / f"{entry['name']}.json").write_text(written(found), encoding="utf-8")
        took = f"{time.monotonic() - started:.0f} s, {_processor() - before:.0f} s of the processor"
        print(f"{entry['name']}: {took}", flush=True)
        if check:
            changes = list(compared(entry, found))
            moved += bool(changes)
            print("\n".join(f"  {change}" for change in changes) or "  as expected", flush=True)
        else:
            report(f"suite-{entry['name']}", table_of(entry, report_of(found)), save=save)
            if expect:
                entry["expected"] = expected_of(report_of(found))
                LISTED.write_text(as_yaml(listed), encoding="utf-8")
    gathered = [report_of(json.loads(f.read_text("utf-8"))) for f in sorted(BUILT.glob("*.json"))]
    if gathered:
        (BUILT / "report.html").write_text(page_of(gathered), encoding="utf-8")
        text = "\n\n".join(f"# {found.suite}\n\n{found.table()}" for found in gathered)
        (BUILT / "report.md").write_text(text + "\n", encoding="utf-8")
        print(f"{BUILT.relative_to(ROOT)}/report.html and report.md hold all {len(gathered)}", flush=True)
    if check and moved:
        sys.exit(f"{moved} of {len(entries)} moved; if they should have, renew the figures in {LISTED.name}")


def run(command: str, data: str) -> dict[str, Any] | str:
    """The report of a command, or why there is none."""
    words = shlex.split(command.replace("../shared/data", data))
    assert words[:2] == ["rag", "evaluate"], command
    paths = [word for word in words if word.startswith(data)]
    if missing := [path for path in paths if not (ROOT / path).exists()]:
        return f"{missing[0]} is not there"
    if "--index" in words and not (index := _indexes() / words[words.index("--index") + 1]).exists():
        return f"the index {index.name} is not there; make it with: make {index.name}"
    code = [sys.executable, "-c", "from rag.cli import main; main()", *words[1:], "--json"]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
    return dict(json.loads(done.stdout))


def _processor() -> float:
    """Seconds of all the commands that were run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _indexes() -> Path:
    return ROOT / os.environ.get("RAG_INDEXES", "indexes")


def written(found: dict[str, Any]) -> str:
    """The report's file: the same report gives the same bytes."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def compared(entry: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is not as expected, in words."""
    changes, rows = [], report_of(found).rows
    for expected in entry.get("expected", ()):
        name, metric, then = expected["row"], expected["metric"], expected["value"]
        row = next((r for r in rows if name in r.of.values() and metric in r.metrics), None)
        if row is None:
            changes.append(f"{name}: there is no {metric} any more")
        elif abs((now := row.metrics[metric].value) - then) > _CLOSE:
            changes.append(f"{name}, {metric}: {then:.3f} → {now:.3f} ({now - then:+.3f})")
    return changes


def expected_of(found: Report) -> list[dict[str, Any]]:
    """The first metric of every row of the first table, as an entry expects them."""
    return [
        {"row": next(iter(row.of.values()), ""), "metric": metric, "value": round(row.metrics[metric].value, 3)}
        for row in first_table(found)
        for metric in list(row.metrics)[:1]
    ]


def as_yaml(listed: list[dict[str, Any]]) -> str:
    """The list as it is kept, under the comment that heads it."""
    head = [line for line in LISTED.read_text("utf-8").splitlines() if line.startswith("#")]
    return "\n".join([*head, yaml.safe_dump(listed, sort_keys=False, allow_unicode=True, width=200)])


def first_table(found: Report) -> list[Row]:
    """The rows that are about the same as the first one, its baselines among them."""
    return [row for row in found.rows if row.of.keys() == found.rows[0].of.keys()]


def table_of(entry: dict[str, Any], found: Report) -> Table:
    """The first table, as the document holds it."""
    rows = first_table(found)[:_ROWS]
    counts = list(dict.fromkeys(name for row in rows for name in row.counts))
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    columns = [*rows[0].of, *counts, *metrics]
    cells: list[list[Cell]] = [
        [*row.of.values(), *(row.counts.get(name) for name in counts), *(_cell(row, metric) for metric in metrics)]
        for row in rows
    ]
    return Table(
        section="Collections",
        question=entry["question"],
        columns=tuple(re.sub("_", " ", c) for c in columns),
        runs=(measured(cells),),
        command=entry["command"],
        note=entry.get("note", ""),
    )


def _cell(row: Row, metric: str) -> Cell:
    value = row.metrics.get(metric)
    if value is None:
        return None
    if value.low is None or value.high is None:
        return round(value.value, 3)
    return f"{value.value:.3f} ({value.low:.2f}–{value.high:.2f})"


if __name__ == "__main__":
    main(sys.argv[1:])
