"""Journey C: labelled questions become a certificate.

questions → traces (one search each, every setting) → outcomes of every policy → strata of domains → p-values →
family-wise control → the certified policy of highest coverage, saved with the fingerprints of everything it depends on

A trace is one search at the widest setting and one run of the generator for each number of contexts that the settings
(k, gamma) lead to; thresholds of confidence and of the router's probability are derived from it without asking again.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.corpus.images import check_image
from rag.engine import Engine
from rag.errors import InputError
from rag.evaluation.questions import Labelled
from rag.progress import Progress
from rag.selection.certificate import Part, StoredCertificate
from rag.selection.certify import (
    CONTROLS,
    LEARNING_SHARE,
    Certification,
    Control,
    certify,
    check_enough,
    learning_rows,
)
from rag.selection.clusters import Groups
from rag.selection.confidence import Combiner, Signals
from rag.selection.drift import SCORES, Reference
from rag.selection.evidence_risk import EvidenceRisk, certify_contexts
from rag.selection.planning import check_levels, groups_needed
from rag.selection.policy import COMBINED_TAUS, ROUTES, SETTINGS, TAUS, Outcomes, Policy
from rag.selection.strata import Stratum, strata
from rag.types import Domain, sha256_of
from rag.workings import Said, Trial

TRACES = "traces"
_BATCH = 32
_TRACE_FORMAT = 3


@dataclass(frozen=True)
class CalibratedPart:
    """One part of the certificate: its statistics, and its risk-coverage curve over thresholds.

    ``curve`` holds (tau, coverage, risk) at the chosen setting, over all questions of the domains.
    """

    domains: Stratum
    questions: int
    groups: int
    certification: Certification
    curve: tuple[tuple[float, float, float], ...]

    def report(self) -> list[str]:
        c = self.certification
        low, high = c.interval
        risk = "nothing answered" if c.risk is None else f"{c.risk:.1%} (95% interval {low:.1%} to {high:.1%})"
        lines = [
            f"{', '.join(self.domains)}: {self.questions} questions in {self.groups} groups; "
            f"{c.learning_groups} groups ordered the policies, {c.groups} tested them",
            c.why,
            f"coverage {c.coverage:.1%}, risk among answers {risk}, effective n {c.effective_n:.0f}; "
            f"{len(c.accepted)} of {c.policies} policies certified ({c.bound} bound, {c.control})",
            f"with {2 * self.groups} groups and the same risk, alpha = {c.alpha_with(2 * self.groups):.3f} "
            "would be certified about every other time",
        ]
        if c.policy is None:
            needed = c.groups_for(c.alpha)
            lines.append(
                f"at this risk alpha = {c.alpha:g} is out of reach with any number of groups"
                if needed is None
                else f"at this risk alpha = {c.alpha:g} would take about {needed} groups, for even odds"
            )
        return lines


@dataclass(frozen=True)
class Calibration:
    """The outcome of a calibration, and what was saved.

    ``parts`` are in the order of the certificate's. ``outside`` counts questions that the router found out of domain:
    the certificate is not about such questions. ``uncovered`` are domains with too few groups: (name, how many they
    have, how many a certificate of their own would need beside the others).
    """

    parts: tuple[CalibratedPart, ...]
    certificate: StoredCertificate
    questions: int
    groups: int
    outside: int
    uncovered: tuple[tuple[str, int, int], ...]

    def report(self) -> str:
        """A few honest lines."""
        lines = [line for part in self.parts for line in (*part.report(), "")]
        certificate = self.certificate
        if len(self.parts) > 1:
            share = certificate.parts[0].delta
            lines.append(
                f"{len(self.parts)} certificates share delta = {certificate.delta:g}, {share:.3g} each: all hold at "
                f"once with probability at least {1 - certificate.delta:g}"
            )
        for domain, groups, needed in self.uncovered:
            lines.append(f"{domain}: no certificate, {groups} groups are too few; its own would need at least {needed}")
        if self.outside:
            lines.append(f"{self.outside} of {self.questions} questions are out of domain and outside the guarantee")
        lines.append(f"covers yes/no questions about: {', '.join(certificate.scope)}")
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
    pooled: bool = False,
    allow_perfect: bool = False,
    combine: bool = False,
) -> Calibration:
    """Certify a policy for each domain on labelled yes/no questions and save the certificate beside the index.

    Domains are those that the router names. Each with enough groups has a certificate of its own, and all share delta:
    see :mod:`rag.selection.strata`. ``pooled`` makes one for all of them with the whole delta instead, true on average
    over domains mixed as in these questions; choose before seeing a result.

    Traces are kept in the index's folder: an interrupted calibration goes on where it stopped, and another alpha or
    delta costs no new answers. They hold hashes of questions, verdicts, scores, domains and document ids, and no text.

    Args:
        questions: with right answers, one group each.
        engine: answers from the index that the certificate will belong to.
        progress: told of questions traced.
        alpha: tolerated share of wrong answers in (0, 1).
        delta: tolerated probability that any part of the promise is broken, in (0, 1).
        control: family-wise control over the grid of policies.
        seed: of the split into ordering and testing groups.
        pooled: one certificate for all domains.
        allow_perfect: labels on which every answer is right were made independently of the answers.
        combine: weigh signals by what the ordering groups teach, in place of their product; see
            :mod:`rag.selection.confidence`. Choose before seeing a result.

    Raises:
        InputError: as :func:`~rag.selection.certify.certify`; or an image question's own patient could be its evidence;
            or a question is not a yes/no question; or all answers are wrong, or (unless allowed) right.
    """
    check_levels(alpha, delta)
    if control not in CONTROLS:
        raise InputError(f"there is no control {control!r}; choose one of: {', '.join(CONTROLS)}")
    if combine and control != "fixed-sequence":
        raise InputError(f"signals are weighed on the ordering groups, and the control {control!r} has none")
    tests = 1 if control == "fixed-sequence" else len(SETTINGS) * len(TAUS) * len(ROUTES)
    share = LEARNING_SHARE if control == "fixed-sequence" else 0.0
    check_enough(len({q.group for q in questions}), alpha, delta, tests, share)
    _refuse_leaks(questions, engine)
    trials = trace(questions, engine, progress)
    open_ones = [q.id for q, t in zip(questions, trials, strict=True) if t.scope is None]
    if open_ones:
        raise InputError(f"question {open_ones[0]!r} is not a yes/no question, which the wrong-answer risk needs")
    outcomes = outcomes_of(questions, trials)
    outcomes.check_labels(allow_perfect)

    inside: dict[str, list[int]] = defaultdict(list)
    for row, trial in enumerate(trials):
        if not trial.domain.out_of_domain:
            inside[trial.domain.name].append(row)
    names = [q.group for q in questions]
    groups = {domain: {names[row] for row in rows} for domain, rows in inside.items()}
    covered = (tuple(sorted(groups)),) if pooled else strata(groups, alpha, delta, tests, share)
    if not covered or not groups:
        check_enough(len(set().union(*groups.values())), alpha, delta, tests, share)
    each = delta / len(covered)
    parts, stored = [], []
    for domains in covered:
        rows = np.array(sorted(row for d in domains for row in inside[d]), dtype=np.int64)
        some, of = outcomes.take(rows), [names[row] for row in rows]
        combiner, taus = None, TAUS
        if combine:
            signals = np.array([[said.signals for said in trials[row].outcomes] for row in rows], dtype=np.float64)
            combiner, taus = _combiner(some, signals, of, seed), COMBINED_TAUS
            some = replace(some, confidence=np.where(np.isnan(some.confidence), np.nan, combiner.all(signals).round(4)))
        found = certify(some, of, alpha, each, thresholds=taus, routes=ROUTES, control=control, seed=seed)
        parts.append(CalibratedPart(domains, len(rows), len(set(of)), found, _curve(some, found, taus)))
        scores = _references([trials[row] for row in rows], of, found, seed, combiner)
        stored.append(_part(domains, each, found, scores, combiner))
    certificate = StoredCertificate(
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        alpha=alpha,
        delta=delta,
        scope=tuple(sorted({t.scope for t in trials if t.scope and not t.domain.out_of_domain})),
        fingerprints=engine.fingerprints,
        parts=tuple(stored),
    )
    certificate.save(engine.store.path)
    left = sorted(groups.keys() - {d for domains in covered for d in domains})
    needed = groups_needed(alpha, delta / (len(covered) + 1), tests, share)
    uncovered = tuple((d, len(groups[d]), needed) for d in left)
    outside = len(questions) - sum(map(len, inside.values()))
    return Calibration(tuple(parts), certificate, len(questions), len(set(names)), outside, uncovered)


def _combiner(outcomes: Outcomes, signals: NDArray[np.float64], groups: Sequence[str], seed: int) -> Combiner:
    """Learned from the answers, under all settings, of the groups that also order the policies, and of no others.

    ``signals`` has shape (questions, settings, 4). Groups weigh alike, however many questions and answers they have.
    """
    rows = learning_rows(groups, seed)
    sizes = Counter(groups[row] for row in rows)
    share = np.array([1 / (sizes[groups[row]] * len(outcomes.settings)) for row in rows])
    answered = ~np.isnan(outcomes.confidence[rows])
    if not answered.any():
        raise InputError(
            "none of the ordering groups' questions has an answer, so there is nothing to weigh signals by"
        )
    weight = np.broadcast_to(share[:, None], answered.shape)[answered]
    return Combiner.fit(signals[rows][answered], outcomes.correct[rows][answered], weight)


def _part(
    domains: Stratum, delta: float, found: Certification, scores: dict[str, Reference], combiner: Combiner | None
) -> Part:
    policy = found.policy
    return Part(
        domains=domains,
        delta=delta,
        k=policy.k if policy else None,
        gamma=policy.gamma if policy else None,
        tau=policy.tau if policy else None,
        rho=policy.rho if policy else None,
        n=found.groups,
        coverage=found.coverage,
        observed_risk=found.risk,
        risk_interval=found.interval,
        why=found.why if len(domains) == 1 else f"{found.why}, on average over {', '.join(domains)}",
        combiner=combiner,
        scores=scores,
    )


def _references(
    trials: Sequence[Trial], groups: Sequence[str], found: Certification, seed: int, combiner: Combiner | None
) -> dict[str, Reference]:
    """What is kept of the calibration's scores under the certified policy: one question a group, for independence."""
    if found.policy is None:
        return {}
    column = SETTINGS.index((found.policy.k, found.policy.gamma))
    some = [trials[row] for row in Groups.from_ids(groups).one_each(seed)]

    def confidence(said: Said) -> float:
        return said.confidence if combiner is None or said.verdict is None else round(combiner(said.signals), 4)

    said = [(t.outcomes[column], t.domain.probability) for t in some]
    rows = [(confidence(s), s.signals.similarity, route) for s, route in said]
    return {name: Reference.of(values) for name, values in zip(SCORES, zip(*rows, strict=True), strict=True)}


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
    _refuse_leaks(questions, engine)
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
    verdicts = np.array([[s.verdict or "" for s in t.outcomes] for t in trials])
    gold = np.array([q.answer for q in questions])
    spoken = [[np.nan if s.verdict is None else s.confidence for s in t.outcomes] for t in trials]
    route = np.array([t.domain.probability for t in trials], dtype=np.float64)
    ids = tuple(q.id for q in questions)
    return Outcomes(ids, SETTINGS, verdicts == gold[:, None], np.array(spoken, dtype=np.float64), route)


