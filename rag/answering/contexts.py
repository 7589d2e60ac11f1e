"""How many of the passages found become contexts, and what to show of that choice."""

from __future__ import annotations

from collections.abc import Sequence

from rag.answering.gap import gap_cut
from rag.risk_control.policy import Policy
from rag.types import Candidate, Hit, Rule, Selection


def kept(hits: Sequence[Hit], policy: Policy) -> tuple[int, Rule]:
    """How many of ``hits`` (best first) a policy keeps, and by which rule; a study is read whole."""
    if hits and hits[0].channel == "study":
        return len(hits), "study"
    cut = gap_cut([h.score for h in hits], policy.gamma, policy.k)
    return cut.k, "gap" if cut.cut_at is not None else "ceiling" if cut.k < len(hits) else "all"


def selection(hits: Sequence[Hit], policy: Policy) -> Selection:
    """The same, with the candidates and their scores: what an answer shows and the ledger keeps."""
    number, rule = kept(hits, policy)
    return Selection(
        candidates=tuple(
            Candidate(
                passage_id=h.passage.id, document_id=h.document.id, title=h.document.title, score=round(h.score, 6)
            )
            for h in hits
        ),
        kept=number,
        rule=rule,
        gamma=policy.gamma,
        k=policy.k,
    )
