"""One certificate a domain where each has enough groups, and delta shared among them.

Strata are disjoint sets of domains, fixed by counting groups before any label is looked at. Each of the m certificates
is computed from its own stratum's questions at delta / m, so that by the union bound all of them hold at once with
probability at least 1 - delta. Then the risk is at most alpha in every stratum, and hence in every mixture of them: the
promise survives a change in which domains are asked about, and a single certificate for the mixture does not.

A domain without enough groups of its own cannot borrow the certificate of all questions: that one speaks of an average,
which is silent on its worst domain. Such domains share one certificate, computed from their questions alone and true on
average over them. Where even together they are too few, none is computed, nothing of delta is spent, and their
questions are uncertified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol, TypeVar

from rag.risk_control.planning import groups_needed

Stratum = tuple[str, ...]


class _Named(Protocol):
    def __hash__(self) -> int: ...
    def __lt__(self, other: Any, /) -> bool: ...


_Cell = TypeVar("_Cell", bound=_Named)


def strata(
    groups: Mapping[_Cell, Set[str]], alpha: float, delta: float, tests: int, share: float, rest: bool = True
) -> tuple[tuple[_Cell, ...], ...]:
    """The most domains that can have a certificate of their own, and the rest together where they are enough.

    Args:
        groups: domain (or a form of question in one) -> the groups with calibration questions of it; a group may have
            questions of several.
        alpha: tolerated risk in (0, 1).
        delta: level in (0, 1) that all certificates share.
        tests: policies among which one certificate shares its delta (1 for a fixed sequence).
        share: of the groups, spent on learning the order of tests (0 for none).
        rest: whether those without enough groups may share one.

    Returns:
        Disjoint strata, largest first, the shared one last; empty where there are too few groups for any.
    """
    ranked = sorted(groups, key=lambda d: (-len(groups[d]), d))

    def enough(some: Sequence[_Cell], parts: int) -> bool:
        return len(set().union(*(groups[d] for d in some))) >= groups_needed(alpha, delta / parts, tests, share)

    for own in range(len(ranked), -1, -1):
        others = tuple(ranked[own:])
        for shared in ((others,), ()) if others and rest else ((),):
            parts = (*((d,) for d in ranked[:own]), *shared)
            if parts and all(enough(part, len(parts)) for part in parts):
                return parts
    return ()
