"""Every suite of benchmarks/evaluate.yaml, two at a time: ``python benchmarks/evaluate.py [--save] [NAME ...]``.

Each entry is a command of ``rag evaluate`` with what it gave last. The reports go to build/evaluation (JSON, Markdown
and one page for all). ``--save`` keeps the tables in benchmarks/results, and in the list what is expected from now on.
``--check`` measures again, into build/reproduction, and says what moved from that. What is measured already, by the
same code, index and command, is not measured again after an interruption, unless ``--again`` asks for it. An entry
whose data or index is not there is not measured, and that is said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jobs import Done, Job, run_jobs
from tables import ROOT, Cell, Table, measured, report

from rag.evaluation.page import page_of, report_of
from rag.evaluation.report import Report, Row

LISTED = Path(__file__).with_suffix(".yaml")
BUILT = ROOT / "build"
_CLOSE = 0.0005  # figures are kept to three digits
_ROWS = 24  # of a table in the document
_CODE = [sys.executable, "-c", "from rag.cli import main; main()"]


def main(argv: list[str]) -> None:
    options = read_options(argv)
    listed = yaml.safe_load(LISTED.read_text("utf-8"))
    entries = [e for e in listed if not options.names or e["name"] in options.names]
    if unknown := sorted(set(options.names) - {e["name"] for e in entries}):
        sys.exit(f"{LISTED.name} has no entry {unknown[0]!r}")
    folder = BUILT / ("reproduction" if options.check else "evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    # what a language model said is not asked twice, neither under another policy nor after an interruption
    memo = os.environ.get("RAG_GENERATION__MEMO__FOLDER", str(folder / "memo"))
    began, moved, failed = time.monotonic(), [], []

    def keep(entry: dict[str, Any], found: dict[str, Any]) -> None:
        if options.check:
            changes = compared(entry, found)
            moved.extend([entry["name"]] * bool(changes))
            print("\n".join(f"  {change}" for change in changes) or "  as expected", flush=True)
        else:
            report(f"suite-{entry['name']}", table_of(entry, report_of(found)), save=options.save)
            if options.save:
                entry["expected"] = expected_of(report_of(found))
                LISTED.write_text(as_yaml(listed), encoding="utf-8")

    jobs = dict[str, Job]()
    for entry in entries:
        if why := missing(entry["command"], options.data):
            print(f"{entry['name']}: not measured: {why}", flush=True)
        elif not options.again and (found := measured_before(entry, folder, options.data)) is not None:
            print(f"{entry['name']}: measured before", flush=True)
            keep(entry, found)
        else:
            command = (*_CODE, *arguments(entry["command"], options.data))
            jobs[entry["name"]] = Job(entry["name"], command, entry.get("processor_s", 0.0))
    by_name = {entry["name"]: entry for entry in entries}
    told = {"RAG_GENERATION__MEMO__FOLDER": memo}
    ended = run_jobs(list(jobs.values()), folder, at_once=options.at_once, tell=_tell, environment=told)
    for n, done in enumerate(ended, start=1):
        entry = by_name[done.job.name]
        took = f"{done.wall_s:.0f} s, {done.processor_s:.0f} s of the processor"
        if done.status:
            failed.append(entry["name"])
            print(f"{entry['name']}: failed after {took}: {last_words(done)}", flush=True)
            continue
        print(f"{entry['name']}: {n} of {len(jobs)}, {took}", flush=True)
        found = json.loads(done.printed)
        (folder / f"{entry['name']}.json").write_text(written(found), encoding="utf-8")
        (folder / f"{entry['name']}.key").write_text(key_of(entry["command"], options.data))
        if options.save:
            entry["processor_s"] = round(done.processor_s)
        keep(entry, found)
    gather(folder, {entry["name"]: entry["question"] for entry in listed})
    print(f"{(time.monotonic() - began) / 60:.1f} min in all", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(entries)} failed: {', '.join(failed)}; what they said is in {folder}")
    if moved:
        sys.exit(f"{len(moved)} of {len(entries)} moved; if they should have, renew {LISTED.name} with --save")


def read_options(argv: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="benchmarks/evaluate.py", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these entries")
    parser.add_argument("--save", action="store_true", help="keep the tables, and what is expected from now on")
    parser.add_argument("--check", action="store_true", help="say what moved from what is expected")
    parser.add_argument("--again", action="store_true", help="also what is measured already")
    parser.add_argument("--data", default="../shared/data", help="in place of ../shared/data")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="processes (one thread each)")
    options = parser.parse_args(argv)
    if options.save and options.check:
        parser.error("--check compares with what --save kept; give one of them")
    return options


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


def arguments(command: str, data: str) -> list[str]:
    """What ``rag`` is called with."""
    words = shlex.split(command.replace("../shared/data", data))
    assert words[:2] == ["rag", "evaluate"], command
    return [*words[1:], "--json"]


def missing(command: str, data: str) -> str | None:
    """Why a command cannot be run here, where data or an index is not there."""
    words = arguments(command, data)
    paths = [word.partition("=")[2] or word for word in words if data in word]
    if absent := [path for path in paths if not (ROOT / path).exists()]:
        return f"{absent[0]} is not there"
    if (index := _index_of(words)) is not None and not index.exists():
        return f"the index {index.name} is not there; make it with: make {index.name}"
    return None


def measured_before(entry: dict[str, Any], folder: Path, data: str) -> dict[str, Any] | None:
    """The report that is there already, by the same code, index and command."""
    file, key = folder / f"{entry['name']}.json", folder / f"{entry['name']}.key"
    if not file.exists() or not key.exists() or key.read_text() != key_of(entry["command"], data):
        return None
    return dict(json.loads(file.read_text("utf-8")))


def key_of(command: str, data: str) -> str:
    """What a report depends on: command, code and index. Data that changed under its name asks for ``--again``."""
    words = arguments(command, data)
    digest = hashlib.sha256("\0".join([*words, _code()]).encode())
    if (index := _index_of(words)) is not None:
        from rag.indexing import IndexStore

        with IndexStore.open(index) as store:
            digest.update(repr(store.versions()).encode())
        for beside in sorted(index.glob("*.json")):  # certificates, and which kinds of questions are blind
            digest.update(beside.read_bytes())
    return digest.hexdigest()


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for folder in ("rag", "knowledge"):
        for file in sorted(f for f in (ROOT / folder).rglob("*") if f.is_file() and "__pycache__" not in f.parts):
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _index_of(words: list[str]) -> Path | None:
    if "--index" not in words:
        return None
    return ROOT / os.environ.get("RAG_INDEXES", "indexes") / words[words.index("--index") + 1]


def last_words(done: Done) -> str:
    """The last line of what a failed command said."""
    return next((line for line in reversed(done.error.splitlines()) if line.strip()), f"exit {done.status}").strip()


def gather(folder: Path, questions: dict[str, str]) -> None:
    """One page and one text of all reports that there are, in the list's order."""
    found = {
        question: report_of(json.loads(file.read_text("utf-8")))
        for name, question in questions.items()
        if (file := folder / f"{name}.json").exists()
    }
    if not found:
        return
    (folder / "report.html").write_text(page_of(list(found.values()), headings=list(found)), encoding="utf-8")
    text = "\n\n".join(f"# {question}\n\n{one.table()}" for question, one in found.items())
    (folder / "report.md").write_text(text + "\n", encoding="utf-8")
    print(f"{folder.relative_to(ROOT)}/report.html and report.md hold all {len(found)}", flush=True)


def written(found: dict[str, Any]) -> str:
    """The report's file: the same report gives the same bytes."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def compared(entry: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is not as expected, in words."""
    if not entry.get("expected"):
        return ["nothing is expected yet: measure with --save first"]
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
