"""One question on its way from words to answer; each step of the pipeline fills its own fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rag.answering.confidence import Signals
from rag.answering.numbering import Numbering
from rag.answering.posed import Posed
from rag.audit.record import Failed, Working
from rag.generation.base import Request
from rag.language.question import Asked
from rag.retrieval.search import Retrieved
from rag.risk_control.policy import Policy
from rag.timing import Clock
from rag.types import Answer, Certificate, Domain, Draft, Evidence, Question, Selection
from rag.verification.base import Verified


class Attempt(NamedTuple):
    """A draft, what the verifier made of it, and why it may not be given (None where it may)."""

    draft: Draft
    verified: Verified
    failure: str | None


@dataclass
class Turn:
    """What is known of one question so far. A turn belongs to one thread at a time.

    ``begin`` gives the fields up to ``promise``; ``select``, ``write`` and ``decide`` give the others, in that order.

    Attributes:
        question: as it was asked, with the study that its words name.
        asked: what was read from it.
        domain: the router's opinion, and which kinds of evidence were searched.
        found: what the channels brought, best first.
        posed: what of it decides whether a certificate covers it.
        certificate: what covers the question, or why nothing does.
        policy: how many contexts, and from which confidence on to answer.
        clock: milliseconds of each step.
        promise: how seldom evidence is missed among the contexts, where that was calibrated.
        selection: how many of the hits became evidence, and by which rule.
        evidence: those, numbered as the generator is shown them.
        request: what the generator is asked; its evidence is what may answer.
        attempts: all drafts with their verdicts, in order; the last one counts.
        numbers: the answer's numbers of the evidence.
        signals: of which the confidence is made.
        answer: what is given.
    """

    question: Question
    asked: Asked
    domain: Domain
    found: Retrieved
    posed: Posed
    certificate: Certificate
    policy: Policy
    clock: Clock = field(default_factory=Clock)
    promise: Certificate | None = None
    selection: Selection | None = field(default=None, init=False)
    evidence: tuple[Evidence, ...] = field(default=(), init=False)
    request: Request = field(init=False)
    attempts: tuple[Attempt, ...] = field(default=(), init=False)
    numbers: Numbering = field(default_factory=Numbering, init=False)
    signals: Signals = field(init=False)
    answer: Answer = field(init=False)

    def under(self, policy: Policy, certificate: Certificate, promise: Certificate | None = None) -> Turn:
        """The same question, read and searched, to be answered by another policy."""
        return replace(self, policy=policy, certificate=certificate, promise=promise, clock=Clock())

    @property
    def last(self) -> Attempt:
        """The attempt that counts."""
        return self.attempts[-1]

    def working(self, fingerprints: dict[str, str], settings: dict[str, Any]) -> Working:
        """What the ledger keeps besides the answer.

        Args:
            fingerprints: of the pipeline that answered.
            settings: those that shape an answer; see :func:`~rag.answering.pipeline.shaping_settings`.
        """
        return Working(
            draft=self.last.draft,
            shown=tuple(e.passage_id for e in self.evidence),
            dropped=self.last.verified.dropped,
            repaired=self.last.verified.repaired,
            earlier=tuple(
                Failed(draft=a.draft, dropped=a.verified.dropped, why=a.failure or "") for a in self.attempts[:-1]
            ),
            policy=self.policy.as_dict(),
            fingerprints=fingerprints,
            settings=settings,
        )
