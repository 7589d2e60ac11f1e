"""A risk of one's own: a finding that is there and was denied.

    PYTHONPATH=examples rag calibrate questions.jsonl --index demo --risk add_risk:MissedFinding --alpha 0.05

To say no where the answer is yes can do more harm than the opposite. A risk says what counts as a loss; the rest is
done by ``rag calibrate``: which policies keep the share of lost answers at most alpha, with what probability, which of
them answers most. The certificate carries the risk's name, and answers are given by the policy that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rag.calibration.risks import outcomes_of
from rag.calibration.trials import Said, Trial
from rag.evaluation.questions import LabelledQuestion
from rag.risk_control.policy import Outcomes


class MissedFinding:
    """Of all answers, yes or no, at most alpha say no although the right answer is yes."""

    name = "missed-finding"
    about: Literal["answers"] = "answers"

    def losses(self, questions: Sequence[LabelledQuestion], trials: Sequence[Trial]) -> Outcomes:
        def is_lost(question: LabelledQuestion, said: Said) -> bool:
            return question.answer == "yes" and said.verdict == "no"

        return outcomes_of(questions, trials, is_lost)
