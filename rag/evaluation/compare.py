"""Two reports side by side: what moved, and whether it moved by more than chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag.errors import InputError
from rag.evaluation.metrics import bootstrap
from rag.evaluation.report import Report, Row, exactly

MOST_BYTES = 256 * 2**20


def compare_reports(before: Mapping[str, Any], after: Mapping[str, Any]) -> Report:
    """The differences of two reports of one suite, in the form of ``Report.json``, row by row.

    Where both hold outcomes of the same questions, the first table is paired: the difference of what is right, with an
    interval that resamples groups, and an exact sign test over the groups that moved (McNemar's, where each is one).

    >>> a = {"suite": "s", "rows": [{"metrics": {"F1": {"value": 0.5, "low": None, "high": None}}}]}
    >>> b = {"suite": "s", "rows": [{"metrics": {"F1": {"value": 0.7, "low": None, "high": None}}}]}
    >>> round(compare_reports(a, b).rows[0].metrics["difference"].value, 3)
    0.2

    Raises:
        InputError: they are of different suites, or have no row in common.
    """
    if before.get("suite") != after.get("suite"):
        raise InputError(f"the reports are of two suites: {before.get('suite')!r} and {after.get('suite')!r}")
    rows = [*_paired(before, after)]
    theirs = {_of(row): row for row in after["rows"]}
    for row in before["rows"]:
        other = theirs.get(_of(row))
        for name, metric in row["metrics"].items():
            if other is not None and name in other["metrics"]:
                then, now = metric["value"], other["metrics"][name]["value"]
                figures = {"before": exactly(then), "after": exactly(now), "difference": exactly(now - then)}
                rows.append(Row({**dict(_of(row)), "metric": name}, {}, figures))
    if not rows:
        raise InputError("the reports have no row in common")
    measured = {**_named("before", before), **_named("after", after)}
    return Report(f"{before['suite']}, compared", measured, tuple(rows), notes=_unlike(before, after))


def read_report(path: Path) -> dict[str, Any]:
    """What ``rag evaluate … --json`` wrote.

    Raises:
        InputError: there is no such file, or it is not a report.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than a report can be ({MOST_BYTES >> 20} MiB)")
    try:
        found = json.loads(path.read_bytes())
        assert isinstance(found["suite"], str)
        assert all(metric["value"] is not None for row in found["rows"] for metric in row["metrics"].values())
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(f"{path} is not a report: write one with rag evaluate SUITE FILE --json > {path}") from error
    return dict(found)


def _paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    from scipy.stats import binomtest

    then = {o["id"]: o for o in before.get("outcomes", ())}
    both = [(then[o["id"]], o) for o in after.get("outcomes", ()) if o["id"] in then]
    both = [(old, new) for old, new in both if old["answer"] == new["answer"]]
    if not both:
        return []
    right = [[float(o["said"] == o["answer"]) for o in pair] for pair in both]
    groups = [old["group"] for old, _ in both]
    moved = [new - old for old, new in right]
    figures = bootstrap({"before": [r[0] for r in right], "after": [r[1] for r in right], "difference": moved}, groups)
    by_group: dict[str, float] = {}
    for group, step in zip(groups, moved, strict=True):
        by_group[group] = by_group.get(group, 0.0) + step
    better, worse = sum(m > 0 for m in by_group.values()), sum(m < 0 for m in by_group.values())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    counts = {"questions": len(both), "groups_better": better, "groups_worse": worse}
    return [Row({"paired": "right"}, counts, {**figures, "p": exactly(p)})]


def _unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """A warning where the two asked different questions: then only what is paired can be compared."""
    then, now = ({o["id"] for o in report.get("outcomes", ())} for report in (before, after))
    if then == now:
        return ()
    both = len(then & now)
    return (
        f"the samples differ ({len(then):,} questions before, {len(now):,} after, {both:,} in both): only the paired "
        "figures compare like with like",
    )


def _of(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((k, v) for k, v in row.items() if isinstance(v, str))


def _named(which: str, report: Mapping[str, Any]) -> dict[str, str]:
    return {f"{kind} {which}": str(name) for kind, name in report.get("measured", {}).items()}