def _refuse_leaks(questions: Sequence[Labelled], engine: Engine) -> None:
    """Refuse image questions that could be answered from their own case; one about a named study may read its report.

    The same picture under another group's name is found by its hash.
    """
    asked = [(q, q.question.image) for q in questions if q.question.image and not q.question.study]
    for q, _ in asked:
        if not q.question.exclude_groups:
            raise InputError(f"question {q.id!r} has an image and no 'group': its own patient could be its evidence")
    if asked:
        with engine.store.snapshot() as snapshot:
            held = {d.image_sha256: d for d in snapshot.documents("image")}
        for q, image in asked:
            own = held.get(check_image(Path(image or "")).sha256)
            if own is not None and own.group_id not in q.question.exclude_groups:
                raise InputError(
                    f"question {q.id!r} asks about an image that the index holds as {own.id!r} of group "
                    f"{own.group_id!r}, which its own 'group' does not exclude: give it that group"
                )


def trace(questions: Sequence[Labelled], engine: Engine, progress: Progress) -> list[Trial]:
    """Every question under every setting, from the cache where it was asked before of the same system."""
    system = {name: value for name, value in engine.fingerprints.items() if name != "policy grid"}
    state = json.dumps([_TRACE_FORMAT, system, SETTINGS], sort_keys=True)
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
                row = {"key": key, **trial._asdict(), "domain": trial.domain.model_dump()}
                stream.write(json.dumps(row) + "\n")
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
                outcomes = tuple(Said(verdict, c, Signals(*signals)) for verdict, c, signals in row["outcomes"])
                domain = Domain.model_validate(row["domain"])
                known[row["key"]] = Trial(row["scope"], domain, outcomes, tuple(row["documents"]))
            except (ValueError, KeyError, TypeError):
                continue
    return known


