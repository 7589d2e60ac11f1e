"""What would be answered under each setting: one search, and the generator once for each number of contexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rag.answering.confidence import Signals
from rag.answering.pipeline import Pipeline
from rag.answering.posed import Scope
from rag.answering.turn import Turn
from rag.language.forms import Form
from rag.risk_control.policy import Policy, Setting
from rag.types import Certificate, Domain, Question

UNASKED = Certificate(status="valid", why="a trial answer, given to nobody")


class Said(NamedTuple):
    """What is said under one setting: no verdict is a refusal. ``confidence`` is not combined.

    ``silent``: the study's report does not mention it, and the verdict is what silence makes likelier.
    """

    verdict: Literal["yes", "no"] | None
    confidence: float
    signals: Signals
    silent: bool = False


class Trial(NamedTuple):
    """What is said to one question under each setting, and what was found.

    ``form``, ``features`` and ``unread`` are of the question as posed (:mod:`rag.answering.posed`); ``domain`` is the
    router's opinion; ``documents`` are the ids of the documents found, best first.
    """

    scope: Scope | None
    domain: Domain
    outcomes: tuple[Said, ...]
    documents: tuple[str, ...]
    form: Form = "presence"
    features: frozenset[str] = frozenset()
    unread: float = 0.0


def try_settings(questions: Sequence[Question], pipeline: Pipeline, settings: Sequence[Setting]) -> list[Trial]:
    """What would be answered under each (k, gamma), whatever the confidence.

    One search serves all settings. The generator is asked once for each number of contexts that they lead to. Nothing
    is recorded and no certificate is applied.
    """
    turns = pipeline.begin(questions, depth=max(k for k, _ in settings) + 1)

    def attempt(turn: Turn) -> Trial:
        seen: dict[int, Said] = {}
        row = []
        for k, gamma in settings:
            trial = turn.under(Policy(k, gamma, 0.0, least=pipeline.least), UNASKED)
            kept = pipeline.select(trial).kept
            if kept not in seen:
                answer = pipeline.finish(trial)
                seen[kept] = Said(answer.side, answer.confidence, trial.signals, answer.verdict == "not_mentioned")
            row.append(seen[kept])
        documents = tuple(h.document.id for h in turn.found.hits)
        posed = turn.posed
        return Trial(
            posed.scope, turn.domain, tuple(row), documents, posed.form, frozenset(posed.wording), posed.unread
        )

    return pipeline.each(turns, attempt)
