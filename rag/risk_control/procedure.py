"""Journey C, the statistics: outcomes → group losses → p-values → family-wise control → a certified policy."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rag.errors import InputError
from rag.risk_control import bounds, clusters
from rag.risk_control import fwer as familywise
from rag.risk_control.clusters import Groups, Rows
from rag.risk_control.planning import answers_needed, check_levels, groups_needed, learning_groups, smallest_alpha
from rag.risk_control.policy import ANYWHERE, THRESHOLDS, Evaluated, Outcomes, Policy, apply_thresholds, grid

Bound = Literal["auto", "exact", "hoeffding-bentkus", "betting"]
Control = Literal["fixed-sequence", "holm", "bonferroni"]
BOUNDS = ("auto", "exact", "hoeffding-bentkus", "betting")
CONTROLS = ("fixed-sequence", "holm", "bonferroni")
LEARNING_SHARE = 0.25  # of the groups, spent on the order of tests by a fixed sequence
_ALIKE = ", for each patient or article alike and for each question alike, none counting for more than {} questions"
_BLOCK = 64  # policies whose group losses are in memory together


@dataclass(frozen=True)
class Certification:
    """The outcome of one calibration. Numbers about risk are from the questions tested on, and no others.

    Attributes:
        policy: the accepted policy of highest coverage; None where none was accepted.
        candidate: the same, or without one the policy of least p-value; the numbers below are about it.
        accepted: every accepted policy: with probability >= 1 - delta all of them have risk <= alpha.
        why: one sentence on how it came out.
        alpha, delta: the promise.
        bound, control: how it was tested ("auto" resolved).
        policies: how many were in the grid.
        groups, questions: tested on. With the exact bound one question per group, so both are equal.
        learning_groups: spent on learning the order of tests; 0 for Holm and Bonferroni.
        answers, wrong: counts among ``questions``.
        coverage: for a random question of a random group.
        risk: likewise, or of all questions alike, whichever is the larger; None where nothing was answered.
        most: questions for which a group counts at most, where questions count alike.
        effective_n: independent answers that are worth as much as ``answers``, see :class:`clusters.Estimate
            <rag.risk_control.clusters.Estimate>`.
        interval: Clopper–Pearson at 95% with the effective n: a description after selection, not the promise.
        p_value: of H: risk > alpha.
        smallest_alpha: least alpha that this risk on this effective n would have passed, tested alone at its share
            of delta.
    """

    policy: Policy | None
    candidate: Policy
    accepted: tuple[Policy, ...]
    why: str
    alpha: float
    delta: float
    bound: Bound
    control: Control
    policies: int
    groups: int
    questions: int
    learning_groups: int
    answers: int
    wrong: int
    coverage: float
    risk: float | None
    most: int
    effective_n: float
    interval: tuple[float, float]
    p_value: float
    smallest_alpha: float

    def alpha_with(self, groups: int) -> float:
        """The alpha that ``groups`` groups in all, learning part included, certify if risk and coverage stay.

        The observed risk scatters about the true one, so a new sample of that size certifies it about every other time.
        """
        if self.risk is None:
            return 1.0
        n = self.effective_n * groups / (self.groups + self.learning_groups)
        return smallest_alpha(self.risk, n, self._level)

    def groups_for(self, alpha: float) -> int | None:
        """The opposite of :meth:`alpha_with`: groups in all for ``alpha``; None where no number is enough."""
        if self.risk is None or not self.effective_n:
            return None
        answers = answers_needed(self.risk, alpha, self._level)
        return answers and math.ceil(answers * (self.groups + self.learning_groups) / self.effective_n)

    @property
    def _level(self) -> float:
        return self.delta / (self.policies if self.control != "fixed-sequence" else 1)


@dataclass(frozen=True)
class Procedure:
    """How policies are tested. All of it must be chosen before the outcomes are seen: trying several ways and keeping
    the best voids the promise.

    Attributes:
        thresholds: candidate confidences tau; with the settings of the outcomes and ``routes`` they span the grid.
        routes: candidate probabilities rho of the router.
        bound: ``exact`` (one random question per group, and the promise is for such alone), ``hoeffding-bentkus`` or
            ``betting`` (all questions, as group losses); ``auto`` is exact where every group has one question, and
            betting otherwise.
        control: ``fixed-sequence`` spends ``learning_share`` of the groups on a good order and tests on the rest;
            ``holm`` and ``bonferroni`` test every policy on all groups.
        seed: of the split, of the question drawn per group and of the order of bets.
        learning_share: in (0, 1); used by the fixed sequence only.

    Raises:
        InputError: an unknown bound or control; no candidates; a share outside (0, 1).
    """

    thresholds: Sequence[float] = THRESHOLDS
    routes: Sequence[float] = ANYWHERE
    bound: Bound = "auto"
    control: Control = "fixed-sequence"
    seed: int = 0
    learning_share: float = LEARNING_SHARE

    def __post_init__(self) -> None:
        for name, value, known in (("bound", self.bound, BOUNDS), ("control", self.control, CONTROLS)):
            if value not in known:
                raise InputError(f"there is no {name} {value!r}; choose one of: {', '.join(known)}")
        if not 0 < self.learning_share < 1:
            raise InputError(
                f"the share of groups for learning must lie strictly between 0 and 1, got {self.learning_share:g}"
            )
        if not self.thresholds or not self.routes:
            raise InputError("the grid of policies is empty; give at least one threshold and one route")

    @property
    def sequence(self) -> bool:
        """Whether the order of tests is learned."""
        return self.control == "fixed-sequence"

    @property
    def share(self) -> float:
        """Of the groups, what learning takes."""
        return self.learning_share if self.sequence else 0.0

    def tests(self, settings: int) -> int:
        """Over how many tests delta is spread, with so many settings (k, gamma)."""
        return 1 if self.sequence else settings * len(self.thresholds) * len(self.routes)


def certify(
    outcomes: Outcomes,
    groups: Sequence[str],
    alpha: float,
    delta: float,
    procedure: Procedure | None = None,
    learning: Set[str] = frozenset(),
) -> Certification:
    """The policy of highest coverage whose risk P(wrong | answered) is at most alpha, with probability >= 1 - delta.

    The promise is over the draw of groups, for questions drawn like these. By the larger of two p-values it holds for
    both readings of "a share of the answers" at once: a random question of a random group, and all questions alike, no
    group counting for more than ``most``. That number is read off the ordering groups; where there are none, off all
    groups, whose sizes are then taken as given. The result does not depend on the order of rows.

    Args:
        outcomes: what happened to each question under each setting.
        groups: ``group_id`` (patient or article) per question.
        alpha: tolerated risk in (0, 1).
        delta: tolerated probability that the promise is broken, in (0, 1).
        procedure: grid, bound, control and seed, chosen before.
        learning: the groups that a fixed sequence learns its order from, where something else was learned from them,
            too; where none of these is among ``groups``, they are drawn.

    Raises:
        InputError: alpha or delta outside (0, 1); no settings; not one group per question; fewer groups than could
            ever certify.
    """
    how = procedure or Procedure()
    thresholds, routes, bound, seed = how.thresholds, how.routes, how.bound, how.seed
    check_levels(alpha, delta)
    if len(groups) != len(outcomes):
        raise InputError(
            f"there are {len(outcomes)} questions but {len(groups)} group ids; give one group per question"
        )
    if not outcomes.settings:
        raise InputError("the grid of policies is empty; give at least one setting (k, gamma)")
    policies, tests = grid(outcomes.settings, thresholds, routes), how.tests(len(outcomes.settings))
    named = Groups.from_ids(groups)
    check_enough(len(named), alpha, delta, tests, how.share)

    # rows by group and id, so that a file's order cannot change what the seed draws
    rows = np.asarray(sorted(range(len(outcomes)), key=lambda i: (named.of[i], outcomes.ids[i])), dtype=np.int64)
    named, judged = named.take(rows), apply_thresholds(outcomes.take(rows), thresholds, routes)
    if bound == "auto":
        bound = "exact" if len(named) == len(outcomes) else "betting"

    first, rest = _split(named, how, learning)
    most = named.take(first if len(first) else rest).keeping()
    if bound == "exact":
        most, rest = 1, rest[named.take(rest).one_each(seed)]
    readings = _readings(judged.take(rest), named.take(rest), most, seed)
    p = np.max([reading.p_values(alpha, delta / tests, bound, seed) for reading in readings], axis=0)
    if how.sequence:
        learned = _readings(judged.take(first), named.take(first), most, seed)
        accepted = familywise.fixed_sequence(p, _order(learned, alpha), delta)
    else:
        accepted = (familywise.holm if how.control == "holm" else familywise.bonferroni)(p, delta)

    estimates = [reading.estimate() for reading in readings]
    seen, tested = estimates[0], readings[0]
    best = int(np.lexsort((p, np.where(accepted, -seen.coverage, 1.0)))[0])
    found, answers = bool(accepted[best]), int(seen.answers[best])
    worst = max(estimates, key=lambda e: float(e.risk[best])) if answers else seen
    risk, n = float(worst.risk[best]) if answers else None, float(worst.effective_n[best])
    low, high = bounds.clopper_pearson(n * (risk or 0.0), n)
    observed = f"{policies[best]} had risk {risk:.3f} on {answers} answers (p = {p[best]:.2g})" if answers else None
    return Certification(
        policy=policies[best] if found else None,
        candidate=policies[best],
        accepted=tuple(policies[i] for i in np.flatnonzero(accepted)),
        why=_why(found, observed, alpha, delta) + (_ALIKE.format(most) if found and len(readings) > 1 else ""),
        alpha=alpha,
        delta=delta,
        bound=bound,
        control=how.control,
        policies=len(policies),
        groups=len(tested.groups),
        questions=len(rest),
        learning_groups=len(named) - len(tested.groups),
        answers=answers,
        wrong=int(tested.judged.wrong[:, best].sum()),
        coverage=float(seen.coverage[best]),
        risk=risk,
        most=most,
        effective_n=n,
        interval=(float(low), float(high)),
        p_value=float(p[best]),
        smallest_alpha=1.0 if risk is None else smallest_alpha(risk, n, delta / tests),
    )


def learning_rows(groups: Sequence[str], seed: int = 0, learning_share: float = LEARNING_SHARE) -> Rows:
    """The rows that a fixed sequence learns its order from; nothing else may be learned from labels, either."""
    return _split(Groups.from_ids(groups), Procedure(seed=seed, learning_share=learning_share), frozenset())[0]


def _split(groups: Groups, how: Procedure, learning: Set[str]) -> tuple[Rows, Rows]:
    """The rows that the order is learned from, and those to test on; no group is on both sides."""
    if not how.sequence:
        return groups.split(0, how.seed)
    chosen = np.array([name in learning for name in groups.names], dtype=np.bool_)[groups.of]
    if chosen.any():
        return np.flatnonzero(chosen), np.flatnonzero(~chosen)
    return groups.split(learning_groups(len(groups), how.share), how.seed)


@dataclass(frozen=True)
class _Reading:
    """Questions in groups, and what a share of them means: groups count alike, or (with ``most``) questions do."""

    judged: Evaluated
    groups: Groups
    most: int | None = None

    def p_values(self, alpha: float, delta: float, bound: Bound, seed: int) -> NDArray[np.float64]:
        """The p-value of each policy, shape (policies,); ``delta`` is the level of one test: bets are tuned to it."""
        answered, wrong = self.judged.answered, self.judged.wrong
        if bound == "exact":
            return bounds.exact_binomial(wrong.sum(axis=0), answered.sum(axis=0), alpha)
        blocks = []
        for start in range(0, answered.shape[1], _BLOCK):
            part = slice(start, start + _BLOCK)
            losses = clusters.group_losses(answered[:, part], wrong[:, part], self.groups, alpha, self.most)
            if bound == "betting":
                blocks.append(bounds.betting(losses, alpha, delta, seed))
            else:
                n = (~np.isnan(losses)).sum(axis=0)
                blocks.append(bounds.hoeffding_bentkus(np.nansum(losses, axis=0) / np.maximum(n, 1), n, alpha))
        return np.concatenate(blocks)

    def estimate(self) -> clusters.RiskEstimate:
        return clusters.estimate(self.judged.answered, self.judged.wrong, self.groups, self.most)


def _readings(judged: Evaluated, groups: Groups, most: int, seed: int) -> tuple[_Reading, ...]:
    """Groups alike, and questions alike where that is something else."""
    alike = _Reading(judged, groups)
    if (groups.sizes == most).all():
        return (alike,)
    capped = groups.at_most(most, seed)
    return alike, _Reading(judged.take(capped), groups.take(capped), most)


def _order(learned: Sequence[_Reading], alpha: float) -> Rows:
    """The order of tests; any score will do, so clusters enter only by their effective n."""
    estimates = [reading.estimate() for reading in learned]
    scores = []
    for seen in estimates:
        risk = np.where(seen.answers > 0, seen.risk, 1.0)
        scores.append(bounds.tail(risk * seen.effective_n, seen.effective_n, alpha))
    return familywise.safest_first(np.max(scores, axis=0), estimates[0].coverage)


def _why(found: bool, observed: str | None, alpha: float, delta: float) -> str:
    if observed is None:
        return "no policy answers any question of the testing part, and silence has no certificate"
    if found:
        return f"{observed}; risk at most {alpha:g} with probability at least {1 - delta:g}"
    return f"no policy was shown to have risk at most {alpha:g} at delta = {delta:g}; the closest, {observed}"


def check_enough(groups: int, alpha: float, delta: float, tests: int, learning_share: float) -> None:
    """Refuse fewer groups than could ever certify.

    Raises:
        InputError: there are fewer than :func:`~rag.risk_control.planning.groups_needed`; the number is named.
    """
    needed = groups_needed(alpha, delta, tests, learning_share)
    if groups < needed:
        raise InputError(
            f"alpha = {alpha:g} at delta = {delta:g} needs at least {needed} groups (patients or articles) with "
            f"labelled questions even if no answer is wrong, and there are {groups}; label more, or raise either level"
        )