def _curve(outcomes: Outcomes, found: Certification, taus: Sequence[float]) -> tuple[tuple[float, float, float], ...]:
    """(tau, coverage, risk) at the chosen setting; at the widest one where nothing was certified."""
    policy = found.policy or Policy(*SETTINGS[-1], 0.0)
    column = SETTINGS.index((policy.k, policy.gamma))
    confidence, correct = outcomes.confidence[:, column], outcomes.correct[:, column]
    rows = []
    for tau in taus:
        answered = (confidence >= tau) & (outcomes.route >= policy.rho)
        n = int(answered.sum())
        rows.append((tau, n / len(confidence), float((answered & ~correct).sum() / n) if n else 0.0))
    return tuple(rows)


def plot(calibration: Calibration, path: Path) -> None:
    """The risk-coverage curve of each part as a PNG, and the numbers as CSV beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    lines = ["domains,tau,coverage,risk"]
    for part in calibration.parts:
        rows = [(c, r) for _, c, r in part.curve if c > 0]
        axes.plot([c for c, _ in rows], [r for _, r in rows], marker="o", label=f"{', '.join(part.domains)}: observed")
        lines += [f"{' '.join(part.domains)},{t},{c:.6f},{r:.6f}" for t, c, r in part.curve]
    alpha = calibration.certificate.alpha
    axes.axhline(alpha, linestyle="--", color="tab:red", label=f"alpha = {alpha:g}")
    axes.set_xlabel("coverage: share of questions answered")
    axes.set_ylabel("risk: share of answers that are wrong")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
