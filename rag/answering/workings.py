"""How an answer came about: for the ledger, for calibration, for replays."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from rag.answering.certificate import Scope
from rag.answering.confidence import Signals
from rag.answering.drafting import Attempt
from rag.answering.pipeline import View
from rag.audit.record import Failed, Working
from rag.risk_control.policy import Policy
from rag.settings import Settings
from rag.types import Answer, Domain, Draft
from rag.verification.verify import Verified


class Worked(NamedTuple):
    """An answer, and how it came about: what the generator wrote, what the verifier made of it, by which policy.

    ``attempts`` are all drafts with their verdicts, in order; ``draft`` and ``verified`` are those of the last one.
    """

    answer: Answer
    draft: Draft
    verified: Verified
    policy: Policy
    attempts: tuple[Attempt, ...]
    signals: Signals

    def working(self, view: View, settings: dict[str, Any]) -> Working:
        """What the ledger keeps besides the answer; ``settings`` as ``shaping`` gives them."""
        passages = {e.number: e.passage_id for e in self.answer.evidence}
        cited = dict.fromkeys(c.number for c in self.verified.citations)  # in the order that numbered the answer
        order = [*cited, *(n for n in sorted(passages) if n not in cited)]
        return Working(
            draft=self.draft,
            shown=tuple(passages[new] for _, new in sorted(zip(order, sorted(passages), strict=True))),
            dropped=self.verified.dropped,
            repaired=self.verified.repaired,
            earlier=tuple(
                Failed(draft=a.draft, dropped=a.verified.dropped, why=a.failure or "") for a in self.attempts[:-1]
            ),
            policy=self.policy.as_dict(),
            fingerprints=view.fingerprints,
            settings=settings,
        )


def shaping(settings: Settings) -> dict[str, Any]:
    """The settings that shape an answer, by group, as the ledger keeps them: no secret is among them."""
    return settings.model_dump(
        mode="json",
        include={"retrieval", "routing", "answering", "generation", "verification"},
        exclude={"generation": {"openai": {"api_key", "proxy"}}},
    )


class Reworked(NamedTuple):
    """A past question answered again: what came out, the policy that would apply today, the kinds of vector index."""

    worked: Worked
    working: Working
    today: Policy
    backends: frozenset[str]


class Said(NamedTuple):
    """What the engine would say under one setting: no verdict is a refusal. ``confidence`` is not combined."""

    verdict: Literal["yes", "no"] | None
    confidence: float
    signals: Signals


class Trial(NamedTuple):
    """What the engine would say to one question under each setting, and what it found.

    ``domain`` is the router's opinion; ``documents`` are the ids of the documents found, best first.
    """

    scope: Scope | None
    domain: Domain
    outcomes: tuple[Said, ...]
    documents: tuple[str, ...]
