"""Journey C: labelled questions become a certificate.

questions → traces (one search each, every setting) → outcomes of every policy → strata of domains → p-values →
family-wise control → the certified policy of highest coverage, saved with the fingerprints of everything it depends on
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from rag.answering.certificate import CertificatePart, StoredCertificate, load_certificate
from rag.answering.confidence import Combiner
from rag.answering.engine import Engine
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import ImageEffects
from rag.calibration.blind import silence_blind
from rag.calibration.leaks import refuse_leaks, refuse_seen
from rag.calibration.outcome import CalibratedPart, Calibration, risk_coverage
from rag.calibration.risks import MissedEvidence, WrongAnswer, find_risk
from rag.calibration.traces import trace
from rag.calibration.trials import Said, Trial
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion, Questions, labelled_rows
from rag.evaluation.sight import measure_sight
from rag.language.forms import FORMS, Form
from rag.language.question import read_question
from rag.progress import Progress, Silent
from rag.risk_control.clusters import Groups
from rag.risk_control.drift import SCORES, Reference
from rag.risk_control.evidence_risk import Ranks, certify_contexts
from rag.risk_control.planning import check_levels, groups_needed
from rag.risk_control.policy import COMBINED_TAUS, ROUTES, SETTINGS, TAUS, Outcomes
from rag.risk_control.procedure import Certification, Control, Procedure, certify, check_enough, learning_rows
from rag.risk_control.strata import Stratum, strata


@dataclass(frozen=True)
class CalibrationPlan:
    """How a certificate is computed, besides its levels. Choose before seeing a result.

    >>> plan = CalibrationPlan(pooled=True)
    >>> plan.control, plan.seed
    ('fixed-sequence', 0)

    Attributes:
        control: family-wise control over the grid of policies.
        seed: of the split into ordering and testing groups.
        pooled: one certificate for all domains with the whole delta, true on average over domains mixed as in these
            questions; without it each domain with enough groups has its own, and all share delta.
        allow_perfect: labels on which every answer is right were made independently of the answers.
        combine: weigh signals by what the ordering groups teach, in place of their product; see
            :mod:`rag.answering.confidence`.
        risk: what counts as a loss of an answer: a name or dotted path; see :mod:`rag.calibration.risks`.

    Raises:
        InputError: an unknown control, or one without ordering groups to weigh signals on.
    """

    control: Control = "fixed-sequence"
    seed: int = 0
    pooled: bool = False
    allow_perfect: bool = False
    combine: bool = False
    risk: str = "wrong-answer"

    def __post_init__(self) -> None:
        sequence = self.procedure.sequence  # the procedure refuses a control that there is not
        if self.combine and not sequence:
            raise InputError(f"signals are weighed on the ordering groups, and the control {self.control!r} has none")

    @property
    def procedure(self) -> Procedure:
        """How the policies of one part are tested."""
        taus = COMBINED_TAUS if self.combine else TAUS
        return Procedure(taus, ROUTES, control=self.control, seed=self.seed)


def calibrate(
    engine: Engine,
    questions: Questions,
    *,
    alpha: float = 0.1,
    delta: float = 0.05,
    plan: CalibrationPlan | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Certify a policy for each domain on labelled yes/no questions and save the certificate beside the index.

    Domains are those that the router names; see :mod:`rag.risk_control.strata` for how they share delta.

    Traces are kept in the index's folder: an interrupted calibration goes on where it stopped, and another alpha or
    delta costs no new answers. They hold hashes of questions, verdicts, scores, domains and document ids, and no text.

    >>> result = calibrate(engine, "questions.jsonl", alpha=0.1, delta=0.05)                # doctest: +SKIP
    >>> print(result.report())                                                              # doctest: +SKIP
    >>> engine.ask("Does study CXR1 show a pleural effusion?").certificate.status           # doctest: +SKIP

    Args:
        engine: answers from the index that the certificate will belong to.
        questions: with right answers, one group each: a JSONL file, or what ``synthesize`` or ``read_yes_no`` give.
        alpha: tolerated share of wrong answers in (0, 1).
        delta: tolerated probability that any part of the promise is broken, in (0, 1).
        plan: everything else that must be chosen before.
        progress: told of questions traced.

    Raises:
        InputError: as :func:`~rag.risk_control.procedure.certify`; or an image question's patient could be evidence;
            or a question is not a yes/no question; or all answers are wrong, or (unless allowed) right.
    """
    how, questions = plan or CalibrationPlan(), labelled_rows(questions)
    risk = find_risk(how.risk, "answers")
    procedure = how.procedure
    tests, share = procedure.tests(len(SETTINGS)), procedure.share
    check_levels(alpha, delta)
    check_enough(len({q.group for q in questions}), alpha, delta, tests, share)
    refuse_leaks(questions, engine)
    refuse_seen(questions, engine)
    effects = _look(questions, engine, how, progress or Silent())
    trials = silence_blind(
        questions, trace(questions, engine, progress or Silent()), engine.pipeline().lexicon, effects
    )
    outcomes = risk.losses(questions, trials)
    assert isinstance(outcomes, Outcomes), "a risk about answers has outcomes"
    outcomes.check_labels(how.allow_perfect)

    inside: dict[str, list[int]] = defaultdict(list)
    for row, trial in enumerate(trials):
        if not trial.domain.out_of_domain:
            inside[trial.domain.name].append(row)
    names = [q.group for q in questions]
    groups = {domain: {names[row] for row in rows} for domain, rows in inside.items()}
    covered = (tuple(sorted(groups)),) if how.pooled else strata(groups, alpha, delta, tests, share)
    if not covered or not groups:
        check_enough(len(set().union(*groups.values())), alpha, delta, tests, share)
    each = delta / len(covered)
    parts, stored = [], []
    for domains in covered:
        rows = np.array(sorted(row for d in domains for row in inside[d]), dtype=np.int64)
        some, of = outcomes.take(rows), [names[row] for row in rows]
        combiner = None
        if how.combine:
            signals = np.array([[said.signals for said in trials[row].outcomes] for row in rows], dtype=np.float64)
            combiner = _combiner(some, signals, of, how.seed)
            some = replace(some, confidence=np.where(np.isnan(some.confidence), np.nan, combiner.all(signals).round(4)))
        found = certify(some, of, alpha, each, procedure)
        curve = risk_coverage(some, found, procedure.thresholds)
        parts.append(CalibratedPart(domains, len(rows), len(set(of)), found, curve))
        scores = _references([trials[row] for row in rows], of, found, how.seed, combiner)
        stored.append(_part(domains, each, found, scores, combiner))
    certificate = StoredCertificate(
        format=3 if risk.name == WrongAnswer.name else 4,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        risk=risk.name,
        alpha=alpha,
        delta=delta,
        scope=tuple(sorted({t.scope for t in trials if t.scope and not t.domain.out_of_domain})),
        forms=_forms(questions, engine),
        fingerprints=engine.fingerprints,
        parts=tuple(stored),
    )
    before = load_certificate(engine.store.path)
    holds = before is not None and before.promises and before.fingerprints == certificate.fingerprints
    saved = certificate.promises or not holds  # a calibration that fails takes no certificate away that holds
    if saved:
        certificate.save(engine.store.path)
    left = sorted(groups.keys() - {d for domains in covered for d in domains})
    needed = groups_needed(alpha, delta / (len(covered) + 1), tests, share)
    uncovered = tuple((d, len(groups[d]), needed) for d in left)
    outside = len(questions) - sum(map(len, inside.values()))
    return Calibration(
        tuple(parts),
        certificate,
        len(questions),
        len(set(names)),
        outside,
        uncovered,
        saved,
        effects.effects if effects else (),
    )


