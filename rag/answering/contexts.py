"""How many of the passages found become contexts, what to show of that choice, and what the generator is handed."""

from __future__ import annotations

from collections.abc import Sequence

from rag.answering.gap import gap_cut
from rag.corpus.print_boxes import boxes_of
from rag.indexing.snapshot import Snapshot
from rag.risk_control.policy import Policy
from rag.types import Candidate, Certificate, Evidence, Hit, Rule, Selection


def select_contexts(hits: Sequence[Hit], policy: Policy, promise: Certificate | None = None) -> Selection:
    """How many of ``hits`` (best first) a policy keeps, and by which rule; a study is read whole.

    The candidates and their scores come with it: an answer shows them, and the ledger keeps them.
    """
    kept, rule = _cut(hits, policy)
    return Selection(
        candidates=tuple(
            Candidate(
                passage_id=h.passage.id, document_id=h.document.id, title=h.document.title, score=round(h.score, 6)
            )
            for h in hits
        ),
        kept=kept,
        rule=rule,
        gamma=policy.gamma,
        k=policy.k,
        promise=promise,
    )


def _cut(hits: Sequence[Hit], policy: Policy) -> tuple[int, Rule]:
    if hits and hits[0].channel == "study":
        return len(hits), "study"
    cut = gap_cut([h.score for h in hits], policy.gamma, policy.k)
    if cut.k < (floor := min(policy.least, len(hits))):
        return floor, "floor"
    return cut.k, "gap" if cut.cut_at is not None else "ceiling" if cut.k < len(hits) else "all"


def evidence_of(number: int, hit: Hit) -> Evidence:
    """A hit as the generator is handed it."""
    d, p = hit.document, hit.passage
    return Evidence(
        number=number,
        document_id=d.id,
        passage_id=p.id,
        kind=d.kind,
        domain=d.domain,
        title=d.title,
        source=d.source,
        licence=d.licence,
        case_id=d.case_id,
        group_id=d.group_id,
        channel="image" if hit.by_image else hit.channel,
        score=round(hit.similarities["image"] if hit.by_image else hit.score, 6),
        text=p.text,
        start=p.start,
        sha256=p.sha256,
        image=hit.found_image or d.image,
        series=str(d.metadata.get("series") or ""),
        references=tuple(d.metadata.get("references", ())),
        relevance=hit.relevance,
        boxes=boxes_of(d.metadata, p.start, p.end),
    )


def image_file(e: Evidence, snapshot: Snapshot) -> str | None:
    """The file of the image that brought a piece of evidence, or that it is."""
    document = snapshot.document(e.image) if e.image else None
    return document.image if document else e.image
