"""Does the promise hold on real questions? Random halves by group: certify on one, measure on the other.

    python benchmarks/splits.py [studies INDEX | images INDEX CASES.jsonl] [SPLITS] [--save]

``studies`` (needs the demo index): synthetic yes/no questions whose answers are human codes. A study's report is read
whole, so the number of contexts and the gap rule change nothing there; thresholds do all the work. ``images`` (needs
``rag ingest CASES.jsonl --format cases``): "does this photograph show diabetic retinopathy?", answered by the votes of
similar cases with the own patient excluded, so that every context may mislead; the right answers are the experts'
keywords. Without arguments both are run where their indexes are.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tables import Cell, Table, measured, report, saving

import rag
from rag.calibration.risks import WrongAnswer
from rag.calibration.traces import trace
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.progress import Silent
from rag.risk_control.bounds import clopper_pearson
from rag.risk_control.policy import ROUTES, TAUS, Outcomes, Policy
from rag.risk_control.procedure import LEARNING_SHARE, Procedure, certify
from rag.risk_control.strata import strata
from rag.types import Question

DELTA, NEVER = 0.05, 100.0
ALPHAS = {"studies": (0.05, 0.03), "images": (0.2, 0.1)}
QUESTIONS = {  # what is asked about an image, and the experts' keywords that make it true
    "Is this fundus normal?": ("normal fundus",),
    "Does this photograph show diabetic retinopathy?": ("proliferative retinopathy", "diabetic retinopathy"),
    "Does this photograph show pathological myopia?": ("pathological myopia",),
    "Does this photograph show glaucoma?": ("glaucoma",),
    "Does this photograph show macular degeneration?": ("macular degeneration",),
    "Does this section show adenocarcinoma?": ("adenocarcinoma",),
    "Does this section show squamous cell carcinoma?": ("squamous cell carcinoma",),
}
_OF = {"ophthalmology": tuple(QUESTIONS)[:5], "pathology": tuple(QUESTIONS)[5:]}


def about_studies(engine: rag.Engine) -> list[LabelledQuestion]:
    made = rag.synthesize(rag.Index(engine.store, engine.settings), count=2400)
    return [q.labelled() for q in made]


def about_images(engine: rag.Engine, cases: Path) -> list[LabelledQuestion]:
    """One question an image, yes and no equally often where both can be asked; what is only suspected is not asked."""
    rng, made = random.Random(0), []
    for row in map(json.loads, cases.read_text(encoding="utf-8").splitlines()):
        if row["domain"] not in _OF or not engine.has_study(row["id"]):
            continue
        said = row["text"].lower()
        sides: dict[str, list[str]] = {"yes": [], "no": []}
        for text in _OF[row["domain"]]:
            found = [k for k in QUESTIONS[text] if k in said]
            if not any(f"suspected {k}" in said for k in QUESTIONS[text]):
                sides["yes" if found else "no"].append(text)
        side = rng.choice([s for s in sides if sides[s]])
        picture = str(cases.parent / row["image"])
        asked = Question(text=rng.choice(sides[side]), image=picture, exclude_groups=(row["group"],))
        made.append(LabelledQuestion(row["id"], asked, side, row["group"]))
    return made


@dataclass
class Found:
    """What one method did in the splits; splits where it chose nothing count as silence."""

    chosen: int = 0
    coverage: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    over: int = 0
    over_somewhere: int = 0

    def row(self, alpha: float, name: str, splits: int) -> tuple[Cell, ...]:
        def spread(values: list[float]) -> str:
            if not values:
                return "-"
            low, high = np.quantile(values, (0.025, 0.975))
            return f"{np.mean(values):.1%} ({low:.1%} to {high:.1%})"

        def share(count: int) -> str:
            low, high = clopper_pearson(count, splits)
            return f"{count / splits:.1%} ({float(low):.1%} to {float(high):.1%})"

        cells = (f"{alpha}", name, f"{self.chosen}/{splits}", spread(self.coverage), spread(self.accuracy))
        return *cells, share(self.over), share(self.over_somewhere)


Chosen = dict[str, Policy]  # by domain; a domain without a policy is not answered


def measure(found: Found, chosen: Chosen, alpha: float, world: World, rows: np.ndarray) -> None:
    """Add a split: coverage and risk of a random question of a random group of the test half."""
    answered = np.zeros(len(rows), dtype=bool)
    wrong = np.zeros(len(rows), dtype=bool)
    for domain, policy in chosen.items():
        column = world.outcomes.settings.index((policy.k, policy.gamma))
        here = (world.domains[rows] == domain) & (world.outcomes.route[rows] >= policy.rho)
        said = here & (world.outcomes.confidence[rows, column] >= policy.tau)
        answered |= said
        wrong |= said & ~world.outcomes.correct[rows, column]
    weight = world.weights[rows]
    total = float((weight * answered).sum())
    found.chosen += bool(chosen)
    found.coverage.append(total / float(weight.sum()))
    if total:
        risk = float((weight * wrong).sum()) / total
        found.accuracy.append(1 - risk)
        found.over += risk > alpha
        risks = []
        for domain in chosen:
            of = weight * (world.domains[rows] == domain)
            risks.append(float((of * wrong).sum()) / max(1e-9, float((of * answered).sum())))
        found.over_somewhere += max(risks) > alpha


@dataclass(frozen=True)
class World:
    outcomes: Outcomes
    domains: np.ndarray
    groups: np.ndarray
    weights: np.ndarray

    def risk(self, policy: Policy, rows: np.ndarray) -> float:
        column = self.outcomes.settings.index((policy.k, policy.gamma))
        said = self.outcomes.confidence[rows, column] >= policy.tau
        weight = self.weights[rows] * said
        return float((weight * ~self.outcomes.correct[rows, column]).sum()) / max(1e-9, float(weight.sum()))


def everywhere(policy: Policy, world: World) -> Chosen:
    return {str(domain): policy for domain in np.unique(world.domains)}


def fixed(k: int, gamma: float = NEVER) -> Callable[..., Chosen]:
    return lambda world, half, alpha, seed: everywhere(Policy(k, gamma, 0.0), world)


def lowest_risk_k(world: World, half: np.ndarray, alpha: float, seed: int) -> Chosen:
    """RULE: the number of contexts with the lowest risk on the calibration half; nothing is withheld."""
    return everywhere(min((Policy(k, NEVER, 0.0) for k in (1, 5, 10, 20)), key=lambda p: world.risk(p, half)), world)


def lowest_threshold(world: World, half: np.ndarray, alpha: float, seed: int) -> Chosen:
    """Of k = 10 the lowest confidence whose observed risk on the calibration half is at most alpha: no margin."""
    for tau in TAUS:
        if world.risk(Policy(10, NEVER, tau), half) <= alpha:
            return everywhere(Policy(10, NEVER, tau), world)
    return {}


def certified(world: World, half: np.ndarray, alpha: float, seed: int, pooled: bool = False) -> Chosen:
    """As ``rag calibrate`` does it."""
    names = {str(d): set(world.groups[half[world.domains[half] == d]].tolist()) for d in np.unique(world.domains)}
    parts = (tuple(names),) if pooled else strata(names, alpha, DELTA, 1, LEARNING_SHARE)
    chosen: Chosen = {}
    for part in parts:
        rows = half[np.isin(world.domains[half], part)]
        groups = [str(g) for g in world.groups[rows]]
        some, each = world.outcomes.take(rows), DELTA / len(parts)
        try:
            found = certify(some, groups, alpha, each, Procedure(TAUS, ROUTES, seed=seed))
        except InputError:
            continue
        if found.policy is not None:
            chosen |= dict.fromkeys(part, found.policy)
    return chosen


METHODS: dict[str, Callable[..., Chosen]] = {
    "fixed k = 1": fixed(1),
    "fixed k = 5": fixed(5),
    "fixed k = 10": fixed(10),
    "no selection (k = 20)": fixed(20),
    "gap rule alone (k = 20, gamma = 0.35)": fixed(20, 0.35),
    "gap rule alone (k = 20, gamma = 0.1)": fixed(20, 0.1),
    "RULE: k of lowest validation risk": lowest_risk_k,
    "lowest threshold with validation risk <= alpha": lowest_threshold,
    "ours, pooled": lambda *how: certified(*how, pooled=True),
    "ours, by domain": certified,
}


def compare(name: str, engine: rag.Engine, labelled: Sequence[LabelledQuestion], splits: int) -> Table:
    trials = trace(labelled, engine, Silent())
    kept = np.array([i for i, t in enumerate(trials) if not t.domain.out_of_domain])
    groups = np.unique([labelled[i].group for i in kept], return_inverse=True)[1]
    sizes = np.bincount(groups)
    outcomes = WrongAnswer().losses(labelled, trials).take(kept)
    domains = np.array([trials[i].domain.name for i in kept])
    world = World(outcomes, domains, groups, 1 / sizes[groups])
    mixed = ", ".join(f"{d} {n}" for d, n in zip(*np.unique(domains, return_counts=True), strict=True))
    rows: list[tuple[Cell, ...]] = []
    for alpha in ALPHAS[name]:
        found = {method: Found() for method in METHODS}
        for seed in range(splits):
            first = np.zeros(len(sizes), dtype=bool)
            first[np.random.default_rng(seed).permutation(len(sizes))[: len(sizes) // 2]] = True
            half, rest = np.flatnonzero(first[groups]), np.flatnonzero(~first[groups])
            for method, choose in METHODS.items():
                measure(found[method], choose(world, half, alpha, seed), alpha, world, rest)
        rows += [result.row(alpha, method, splits) for method, result in found.items()]
    return Table(
        section="Risk control",
        question=f"Does the promise hold on questions about {name}, and what does it cost?",
        columns=(
            "alpha", "method", "chosen", "coverage", "accuracy of answers", "test risk > alpha", "in some domain"
        ),
        runs=(measured(rows),),
        command=f"python benchmarks/splits.py {name}",
        note=f"{len(labelled):,} questions, {len(labelled) - len(kept)} out of domain, {len(sizes):,} groups "
        f"({mixed}); {splits} random halves by group, delta {DELTA}; middle 95% of them; shares with "
        "Clopper-Pearson intervals.",
    )  # fmt: skip


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    splits = int(argv.pop()) if argv and argv[-1].isdigit() else 200
    wanted = argv or ["studies", "images"]
    cases = Path(argv[2] if len(argv) > 2 else "../shared/data/cases/cases.jsonl")
    for name in ALPHAS:
        if name not in wanted:
            continue
        index = Path(argv[1] if len(argv) > 1 else {"studies": "indexes/demo", "images": "indexes/cases"}[name])
        print(f"\n**Questions about {name}** (`{index.name}`)\n")
        if not index.exists() or (name == "images" and not cases.exists()):
            print(f"not measured: needs the index {index}" + (f" and the file {cases}" if name == "images" else ""))
            continue
        engine = rag.Engine.open(index)
        labelled = about_studies(engine) if name == "studies" else about_images(engine, cases)
        report(f"risk-{name}", compare(name, engine, labelled, splits), save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
