"""What would be answered under each setting: one search, and the generator once for each number of contexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rag.answering.certificate import Scope
from rag.answering.confidence import Signals
from rag.answering.pipeline import Pipeline
from rag.answering.turn import Turn
from rag.risk_control.policy import Policy, Setting
from rag.types import Certificate, Domain, Question

UNASKED = Certificate(status="valid", why="a trial answer, given to nobody")


class Said(NamedTuple):
    """What is said under one setting: no verdict is a refusal. ``confidence`` is not combined."""

    verdict: Literal["yes", "no"] | None
    confidence: float
    signals: Signals


class Trial(NamedTuple):
    """What is said to one question under each setting, and what was found.

    ``domain`` is the router's opinion; ``documents`` are the ids of the documents found, best first.
    """

    scope: Scope | None
    domain: Domain
    outcomes: tuple[Said, ...]
    documents: tuple[str, ...]


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
                seen[kept] = Said(answer.side, answer.confidence, trial.signals)
            row.append(seen[kept])
        documents = tuple(h.document.id for h in turn.found.hits)
        return Trial(turn.scope, turn.domain, tuple(row), documents)

    return pipeline.each(turns, attempt)
