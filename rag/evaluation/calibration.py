"""Journey C: labelled questions become a certificate.

questions → traces (one search each, every setting) → outcomes of every policy → p-values → family-wise control →
the certified policy of highest coverage, saved with the fingerprints of everything that it depends on
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from rag.engine import Engine, Trial
from rag.errors import InputError
from rag.evaluation.questions import Labelled
from rag.progress import Progress
from rag.selection.certificate import StoredCertificate
from rag.selection.certify import Certification, Control, certify
from rag.selection.evidence_risk import EvidenceRisk, certify_contexts
from rag.selection.policy import Outcomes, Setting
from rag.types import sha256_of

TRACES = "traces"
_BATCH = 32
# The grid is fixed here, before any label is seen.
SETTINGS: tuple[Setting, ...] = tuple(product((1, 2, 3, 5, 8, 12, 20), (0.1, 0.35, 1.0, 100.0)))  # 100 never cuts
TAUS = tuple(round(0.5 + 0.035 * i, 3) for i in range(15))


@dataclass(frozen=True)
class Calibration:
    """The outcome of a calibration: statistics, what was saved, and the risk-coverage curve over thresholds.

    ``curve`` holds (tau, coverage, risk) at the chosen setting, over all questions.
    """

    certification: Certification
    certificate: StoredCertificate
    questions: int
    groups: int
    curve: tuple[tuple[float, float, float], ...]

    def report(self) -> str:
        """A few honest lines."""
        c = self.certification
        low, high = c.interval
        risk = "nothing answered" if c.risk is None else f"{c.risk:.1%} (95% interval {low:.1%} to {high:.1%})"
        lines = [
            f"{self.questions} questions in {self.groups} groups: {c.learning_groups} groups ordered the policies, "
            f"{c.groups} tested them",
            c.why,
            f"coverage {c.coverage:.1%}, risk among answers {risk}, effective n {c.effective_n:.0f}; "
            f"{len(c.accepted)} of {c.policies} policies certified ({c.bound} bound, {c.control})",
            f"with {2 * self.groups} groups and the same risk, alpha = {c.alpha_with(2 * self.groups):.3f} "
            "would be within reach",
            f"covers yes/no questions about: {', '.join(self.certificate.scope)}",
        ]
        return "\n".join(lines)


def calibrate(
    questions: Sequence[Labelled],
    engine: Engine,
    progress: Progress,
    *,
    alpha: float,
    delta: float,
    control: Control = "fixed-sequence",
    seed: int = 0,
) -> Calibration:
    """Certify a policy on labelled yes/no questions and save the certificate beside the index.

    Traces are kept in the index's folder: an interrupted calibration goes on where it stopped, and another alpha or
    delta costs no new answers. They hold hashes of questions, verdicts, confidences and document ids, and no text.

    Raises:
        InputError: as :func:`~rag.selection.certify.certify`, or an image question names no group (its own patient's
            documents could then be its evidence), or a question is not a yes/no question.
    """
    _refuse_leaks(questions)
    trials = trace(questions, engine, progress)
    open_ones = [q.id for q, t in zip(questions, trials, strict=True) if t.scope is None]
    if open_ones:
        raise InputError(f"question {open_ones[0]!r} is not a yes/no question, which the wrong-answer risk needs")
    outcomes = outcomes_of(questions, trials)
    groups = [q.group for q in questions]
    found = certify(outcomes, groups, alpha, delta, thresholds=TAUS, control=control, seed=seed)
    policy = found.policy
    certificate = StoredCertificate(
        alpha=alpha,
        delta=delta,
        k=policy.k if policy else None,
        gamma=policy.gamma if policy else None,
        tau=policy.tau if policy else None,
        n=found.groups,
        coverage=found.coverage,
        observed_risk=found.risk,
        risk_interval=found.interval,
        scope=tuple(sorted({t.scope for t in trials if t.scope})),
        fingerprints=engine.fingerprints,
        why=found.why,
    )
    certificate.save(engine.store.path)
    return Calibration(found, certificate, len(questions), len(set(groups)), _curve(outcomes, found))


def calibrate_contexts(
    questions: Sequence[Labelled],
    engine: Engine,
    progress: Progress,
    *,
    alpha: float,
    delta: float | None,
    seed: int = 0,
) -> EvidenceRisk:
    """How many contexts keep the share of questions whose evidence is missed at most alpha: for retrieval alone.

    Raises:
        InputError: a question names no evidence, or as :func:`~rag.selection.evidence_risk.certify_contexts`.
    """
    _refuse_leaks(questions)
    if unlabelled := [q.id for q in questions if not q.evidence]:
        raise InputError(f"question {unlabelled[0]!r} has no 'evidence': name the documents that support its answer")
    trials = trace(questions, engine, progress)
    ranks = [
        next((rank for rank, d in enumerate(t.documents, start=1) if d in q.evidence), float("inf"))
        for q, t in zip(questions, trials, strict=True)
    ]
    return certify_contexts(ranks, [q.group for q in questions], alpha, max(k for k, _ in SETTINGS), delta, seed)


def outcomes_of(questions: Sequence[Labelled], trials: Sequence[Trial]) -> Outcomes:
    """Trials and right answers as arrays."""
    verdicts = np.array([[v or "" for v, _ in t.outcomes] for t in trials])
    gold = np.array([q.answer for q in questions])
    confidence = np.array([[np.nan if c is None else c for _, c in t.outcomes] for t in trials], dtype=np.float64)
    return Outcomes(tuple(q.id for q in questions), SETTINGS, verdicts == gold[:, None], confidence)


def _refuse_leaks(questions: Sequence[Labelled]) -> None:
    for q in questions:
        if q.question.image and not q.question.study and not q.question.exclude_groups:
            raise InputError(f"question {q.id!r} has an image and no 'group': its own patient could be its evidence")


def trace(questions: Sequence[Labelled], engine: Engine, progress: Progress) -> list[Trial]:
    """Every question under every setting, from the cache where it was asked before of the same system."""
    state = json.dumps([engine.fingerprints, SETTINGS], sort_keys=True)
    folder = engine.store.path / TRACES
    folder.mkdir(exist_ok=True)
    path = folder / f"{sha256_of(state)[:16]}.jsonl"
    known = _read_traces(path)
    keys = [sha256_of(q.question.model_dump_json()) for q in questions]
    missing = [(key, q) for key, q in zip(keys, questions, strict=True) if key not in known]
    advance = progress.stage("tracing", len(questions))
    advance(len(questions) - len(missing))
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with open(descriptor, "a", encoding="utf-8") as stream:  # noqa: PTH123 - with the mode of the descriptor
        for i in range(0, len(missing), _BATCH):
            batch = missing[i : i + _BATCH]
            for (key, _), trial in zip(batch, engine.outcomes([q.question for _, q in batch], SETTINGS), strict=True):
                known[key] = trial
                stream.write(json.dumps({"key": key, **trial._asdict()}) + "\n")
            stream.flush()
            advance(len(batch))
    return [known[key] for key in keys]


def _read_traces(path: Path) -> dict[str, Trial]:
    """Complete lines of the cache; a line cut off by a crash is asked again."""
    known: dict[str, Trial] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                outcomes = tuple((verdict, confidence) for verdict, confidence in row["outcomes"])
                known[row["key"]] = Trial(row["scope"], outcomes, tuple(row["documents"]))
            except (ValueError, KeyError, TypeError):
                continue
    return known


def _curve(outcomes: Outcomes, found: Certification) -> tuple[tuple[float, float, float], ...]:
    """(tau, coverage, risk) at the chosen setting; at the widest one where nothing was certified."""
    setting = (found.policy.k, found.policy.gamma) if found.policy else SETTINGS[-1]
    column = SETTINGS.index(setting)
    confidence, correct = outcomes.confidence[:, column], outcomes.correct[:, column]
    rows = []
    for tau in TAUS:
        answered = confidence >= tau
        n = int(answered.sum())
        rows.append((tau, n / len(confidence), float((answered & ~correct).sum() / n) if n else 0.0))
    return tuple(rows)


def plot(calibration: Calibration, path: Path) -> None:
    """The risk-coverage curve as a PNG, and its numbers as CSV beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [(c, r, t) for t, c, r in calibration.curve if c > 0]
    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot([c for c, _, _ in rows], [r for _, r, _ in rows], marker="o", label="empirical risk, all questions")
    alpha = calibration.certificate.alpha
    axes.axhline(alpha, linestyle="--", color="tab:red", label=f"alpha = {alpha:g}")
    axes.set_xlabel("coverage: share of questions answered")
    axes.set_ylabel("risk: share of answers that are wrong")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    lines = ["tau,coverage,risk", *(f"{t},{c:.6f},{r:.6f}" for t, c, r in calibration.curve)]
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
