"""How a certificate is computed: all of it is chosen before any result is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from rag.errors import InputError
from rag.risk_control.policy import COMBINED_TAUS, ROUTES, TAUS
from rag.risk_control.procedure import Control, Procedure

Unit = Literal["domain", "form", "all"]


class Level(NamedTuple):
    """What one part promises: risk at most alpha, with probability at least 1 - delta."""

    alpha: float
    delta: float


@dataclass(frozen=True)
class CalibrationPlan:
    """How a certificate is computed, besides its levels. Choose before seeing a result.

    >>> plan = CalibrationPlan(per="all")
    >>> plan.control, plan.seed
    ('fixed-sequence', 0)

    Attributes:
        control: family-wise control over the grid of policies.
        seed: of the split into ordering and testing groups.
        per: what has a certificate of its own, where it has enough groups, and shares delta: each domain, true on
            average over forms of question, mixed as in these questions; each form in each domain; or all of them, true
            on average over domains and forms, with the whole delta.
        allow_perfect: labels on which every answer is right were made independently of the answers.
        combine: weigh signals by what the ordering groups teach, where the control has such, in place of their
            product; see :mod:`rag.answering.confidence`.
        risk: what counts as a loss of an answer: a name or dotted path; see :mod:`rag.calibration.risks`.

    Raises:
        InputError: an unknown control or unit.
    """

    control: Control = "fixed-sequence"
    seed: int = 0
    per: Unit = "domain"
    allow_perfect: bool = False
    combine: bool = True
    risk: str = "wrong-answer"

    def __post_init__(self) -> None:
        _ = self.procedure  # it refuses a control that there is not
        if self.per not in get_args(Unit):
            raise InputError(f"there is no certificate per {self.per!r}; choose one of: {', '.join(get_args(Unit))}")

    @property
    def weighs(self) -> bool:
        """Whether confidence is learned."""
        return self.combine and self.control == "fixed-sequence"

    @property
    def procedure(self) -> Procedure:
        """How the policies of one part are tested."""
        taus = COMBINED_TAUS if self.weighs else TAUS
        return Procedure(taus, ROUTES, control=self.control, seed=self.seed)
