"""Does the promise hold? Certificates in worlds of known risk: ``python benchmarks/guarantees.py [REPEATS]``.

Tables of how often each bound and each control certifies a policy whose true risk is not below alpha (at most delta is
promised), what they certify where there is something to certify, beside MAPIE's Learn-then-Test on the same draws
where MAPIE is installed, and how long 10,000 questions × 1,000 policies take.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

import numpy as np
from tables import Cell, Section, Table, measured, report, saving

from rag.errors import InputError
from rag.risk_control.bounds import betting, exact_binomial, hoeffding_bentkus
from rag.risk_control.fwer import holm
from rag.risk_control.policy import Outcomes
from rag.risk_control.procedure import Bound, Control, Procedure, certify
from rag.risk_control.simulation import Draw, World

SECTION: Section = "Risk control"
PACKAGES = ("numpy", "scipy", "MAPIE")
ALPHA, DELTA, AT = 0.1, 0.05, 0.5
TAUS = (0.0, 0.2, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)
SIZES = (50, 200, 1000)
TESTS: tuple[Bound, ...] = ("exact", "hoeffding-bentkus", "betting")
CONTROLS: tuple[Control, ...] = ("fixed-sequence", "holm", "bonferroni")


def p_values(draw: Draw, tau: float) -> dict[str, np.ndarray]:
    """Per bound, one p-value per repeat; and that of counting every question as independent, which is not valid."""
    losses = draw.losses(tau, ALPHA)
    n = (~np.isnan(losses)).sum(axis=0)
    mean = np.nansum(losses, axis=0) / np.maximum(n, 1)
    return {
        "exact": exact_binomial(*draw.counts(tau), ALPHA),
        "hoeffding-bentkus": hoeffding_bentkus(mean, n, ALPHA),
        "betting": betting(losses, ALPHA, DELTA),
        "questions as independent (invalid)": exact_binomial(*draw.counts(tau, every=True), ALPHA),
    }


def one_policy(repeats: int) -> Table:
    """Share of runs in which a single policy of known risk is certified."""
    risks = (0.03, 0.06, 0.1, 0.105, 0.3)
    rows: list[tuple[Cell, ...]] = []
    for clustered in (False, True):
        for groups in SIZES:
            rates: dict[str, list[float]] = {}
            for i, risk in enumerate(risks):
                draw = World(risk, AT, clustered).draw(repeats, groups, np.random.default_rng([groups, i]))
                for name, p in p_values(draw, AT).items():
                    rates.setdefault(name, []).append(float(np.mean(p <= DELTA)))
            for name, row in rates.items():
                if clustered or "invalid" not in name:
                    rows.append((groups, _kind(clustered), name, *(round(x, 3) for x in row)))
    return Table(
        section=SECTION,
        question=f"How often is a single policy of known risk R certified, at alpha = {ALPHA} and delta = {DELTA}?",
        columns=("groups", "questions", "bound", *(f"R = {r}" for r in risks)),
        runs=(measured(rows, PACKAGES),),
        command=f"python benchmarks/guarantees.py {repeats}",
        note=f"{repeats:,} runs each. Below R = {ALPHA} that is power; from there on it is a broken promise, of which "
        f"{DELTA} is allowed.",
    )


def whole_grid(repeats: int) -> Table:
    """Share of runs in which ``certify`` lets any untrue policy through, and the coverage it certifies."""
    rows: list[tuple[Cell, ...]] = []
    for clustered in (False, True):
        for groups in SIZES:
            hard = World(ALPHA, AT, clustered)
            untrue = {t for t, r in zip(TAUS, hard.true_risk(TAUS), strict=True) if r >= ALPHA - 1e-12}
            on = hard.draw(repeats, groups, np.random.default_rng([groups, 1]))
            few = max(200, repeats // 5)
            easy = World(ALPHA / 2, AT, clustered).draw(few, groups, np.random.default_rng([groups, 2]))
            for bound in TESTS:
                for control in CONTROLS:
                    broken = sum(bool(untrue & run(on, i, bound, control)[0]) for i in range(repeats)) / repeats
                    covered = [run(easy, i, bound, control)[1] for i in range(few)]
                    shares = float(np.mean(covered)), float(np.mean(np.array(covered) > 0))
                    rows.append((groups, _kind(clustered), bound, control, broken, *(round(x, 2) for x in shares)))
    return Table(
        section=SECTION,
        question="Does the whole procedure keep its promise?",
        columns=("groups", "questions", "bound", "control", "broken", "coverage", "any certified"),
        runs=(measured(rows, PACKAGES),),
        command=f"python benchmarks/guarantees.py {repeats}",
        note=f"{repeats:,} runs each, nine policies, five of them untrue. Broken: one of those is accepted. Coverage: "
        f"mean share answered, 0 where nothing is certified, in a world of R = {ALPHA / 2}.",
    )


def _kind(clustered: bool) -> str:
    return "2 or 8 a group" if clustered else "one a group"


def run(draw: Draw, repeat: int, bound: Bound, control: Control) -> tuple[set[float], float]:
    """Accepted thresholds and certified coverage of one run; nothing where there are too few groups."""
    outcomes, groups = draw.outcomes(repeat)
    try:
        found = certify(outcomes, groups, ALPHA, DELTA, Procedure(TAUS, bound=bound, control=control, seed=repeat))
    except InputError:
        return set(), 0.0
    return {p.tau for p in found.accepted}, found.coverage if found.policy else 0.0


def beside_mapie(repeats: int) -> Table:
    """Policies certified on the same draws by our exact bound and by Learn-then-Test in MAPIE, both with Holm."""
    from mapie.risk_control.fwer_control import control_fwer
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value as theirs

    rows: list[tuple[Cell, ...]] = []
    for groups in SIZES:
        draw = World(ALPHA / 2, AT).draw(repeats, groups, np.random.default_rng([groups, 3]))
        counts = np.array([draw.counts(tau) for tau in TAUS])
        totals = np.zeros(3)
        for wrong, n in counts.transpose(2, 1, 0):
            totals[0] += holm(exact_binomial(wrong, n, ALPHA), DELTA).sum()
            for column, binary in ((1, True), (2, False)):
                p = theirs(wrong / np.maximum(n, 1), n.astype(float), ALPHA, binary=binary)[:, 0]
                totals[column] += len(control_fwer(p, DELTA, "bonferroni_holm"))
        rows.append((groups, *(round(float(t) / repeats, 3) for t in totals)))
    return Table(
        section=SECTION,
        question=f"How many of {len(TAUS)} policies are certified, beside MAPIE's Learn-then-Test on the same draws?",
        columns=("groups", "ours, exact", "MAPIE, binary losses", "MAPIE, default"),
        runs=(measured(rows, PACKAGES),),
        command=f"python benchmarks/guarantees.py {repeats}",
        note=f"Holm, one question a group, R = {ALPHA / 2} at tau = {AT}, {repeats:,} runs: means.",
    )


def at_scale() -> Table:
    """Seconds for 10,000 questions × 1,000 policies."""
    rows: list[tuple[Cell, ...]] = []
    rng = np.random.default_rng(0)
    confidence = rng.random((10_000, 50))
    correct = rng.random((10_000, 50)) >= 0.3 * (1 - confidence)
    outcomes = Outcomes(tuple(map(str, range(10_000))), tuple((k, 0.3) for k in range(1, 51)), correct, confidence)
    for each in (1, 4):
        groups = [f"g{i // each}" for i in range(10_000)]
        for bound in TESTS:
            times: list[float] = []
            for control in CONTROLS[:2]:
                taken = []
                for _ in range(3):
                    start = time.perf_counter()
                    certify(outcomes, groups, ALPHA, DELTA, Procedure(bound=bound, control=control))
                    taken.append(time.perf_counter() - start)
                times.append(sorted(taken)[1])
            rows.append((each, bound, *(round(t, 2) for t in times)))
    return Table(
        section=SECTION,
        question="How many seconds do 10,000 questions × 1,000 policies take?",
        columns=("questions a group", "bound", *CONTROLS[:2]),
        runs=(measured(rows, PACKAGES),),
        command="python benchmarks/guarantees.py",
        note="Median of three.",
    )


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    repeats = int(argv[0]) if argv else 2000
    report("guarantees-speed", at_scale(), save=save)
    report("guarantees-policy", one_policy(repeats), save=save)
    if find_spec("mapie"):
        report("guarantees-mapie", beside_mapie(repeats), save=save)
    else:
        print("\nNot compared with MAPIE, which is not installed.\n")
    report("guarantees-procedure", whole_grid(repeats), save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