def _look(
    questions: Sequence[LabelledQuestion], engine: Engine, plan: CalibrationPlan, progress: Progress
) -> ImageEffects | None:
    """Whether answers about images depend on them, measured and saved; None where no question is about an image.

    Where a control has ordering groups they alone are asked, so that the groups of the test decide nothing.
    """
    rows = range(len(questions))
    if plan.procedure.sequence:
        rows = learning_rows([q.group for q in questions], plan.seed).tolist()
    about = [questions[row] for row in rows if questions[row].question.image and not questions[row].question.study]
    if not about:
        return engine.pipeline().image_effects
    effects = measure_sight(about, engine, progress, seed=plan.seed, measured_on="questions of a calibration")
    effects.save(engine.store.path)
    engine.refresh()
    return effects


_FORM_GROUPS = 30  # patients or articles whose question asks for a thing before it counts as tested …
_FORM_SHARE = 3  # … or, in a calibration too small for that, one in so many of them


def _forms(questions: Sequence[LabelledQuestion], engine: Engine) -> tuple[Form, ...]:
    """What enough groups ask for."""
    lexicon = engine.pipeline().lexicon
    asked = {(read_question(q.question.text, lexicon, q.question.study).form, q.group) for q in questions}
    counts = Counter(form for form, _ in asked)
    enough = min(_FORM_GROUPS, -(-len({q.group for q in questions}) // _FORM_SHARE))
    return tuple(form for form in FORMS if counts[form] >= enough)


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
) -> CertificatePart:
    policy = found.policy
    return CertificatePart(
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
    engine: Engine,
    questions: Questions,
    *,
    alpha: float = 0.1,
    delta: float | None = 0.05,
    plan: CalibrationPlan | None = None,
    progress: Progress | None = None,
) -> EvidenceCertificate:
    """Certify how many contexts keep the share of questions whose evidence is missed at most alpha, and save it.

    From then on every answer has at least so many contexts, where so many are found. That changes what a certificate
    about wrong answers was computed on, so compute this one first.

    >>> certificate = calibrate_contexts(engine, "questions.jsonl", alpha=0.1)              # doctest: +SKIP
    >>> certificate.k, certificate.why                                                      # doctest: +SKIP
    >>> engine.ask("Does study CXR1 show a pleural effusion?").selection.promise            # doctest: +SKIP

    Args:
        engine: searches the index that the certificate will belong to.
        questions: with the ids of documents that support their answers as ``evidence``.
        alpha: tolerated share of missed evidence in (0, 1).
        delta: tolerated probability that the promise is broken, in (0, 1); None for a promise in expectation.
        plan: its ``risk`` and ``seed`` are used; the risk is missed-evidence unless given.
        progress: told of questions traced.

    Raises:
        InputError: a question names no evidence, or as :func:`~rag.risk_control.evidence_risk.certify_contexts`.
    """
    how, questions = plan or CalibrationPlan(risk=MissedEvidence.name), labelled_rows(questions)
    risk = find_risk(how.risk, "evidence")
    refuse_leaks(questions, engine)
    pipeline = engine.pipeline()
    trials = trace(questions, engine, progress or Silent())
    ranks = risk.losses(questions, trials)
    assert isinstance(ranks, Ranks), "a risk about evidence has ranks"
    inside = [row for row, t in enumerate(trials) if t.scope is not None and not t.domain.out_of_domain]
    groups = [questions[row].group for row in inside]
    most = max(k for k, _ in SETTINGS)
    found = certify_contexts([ranks.first[row] for row in inside], groups, alpha, most, delta, how.seed)
    certificate = EvidenceCertificate(
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        risk=risk.name,
        alpha=alpha,
        delta=delta,
        k=found.k,
        n=found.groups,
        risks=found.risks,
        scope=tuple(sorted({scope for row in inside if (scope := trials[row].scope)})),
        domains=tuple(sorted({trials[row].domain.name for row in inside})),
        fingerprints=pipeline.finding_fingerprints,
        why=found.why,
    )
    certificate.save(engine.store.path)
    return certificate
