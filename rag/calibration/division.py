"""Labelled questions that were asked, sorted: which of them order and teach, which test, and which are like each other.

The ordering groups teach everything that is learned: the order of policies, the weights of signals, and which wordings
are familiar. The others test what came of it. A question of them whose form too few groups asked for, or whose wording
is novel to the ordering groups, will be outside the certificate, and so it is left out of the test, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rag.calibration.trials import Trial
from rag.evaluation.questions import LabelledQuestion
from rag.language.forms import FORMS, Form
from rag.risk_control.novelty import Familiar
from rag.risk_control.policy import Outcomes
from rag.risk_control.procedure import Procedure, learning_rows

Rows = NDArray[np.int64]
Cell = tuple[str, ...]  # a domain; or a domain and a form
_FORM_GROUPS = 30  # patients or articles whose question asks for a thing before it counts as tested …
_FORM_SHARE = 3  # … or, in a calibration too small for that, one in so many of them


@dataclass(frozen=True)
class Division:
    """The questions, what was said to each, and how they are divided. Rows are those of ``trials``.

    Attributes:
        groups: of each question.
        trials: what was said.
        outcomes: whether it was right.
        learning: the ordering groups; empty where the control has none.
        forms: that enough groups asked for.
        familiar: how the ordering groups' questions (without such groups, all) are worded.
    """

    groups: tuple[str, ...]
    trials: Sequence[Trial]
    outcomes: Outcomes
    learning: frozenset[str]
    forms: tuple[Form, ...]
    familiar: Familiar

    @classmethod
    def of(
        cls, questions: Sequence[LabelledQuestion], trials: Sequence[Trial], outcomes: Outcomes, how: Procedure
    ) -> Self:
        """Divide them, without a look at any label."""
        groups = tuple(q.group for q in questions)
        inside = [row for row, t in enumerate(trials) if not t.domain.out_of_domain] or list(range(len(groups)))
        rows = learning_rows(groups, how.seed, how.learning_share) if how.sequence else ()
        learning = frozenset(groups[row] for row in rows)
        forms = _enough([(trials[row].form, groups[row]) for row in inside])
        teaching = [row for row in inside if not learning or groups[row] in learning]
        familiar = Familiar.of(
            [trials[r].features for r in teaching],
            [groups[r] for r in teaching],
            how.seed,
            [trials[r].unread for r in teaching],
        )
        return cls(groups, trials, outcomes, learning, forms, familiar)

    def cells(self, by_form: bool) -> dict[Cell, list[int]]:
        """The rows of each domain, or of each form in each, that a certificate may cover."""
        rows = defaultdict[Cell, list[int]](list)
        for row, trial in enumerate(self.trials):
            if not trial.domain.out_of_domain and trial.form in self.forms and self._familiar(row):
                rows[(trial.domain.name, trial.form) if by_form else (trial.domain.name,)].append(row)
        return dict(rows)

    def teaching(self, domains: Sequence[str]) -> Rows:
        """The rows of the ordering groups in some domains, of any form."""
        return np.array(
            [
                row
                for row, trial in enumerate(self.trials)
                if self.groups[row] in self.learning and trial.domain.name in domains and not trial.domain.out_of_domain
            ],
            dtype=np.int64,
        )

    def testing(self, rows: Rows) -> Rows:
        """Those of ``rows`` that are not of ordering groups."""
        return np.array([row for row in rows if self.groups[row] not in self.learning], dtype=np.int64)

    def groups_of(self, rows: Iterable[int]) -> set[str]:
        """Their groups."""
        return {self.groups[row] for row in rows}

    @property
    def outside(self) -> int:
        """Questions out of domain."""
        return sum(t.domain.out_of_domain for t in self.trials)

    @property
    def unlike(self) -> int:
        """Questions in a domain whose form or wording keeps them out of the certificate."""
        return len(self.trials) - self.outside - sum(map(len, self.cells(by_form=False).values()))

    def _familiar(self, row: int) -> bool:
        trial = self.trials[row]
        known = self.familiar.knows(trial.features) and self.familiar.reads(trial.unread)
        return self.groups[row] in self.learning or known


def _enough(asked: Sequence[tuple[Form, str]]) -> tuple[Form, ...]:
    """The forms that enough groups ask for."""
    counts = Counter(form for form, _ in set(asked))
    least = min(_FORM_GROUPS, -(-len({group for _, group in asked}) // _FORM_SHARE))
    return tuple(form for form in FORMS if counts[form] >= least)
