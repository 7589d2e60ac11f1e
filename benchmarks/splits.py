"""Does the promise hold? Random halves of the synthetic questions: certify on one, measure on the other.

Needs the demo index (make demo): ``python benchmarks/splits.py [INDEX [SPLITS]]``. Questions are about studies, whose
reports are read whole, so the number of contexts and the gap rule change nothing here; thresholds do all the work.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import numpy as np

import rag
from rag.errors import InputError
from rag.evaluation.calibration import SETTINGS, TAUS, outcomes_of, trace
from rag.evaluation.questions import Labelled
from rag.evaluation.synthesis import synthesize
from rag.findings.lexicon import Lexicon
from rag.progress import Silent
from rag.selection.certify import certify
from rag.types import Question

QUESTIONS, DELTA = 2400, 0.05
EVERYTHING, NAIVE, OURS = "answer everything", "lowest threshold with calibration risk <= alpha", "certified (ours)"


def main(argv: list[str]) -> None:
    index, splits = Path(argv[0]) if argv else Path("indexes/demo"), int(argv[1]) if len(argv) > 1 else 200
    if not index.exists():
        print(f"not measured: there is no index {index}; build it with: make demo")
        return
    engine = rag.Engine.open(index)
    made = synthesize(engine.store.snapshot().documents("report"), Lexicon.load(), count=QUESTIONS)
    labelled = [Labelled(q.id, Question(text=q.question, study=q.study), q.answer, q.group, q.evidence) for q in made]
    outcomes = outcomes_of(labelled, trace(labelled, engine, Silent()))
    confidence, correct = outcomes.confidence[:, 0], outcomes.correct[:, 0]
    print(f"{len(labelled)} questions, {splits} random halves, delta = {DELTA}\n")
    print("| alpha | method | certified or chosen | coverage | test risk | test risk > alpha |")
    print("|---:|---|---:|---:|---:|---:|")
    for alpha in (0.1, 0.05, 0.03):
        rows: dict[str, list[tuple[float, float]]] = {EVERYTHING: [], NAIVE: [], OURS: []}
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(labelled))
            half, rest = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])

            def measure(tau: float, rows: np.ndarray = rest) -> tuple[float, float]:
                answered = confidence[rows] >= tau
                return float(answered.mean()), float((~correct[rows][answered]).mean() if answered.any() else 0)

            rows[EVERYTHING].append(measure(0.0))
            for tau in TAUS:
                seen = confidence[half] >= tau
                if seen.any() and (~correct[half][seen]).mean() <= alpha:
                    rows[NAIVE].append(measure(tau))
                    break
            try:
                groups = [labelled[i].group for i in half]
                policy = certify(outcomes.take(half), groups, alpha, DELTA, thresholds=TAUS, seed=seed).policy
            except InputError:
                policy = None
            if policy is not None:
                assert (policy.k, policy.gamma) in SETTINGS
                rows[OURS].append(measure(policy.tau))
        for name, found in rows.items():
            if not found:
                print(f"| {alpha} | {name} | 0/{splits} | - | - | - |")
                continue
            coverage, risk = (statistics.mean(r[i] for r in found) for i in (0, 1))
            over = sum(r > alpha for _, r in found)
            print(
                f"| {alpha} | {name} | {len(found)}/{splits} | {coverage:.1%} | {risk:.2%} | {over / len(found):.1%} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
