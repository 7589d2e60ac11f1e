"""What a judge of sentence and evidence gives, and what every judge looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.types import Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """``score`` in [0, 1] is how strongly the text supports the sentence; ``reason`` says what decided.

    ``settled``: no second opinion is needed, as of a quotation that is there or is not.
    """

    verdict: Verdict
    score: float
    reason: str
    settled: bool = False

    @property
    def passes(self) -> bool:
        """Whether the sentence may be shown: it follows, or it says what it is: silence, or a model's reading."""
        return self.verdict in ("supported", "not_mentioned", "cited")


class Entailment(Protocol):
    """Anything that judges pairs: ``judge_pairs([(evidence, sentence), ...])`` gives a judgement for each."""

    @property
    def fingerprint(self) -> str: ...

    def judge_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]: ...


def supported(reason: str, score: float = 1.0, *, settled: bool = False) -> Judgement:
    return Judgement("supported", round(score, 4), reason, settled)


def not_mentioned(reason: str, score: float) -> Judgement:
    return Judgement("not_mentioned", round(score, 4), reason, settled=True)


def cited(reason: str, score: float) -> Judgement:
    return Judgement("cited", round(score, 4), reason, settled=True)


def contradicted(reason: str, *, settled: bool = False) -> Judgement:
    return Judgement("contradicted", 0.0, reason, settled)


def unsupported(reason: str, score: float = 0.0, *, settled: bool = False) -> Judgement:
    return Judgement("unsupported", round(score, 4), reason, settled)
