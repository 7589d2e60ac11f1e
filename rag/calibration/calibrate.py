"""Journey C: labelled questions become a certificate.

questions → traces (one search each, every setting) → outcomes of every policy → strata of domains → p-values →
family-wise control → the certified policy of highest coverage, saved with the fingerprints of everything it depends on
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from rag.answering.certificate import FORMAT, StoredCertificate
from rag.answering.engine import Engine
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import ImageEffects
from rag.calibration.blind import silence_blind
from rag.calibration.division import Division
from rag.calibration.leaks import refuse_leaks, refuse_seen
from rag.calibration.outcome import Calibration
from rag.calibration.parts import certify_part
from rag.calibration.plan import CalibrationPlan, Level
from rag.calibration.risks import MissedEvidence, find_risk
from rag.calibration.traces import trace
from rag.evaluation.questions import LabelledQuestion, Questions, labelled_rows
from rag.evaluation.sight import measure_sight
from rag.progress import Progress, Silent
from rag.risk_control.evidence_risk import Ranks, certify_contexts
from rag.risk_control.planning import check_levels, groups_needed
from rag.risk_control.policy import SETTINGS, Outcomes
from rag.risk_control.procedure import check_enough, learning_rows
from rag.risk_control.strata import strata


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
    tests, share = how.procedure.tests(len(SETTINGS)), how.procedure.share
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

    division = Division.of(questions, trials, outcomes, how.procedure)
    cells = division.cells(by_form=how.per == "form")
    groups = {cell: division.groups_of(rows) for cell, rows in cells.items()}
    whole = (tuple(sorted(groups)),) if groups else ()
    covered = whole if how.per == "all" else strata(groups, alpha, delta, tests, share, rest=how.per != "form")
    if not covered:
        check_enough(len(set().union(*groups.values())), alpha, delta, tests, share)
    parts = [
        certify_part(division, about, np.array(sorted(row for cell in about for row in cells[cell])), level, how)
        for about in covered
        for level in [Level(alpha, delta / len(covered))]
    ]
    certificate = StoredCertificate(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        risk=risk.name,
        alpha=alpha,
        delta=delta,
        scope=tuple(sorted({t.scope for t in trials if t.scope and not t.domain.out_of_domain})),
        forms=division.forms,
        familiar=division.familiar,
        fingerprints=engine.fingerprints,
        parts=tuple(part for _, part in parts),
    )
    before = StoredCertificate.load(engine.store.path)
    holds = before is not None and before.promises and before.fingerprints == certificate.fingerprints
    saved = certificate.promises or not holds  # a calibration that fails takes no certificate away that holds
    if saved:
        certificate.save(engine.store.path)
    left = sorted(groups.keys() - {cell for about in covered for cell in about})
    needed = groups_needed(alpha, delta / (len(covered) + 1), tests, share)
    uncovered = tuple((" in ".join(reversed(cell)), len(groups[cell]), needed) for cell in left)
    return Calibration(
        parts=tuple(part for part, _ in parts),
        certificate=certificate,
        questions=len(questions),
        groups=len(set(division.groups)),
        outside=division.outside,
        unlike=division.unlike,
        uncovered=uncovered,
        saved=saved,
        image_effects=effects.effects if effects else (),
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
    effects = effects.over(engine.pipeline().image_effects)
    effects.save(engine.store.path)
    engine.refresh()
    return effects


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
