"""Does the promise hold? Certificates in worlds of known risk: ``python benchmarks/guarantees.py [REPEATS]``.

Prints how often each bound and each control certifies a policy whose true risk is not below alpha (at most delta is
promised), what they certify where there is something to certify, beside MAPIE's Learn-then-Test on the same draws
where MAPIE is installed, and how long 10,000 questions × 1,000 policies take.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

import numpy as np

from rag.errors import InputError
from rag.risk_control.bounds import betting, exact_binomial, hoeffding_bentkus
from rag.risk_control.fwer import holm
from rag.risk_control.policy import Outcomes
from rag.risk_control.procedure import Bound, Control, certify
from rag.risk_control.simulation import Draw, World

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


def one_policy(repeats: int) -> None:
    """Share of runs in which a single policy of known risk is certified."""
    print(f"\n**One policy**, alpha = {ALPHA}, delta = {DELTA}, {repeats:,} runs each: share of runs that certify it.")
    print("Below R = 0.1 that is power; from R = 0.1 on it is a broken promise, of which 0.05 is allowed.\n")
    risks = (0.03, 0.06, 0.1, 0.105, 0.3)
    print("| groups | questions | bound | " + " | ".join(f"R = {r}" for r in risks) + " |")
    print("|---|---|---|" + "---|" * len(risks))
    for clustered in (False, True):
        for groups in SIZES:
            rates: dict[str, list[float]] = {}
            for i, risk in enumerate(risks):
                draw = World(risk, AT, clustered).draw(repeats, groups, np.random.default_rng([groups, i]))
                for name, p in p_values(draw, AT).items():
                    rates.setdefault(name, []).append(float(np.mean(p <= DELTA)))
            for name, row in rates.items():
                if clustered or "invalid" not in name:
                    kind = "2 or 8 a group" if clustered else "one a group"
                    print(f"| {groups} | {kind} | {name} | " + " | ".join(f"{x:.3f}" for x in row) + " |", flush=True)


def whole_grid(repeats: int) -> None:
    """Share of runs in which ``certify`` lets any untrue policy through, and the coverage it certifies."""
    print(f"\n**All of `certify`**, {len(TAUS)} policies, {repeats:,} runs each. *Broken*: a policy of R >= 0.1 is")
    print(f"among the accepted, where R(tau) falls through 0.1 exactly at tau = {AT}, so five of nine are untrue.")
    print(
        "*Coverage*: mean share of questions answered under the chosen policy, 0 where none is, in a world of R = 0.05"
    )
    print("at that threshold.\n")
    print("| groups | questions | bound | control | broken | coverage | any certified |\n|---|---|---|---|---|---|---|")
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
                    kind = "2 or 8 a group" if clustered else "one a group"
                    print(
                        f"| {groups} | {kind} | {bound} | {control} | {broken:.3f} | {np.mean(covered):.2f} | "
                        f"{np.mean(np.array(covered) > 0):.2f} |",
                        flush=True,
                    )


def run(draw: Draw, repeat: int, bound: Bound, control: Control) -> tuple[set[float], float]:
    """Accepted thresholds and certified coverage of one run; nothing where there are too few groups."""
    outcomes, groups = draw.outcomes(repeat)
    try:
        found = certify(outcomes, groups, ALPHA, DELTA, thresholds=TAUS, bound=bound, control=control, seed=repeat)
    except InputError:
        return set(), 0.0
    return {p.tau for p in found.accepted}, found.coverage if found.policy else 0.0


def beside_mapie(repeats: int) -> None:
    """Policies certified on the same draws by our exact bound and by Learn-then-Test in MAPIE, both with Holm."""
    if find_spec("mapie") is None:
        print("\nNot compared with MAPIE, which is not installed.")
        return
    from mapie.risk_control.fwer_control import control_fwer
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value as theirs

    print(f"\n**Beside MAPIE's Learn-then-Test**, same draws, Holm over {len(TAUS)} policies, one question a group,")
    print(f"R = 0.05 at tau = {AT}, {repeats:,} runs: mean number of policies certified.\n")
    print("| groups | ours, exact | MAPIE, binary losses | MAPIE, default |\n|---|---|---|---|")
    for groups in SIZES:
        draw = World(ALPHA / 2, AT).draw(repeats, groups, np.random.default_rng([groups, 3]))
        counts = np.array([draw.counts(tau) for tau in TAUS])
        totals = np.zeros(3)
        for wrong, n in counts.transpose(2, 1, 0):
            totals[0] += holm(exact_binomial(wrong, n, ALPHA), DELTA).sum()
            for column, binary in ((1, True), (2, False)):
                p = theirs(wrong / np.maximum(n, 1), n.astype(float), ALPHA, binary=binary)[:, 0]
                totals[column] += len(control_fwer(p, DELTA, "bonferroni_holm"))
        print(f"| {groups} | " + " | ".join(f"{t / repeats:.3f}" for t in totals) + " |", flush=True)


def at_scale() -> None:
    """Seconds for 10,000 questions × 1,000 policies."""
    rng = np.random.default_rng(0)
    confidence = rng.random((10_000, 50))
    correct = rng.random((10_000, 50)) >= 0.3 * (1 - confidence)
    outcomes = Outcomes(tuple(map(str, range(10_000))), tuple((k, 0.3) for k in range(1, 51)), correct, confidence)
    print("\n**10,000 questions × 1,000 policies**, seconds, median of three.\n")
    print("| questions a group | bound | fixed-sequence | holm |\n|---|---|---|---|")
    for each in (1, 4):
        groups = [f"g{i // each}" for i in range(10_000)]
        for bound in TESTS:
            times: list[float] = []
            for control in CONTROLS[:2]:
                taken = []
                for _ in range(3):
                    start = time.perf_counter()
                    certify(outcomes, groups, ALPHA, DELTA, bound=bound, control=control)
                    taken.append(time.perf_counter() - start)
                times.append(sorted(taken)[1])
            print(f"| {each} | {bound} | {times[0]:.2f} | {times[1]:.2f} |", flush=True)


def main(argv: list[str]) -> None:
    repeats = int(argv[0]) if argv else 2000
    at_scale()
    one_policy(repeats)
    beside_mapie(repeats)
    whole_grid(repeats)


if __name__ == "__main__":
    main(sys.argv[1:])
