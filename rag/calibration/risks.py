"""What a certificate can be about: a risk says which losses there are, and the statistics are ours.

A risk plugs in by name, entry point or dotted path (:mod:`rag.plugins`, kind ``risk``) as a class without arguments.
What it takes from trials and labelled questions decides what is certified, saved, and applied to later answers:

- ``Outcomes``, what was said under each setting and whether it was right: a *policy*, so that of the answers given at
  most a share alpha are lost. One risk of this kind governs an index at a time.
- ``Ranks``, how far down the evidence is: the least *number of contexts*, so that at most a share alpha of questions
  have none of it among them. It holds beside the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from rag.calibration.trials import Said, Trial
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.plugins import find
from rag.risk_control.evidence_risk import Ranks
from rag.risk_control.policy import SETTINGS, Outcomes


class Risk(Protocol):
    """Something that may go wrong, counted.

    Attributes:
        name: as certificates carry it.
        about: answers, whose losses are ``Outcomes``; or evidence, whose losses are ``Ranks``.
    """

    name: str
    about: Literal["answers", "evidence"]

    def losses(self, questions: Sequence[LabelledQuestion], trials: Sequence[Trial]) -> Outcomes | Ranks:
        """What was lost, in the order of the questions; a trial holds what was said and found for its question.

        Raises:
            InputError: the labels do not tell; the message names the question.
        """
        ...


class WrongAnswer:
    """The answer is not the right one."""

    name = "wrong-answer"
    about: Literal["answers"] = "answers"

    def losses(self, questions: Sequence[LabelledQuestion], trials: Sequence[Trial]) -> Outcomes:
        return outcomes_of(questions, trials, lambda question, said: said.verdict != question.answer)


class MissedEvidence:
    """No passage of a document that supports the answer is among the contexts."""

    name = "missed-evidence"
    about: Literal["evidence"] = "evidence"

    def losses(self, questions: Sequence[LabelledQuestion], trials: Sequence[Trial]) -> Ranks:
        if unlabelled := [q.id for q in questions if not q.evidence]:
            raise InputError(
                f"question {unlabelled[0]!r} has no 'evidence': name the documents that support its answer"
            )
        return Ranks(
            tuple(
                next((rank for rank, d in enumerate(t.documents, start=1) if d in q.evidence), float("inf"))
                for q, t in zip(questions, trials, strict=True)
            )
        )


def find_risk(name: str, about: Literal["answers", "evidence"]) -> Risk:
    """The risk of a name or dotted path.

    Raises:
        InputError: there is no such risk, or it is about something else.
    """
    risk: Risk = find("risk", name)()
    if risk.about != about:
        raise InputError(f"the risk {name!r} is about {risk.about}, and one about {about} is needed here")
    return risk


def outcomes_of(
    questions: Sequence[LabelledQuestion],
    trials: Sequence[Trial],
    is_lost: Callable[[LabelledQuestion, Said], bool],
) -> Outcomes:
    """Trials as arrays; ``is_lost`` judges one answer (a refusal is never lost).

    Raises:
        InputError: a question is not a yes/no question.
    """
    pairs = list(zip(questions, trials, strict=True))
    if open_ones := [q.id for q, t in pairs if t.scope is None]:
        raise InputError(f"question {open_ones[0]!r} is not a yes/no question, and only those can be certified")
    right = [[said.verdict is not None and not is_lost(q, said) for said in t.outcomes] for q, t in pairs]
    spoken = [[np.nan if said.verdict is None else said.confidence for said in t.outcomes] for _, t in pairs]
    route = np.array([t.domain.probability for t in trials], dtype=np.float64)
    ids = tuple(q.id for q in questions)
    return Outcomes(ids, SETTINGS, np.array(right, dtype=np.bool_), np.array(spoken, dtype=np.float64), route)
