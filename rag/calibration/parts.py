"""One part of a certificate: weights are learned, policies tested, and what was seen is described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rag.answering.certificate import CertificatePart, Tested
from rag.answering.confidence import Combiner
from rag.calibration.division import Cell, Division, Rows
from rag.calibration.outcome import CalibratedPart, risk_coverage
from rag.calibration.plan import CalibrationPlan, Level
from rag.risk_control.bounds import clopper_pearson
from rag.risk_control.clusters import Groups, estimate
from rag.risk_control.drift import SCORES, Reference
from rag.risk_control.policy import SETTINGS, Outcomes
from rag.risk_control.procedure import Certification, certify


def certify_part(
    division: Division, about: Sequence[Cell], rows: Rows, level: Level, how: CalibrationPlan
) -> tuple[CalibratedPart, CertificatePart]:
    """The statistics of one part, and what is stored of it.

    Args:
        division: all questions.
        about: the domains, or forms in domains, of this part.
        rows: the questions of these.
        level: of this part.
        how: the plan.
    """
    domains = tuple(dict.fromkeys(cell[0] for cell in about))
    some, groups = division.outcomes.take(rows), [division.groups[row] for row in rows]
    combiner = _combiner(division, domains) if how.weighs else None
    if combiner is not None:
        some = replace(some, confidence=_combined(division, rows, combiner))
    found = certify(some, groups, level.alpha, level.delta, how.procedure, division.learning)
    by_form, silence = _seen(division, rows, some, found)
    part = CertificatePart(
        domains=domains,
        forms=tuple(dict.fromkeys(cell[1] for cell in about if len(cell) > 1)),
        delta=level.delta,
        k=found.policy.k if found.policy else None,
        gamma=found.policy.gamma if found.policy else None,
        tau=found.policy.tau if found.policy else None,
        rho=found.policy.rho if found.policy else None,
        n=found.groups,
        coverage=found.coverage,
        observed_risk=found.risk,
        risk_interval=found.interval,
        why=found.why if len(domains) == 1 else f"{found.why}, on average over {', '.join(domains)}",
        combiner=combiner,
        by_form=by_form,
        silence=silence,
        scores=_references(division, rows, some, found, how.seed),
    )
    curve = risk_coverage(some, found, how.procedure.thresholds)
    return CalibratedPart(part.about, len(rows), len(set(groups)), found, curve, by_form, silence), part


def _combiner(division: Division, domains: Sequence[str]) -> Combiner | None:
    """Learned from the answers, under all settings, of the groups that also order the policies, and of no others; None
    where they have none.

    Groups weigh alike, however many questions and answers they have.
    """
    rows = division.teaching(domains)
    sizes = Counter(division.groups[row] for row in rows)
    outcomes = division.outcomes.take(rows)
    answered = ~np.isnan(outcomes.confidence)
    if not answered.any():
        return None
    share = np.array([1 / (sizes[division.groups[row]] * len(outcomes.settings)) for row in rows])
    weight = np.broadcast_to(share[:, None], answered.shape)[answered]
    forms = np.broadcast_to(np.array([division.trials[row].form for row in rows])[:, None], answered.shape)[answered]
    return Combiner.fit(_signals(division, rows)[answered], outcomes.correct[answered], weight, forms.tolist())


def _signals(division: Division, rows: Rows) -> NDArray[np.float64]:
    """Shape (questions, settings, signals)."""
    return np.array([[said.signals for said in division.trials[row].outcomes] for row in rows], dtype=np.float64)


def _combined(division: Division, rows: Rows, combiner: Combiner) -> NDArray[np.float64]:
    """The combined confidence of each answer, rounded as answers round it; NaN where there is none."""
    values = combiner.all(_signals(division, rows), [division.trials[row].form for row in rows]).round(4)
    return np.where(np.isnan(division.outcomes.confidence[rows]), np.nan, values)


def _seen(
    division: Division, rows: Rows, some: Outcomes, found: Certification
) -> tuple[Mapping[str, Tested], Tested | None]:
    """What the tested questions of each form came to under the policy, and those that the report does not mention."""
    policy = found.policy or found.candidate
    column = SETTINGS.index((policy.k, policy.gamma))
    answered = (some.confidence[:, column] >= policy.tau) & (some.route >= policy.rho)
    wrong = answered & ~some.correct[:, column]
    testing = set(division.testing(rows).tolist())

    def tested(at: Sequence[int]) -> Tested:
        named = Groups.from_ids([division.groups[rows[i]] for i in at])
        seen = estimate(answered[at][:, None], wrong[at][:, None], named)
        n, risk = float(seen.effective_n[0]), float(seen.risk[0]) if seen.answers[0] else None
        low, high = clopper_pearson(n * (risk or 0.0), n)
        interval = (float(low), float(high))
        return Tested(
            questions=len(at), groups=len(named), coverage=float(seen.coverage[0]), risk=risk, interval=interval
        )

    at = [i for i, row in enumerate(rows) if int(row) in testing]
    forms = {form: [i for i in at if division.trials[rows[i]].form == form] for form in division.forms}
    silent = [i for i in at if division.trials[rows[i]].outcomes[column].silent and answered[i]]
    return {form: tested(some) for form, some in forms.items() if some}, tested(silent) if silent else None


def _references(
    division: Division, rows: Rows, some: Outcomes, found: Certification, seed: int
) -> dict[str, Reference]:
    """What is kept of the calibration's scores under the certified policy: one question a group, for independence."""
    if found.policy is None:
        return {}
    column = SETTINGS.index((found.policy.k, found.policy.gamma))
    scores = []
    for i in Groups.from_ids([division.groups[row] for row in rows]).one_each(seed):
        trial, confidence = division.trials[rows[i]], float(some.confidence[i, column])
        said = trial.outcomes[column]
        score = said.confidence if np.isnan(confidence) else confidence
        scores.append((score, said.signals.similarity, trial.domain.probability))
    return {name: Reference.of(values) for name, values in zip(SCORES, zip(*scores, strict=True), strict=True)}
