"""Statistics when questions come in groups: several about one patient, or about one article.

Questions of one group are not independent; groups are. With a = 1 where a question is answered, w = 1 where it is
answered wrongly (w <= a), and a bar over the mean inside a group, a question drawn at random from a group drawn at
random has the risk

    R = P(wrong | answered) = E[w̄] / E[ā].

The trouble is the denominator: which questions are answered depends on the policy and varies inside a group, so the
mean of "wrong among the answered of this group" has the wrong expectation (a group with one answer would weigh as
much as one with ten). Two ways are valid, and both estimate the same R:

*One question per group*, drawn before anything is known of the answers. Then (a, w) are independent between groups,
and given how many were answered, the number wrong is exactly binomial with probability R.

*Linearised group losses*. R > alpha if and only if E[w̄ - alpha ā] > 0. Shifted by alpha into [0, 1],

    Z = w̄ + alpha (1 - ā),     R > alpha  <=>  E[Z] > alpha:

silence costs exactly alpha, neither helping nor harming. In groups without any answer Z is the constant alpha, so

    E[Z] - alpha = P(some answer) (E[Z | some answer] - alpha)

has the sign of its second factor: the test may look only at groups with some answer, given how many they are. This
loses nothing at low coverage, and with one question per group Z is 0 or 1 and both ways meet.

*Every question alike.* Where groups differ in size, the share of wrong answers among all answers is another number,
E[sum w] / E[sum a], and the larger one where more is asked about hard patients. It is tested by the same Z with sums
over m in place of means, Z = alpha + (sum w - alpha sum a) / m. That needs a bound m on the questions of a group; of
larger groups m are drawn, so that none counts for more. m must not be read off the groups that are tested: a sample
that happens to lack the rare large groups would bound them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
_KEPT = 0.95


@dataclass(frozen=True)
class Groups:
    """Which question belongs to which group.

    Attributes:
        names: distinct group ids in sorted order, so that seeded choices do not depend on the order of a file.
        of: index into ``names`` per question, shape (questions,).
    """

    names: tuple[str, ...]
    of: Rows

    @classmethod
    def from_ids(cls, group_ids: Sequence[str]) -> Groups:
        """Groups from one ``group_id`` per question."""
        names, of = np.unique(np.asarray(group_ids, dtype=object).astype(str), return_inverse=True)
        return cls(tuple(str(n) for n in names), of.astype(np.int64))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sizes(self) -> Rows:
        """Questions per group, shape (groups,)."""
        return np.bincount(self.of, minlength=len(self)).astype(np.int64)

    def take(self, rows: Rows) -> Groups:
        """The groups of some questions."""
        kept, of = np.unique(self.of[rows], return_inverse=True)
        return Groups(tuple(self.names[i] for i in kept), of.astype(np.int64))

    def one_each(self, seed: int) -> Rows:
        """One question per group, uniformly at random: row numbers, shape (groups,), in the order of ``names``."""
        shuffled = np.random.default_rng(seed).permutation(len(self.of))
        _, first = np.unique(self.of[shuffled], return_index=True)
        return np.asarray(shuffled[first], dtype=np.int64)

    def at_most(self, most: int, seed: int) -> Rows:
        """At most ``most`` questions of each group, uniformly at random: row numbers, in rising order."""
        shuffled = np.random.default_rng(seed).permutation(len(self.of))
        by_group = shuffled[np.argsort(self.of[shuffled], kind="stable")]
        place = np.arange(len(by_group)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        return np.sort(by_group[place < most]).astype(np.int64)

    def keeping(self, share: float = _KEPT) -> int:
        """The least number of questions a group that keeps a ``share`` in (0, 1] of all questions.

        Nearly all, and not all: one patient who is asked very much about would leave no power to the test.
        """
        kept = np.cumsum([np.count_nonzero(self.sizes > m) for m in range(int(self.sizes.max()))])
        return int(np.searchsorted(kept, share * len(self.of))) + 1

    def split(self, first: int, seed: int) -> tuple[Rows, Rows]:
        """Rows of ``first`` randomly chosen groups, and rows of the others; no group is on both sides."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        chosen[np.random.default_rng(seed).permutation(len(self))[:first]] = True
        inside = chosen[self.of]
        return np.flatnonzero(inside), np.flatnonzero(~inside)

    def means(self, values: Bools, most: int | None = None) -> Floats:
        """Means inside groups, or sums over ``most``: (questions, policies) -> (groups, policies)."""
        order = np.argsort(self.of, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        sums = np.add.reduceat(values[order], starts, axis=0, dtype=np.int32)
        return np.asarray(sums / (self.sizes[:, None] if most is None else most), dtype=np.float64)


def group_losses(answered: Bools, wrong: Bools, groups: Groups, alpha: float, most: int | None = None) -> Floats:
    """The linearised loss Z of each group, NaN where the group has no answer.

    Args:
        answered: shape (questions, policies).
        wrong: answered and not correct; same shape.
        groups: of the questions.
        alpha: tolerated risk in (0, 1).
        most: None where groups count alike; or the bound m on their questions, where questions do.

    Returns:
        Shape (groups, policies), values in [0, 1] or NaN.
    """
    share = groups.means(answered, most)
    return np.where(share > 0, groups.means(wrong, most) + alpha * (1 - share), np.nan)


@dataclass(frozen=True)
class RiskEstimate:
    """What was observed, per policy; every array has shape (policies,).

    Attributes:
        risk: Ê[w̄] / Ê[ā], or of sums in place of means; NaN where nothing was answered.
        coverage: the share of questions answered, likewise.
        answers: number of answered questions.
        effective_n: the number of independent answers that would pin the risk down as well: risk (1 - risk) over the
            linearised variance of the ratio, sum (w̄ - risk ā)² / (sum ā)² (Kish 1965), never more than ``answers``.
            Equal to ``answers`` where each group has one question; where the risk is 0 or 1 the variance says
            nothing, and the groups with an answer are counted instead.
    """

    risk: Floats
    coverage: Floats
    answers: Rows
    effective_n: Floats


def estimate(answered: Bools, wrong: Bools, groups: Groups, most: int | None = None) -> RiskEstimate:
    """Risk, coverage and effective n of each policy; arguments as in :func:`group_losses`."""
    a, w = groups.means(answered, most), groups.means(wrong, most)
    every = groups.means(np.ones((len(answered), 1), dtype=np.bool_), most).sum()
    total, answers = a.sum(axis=0), answered.sum(axis=0)
    speaking = np.count_nonzero(a, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        risk = w.sum(axis=0) / total
        variance = np.square(w - risk * a).sum(axis=0) / np.square(total)
        effective = risk * (1 - risk) / variance
    effective = np.where(np.isfinite(effective) & (risk > 0) & (risk < 1), effective, speaking)
    if len(groups) == len(answered):  # the formula says the same, but for rounding
        effective = answers.astype(np.float64)
    return RiskEstimate(risk, total / every, answers.astype(np.int64), np.minimum(effective, answers))
