"""The table of docs/evaluation.md from what gpu.py wrote, perhaps on another machine, which has a card and no git:
``python benchmarks/gpu_table.py gpu.json COMMIT DATE [--save]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tables import Cell, Run, Table, report, saving

Row = tuple[str, Cell, Cell, Cell]


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    file, commit, date = argv
    said = json.loads(Path(file).read_text("utf-8"))
    if said["device"] is None or said["rehearsal"]:
        sys.exit(f"{file} holds no figures of a device")
    versions = said["torch-flat"].get("versions") or said["cuda-flat"].get("versions") or {}
    machine = ", ".join([said["device"], *(f"{name} {version}" for name, version in versions.items())])
    rows = [*searches(said), *encodings(said), *the_rest(said)]
    table = Table(
        section="Speed",
        question="How fast is any of this on a GPU?",
        columns=("what", "ours", "bare library", "ours / bare"),
        runs=(Run(machine=machine, date=date, commit=commit, rows=tuple(rows)),),
        command="python benchmarks/gpu.py gpu.json && python benchmarks/gpu_table.py gpu.json COMMIT DATE",
        note="Asked host to host, through a segment of the store; 512 wide, in clusters. Not run since CAGRA walks "
        "wider for more than ten neighbours and images go to the card in batches of 128, one ahead.",
    )
    report("speed-gpu", table, save=save)


def searches(said: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for backend in ("cuda-flat", "cuda-cagra", "torch-flat"):
        part = said[backend]
        if "segment p50 ms" not in part:
            continue
        name, bare = f"{backend}, {part['vectors']:,}", part.get("bare", {})
        ours, theirs = part["segment p50 ms"], bare.get("bare p50 ms")
        rows.append((f"{name}: one question, ms", ours, theirs, _ratio(ours, theirs)))
        ours, theirs = part["segment QPS in batches"], bare.get("bare QPS in batches")
        rows.append((f"{name}: questions/s in batches of 1,024", ours, theirs, _ratio(ours, theirs)))
        rows.append((f"{name}: recall@10 in batches", part["recall@10"], None, None))
        rows.append((f"{name}: recall@10, one by one", part["recall@10, one by one"], None, None))
        if backend == "cuda-cagra":
            deep = part["deeper"]
            rows += [(f"{name}: recall@{k}, 64 questions", deep.get(f"recall@{k}, all"), None, None) for k in (50, 100)]
            rows.append((f"{name}: recall@10 of probes far from all", part["facts"]["far_recall"], None, None))
        if "of the copy" in part:
            rows.append((f"{name}: read for one question, share of the card's copy", part["of the copy"], None, None))
        rows += [(f"{name}: {what} s", round(part[f"{what} s"], 2), None, None) for what in ("write", "open")]
        if "questions" in part.get("threads", {}):
            rows.append((f"{name}: questions/s of 4 threads, one at a time", part["threads"]["QPS"], None, None))
    part = said["ten million"]
    if "p50 ms" in part:
        name = f"torch alone, bfloat16, {part['vectors']:,}"
        rows.append((f"{name}: one question, ms", None, round(part["p50 ms"], 2), None))
        rows.append((f"{name}: recall@10, 32 scored exactly", None, part["recall@10"], None))
    return rows


def encodings(said: dict[str, Any]) -> list[Row]:
    part, rows = said["encoding"], list[Row]()
    for size in (32, 128, 256, 512, 1024):
        ours, bare = (part.get(f"images/s {kind}, batch {size}") for kind in ("decoded before", "of the bare loop"))
        if ours and bare:
            name = f"images/s of the compact tower, decoded before, batches of {size}"
            rows.append((name, round(ours), round(bare), _ratio(ours, bare)))
    if whole := part.get("images/s from files"):
        rows.append((f"images/s from JPEG files, {part['decoding threads']} threads decode", round(whole), None, None))
    if isinstance(part.get("texts/s"), float):
        rows.append(("texts/s (MiniLM, some 60 words)", round(part["texts/s"]), None, None))
    return rows


def the_rest(said: dict[str, Any]) -> list[Row]:
    part, rows = said["ingest"], list[Row]()
    for what, rate in (part.get("images_a_second") or {}).items():
        rows.append((f"rag ingest of {part['added']:,} JPEG files: images/s, {what}", round(rate), None, None))
    if part.get("seconds"):
        rows.append((f"rag ingest of {part['added']:,} JPEG files: whole process, s",
                     round(part["whole process s"], 1), None, None))  # fmt: skip
    if "seconds for one, median" in said["generation"]:
        rows.append(
            ("compact Med-LVLM, one answer, s", round(said["generation"]["seconds for one, median"], 2), None, None)
        )
    return rows


def _ratio(ours: float, theirs: float | None) -> float | None:
    return round(ours / theirs, 2) if theirs else None


if __name__ == "__main__":
    main(sys.argv[1:])
