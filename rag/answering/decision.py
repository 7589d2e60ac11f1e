"""Answer or abstain, with the reason in words: the last step before an answer is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.answering.confidence import Combiner
from rag.answering.turn import Turn
from rag.audit.ledger import new_audit_id
from rag.generation.parsing import MAYBE
from rag.indexing.storage import sha256_of_file
from rag.types import SEEN, Answer, ImageCitation, Sentence


def decide(turn: Turn, index_version: int, prompt_sha256: str | None, *, certified_only: bool) -> Answer:
    """The answer that the last attempt makes, or what is shown of it where it is withheld.

    Args:
        turn: with its attempts and their signals.
        index_version: that was searched.
        prompt_sha256: of the generator that wrote the draft.
        certified_only: an answer that no valid certificate covers is withheld.
    """
    draft, verified, problem = turn.last
    domain, certificate = turn.domain, turn.certificate
    weights = certificate.weights if certificate.status != "stale" and verified.sentences else None
    confidence = round(Combiner.of(weights)(turn.signals) if weights else turn.signals.pooled, 4)
    least = turn.policy.tau
    if problem is None and confidence < least:
        problem = f"confidence {confidence:.2f} is below the least allowed, {least:.2f}"
    if problem is None and domain.probability < turn.policy.rho:
        problem = f"the router is not sure enough of the domain ({domain.name}, {domain.probability:.2f})"
    if problem is None and certificate.status != "valid" and certified_only:
        problem = f"no valid certificate covers it ({certificate.why})"
    seen = any(s.seen_by for s in verified.sentences)
    reason = "every sentence is cited and verified"
    silent = draft.verdict is not None and verified.silent
    if silent:
        reason = "the report does not mention it, which nothing verifies"
        if turn.asked.claims:  # of a finding; that nobody wrote of a marriage or of tobacco means nothing
            reason += f"; silence most often means {draft.verdict}"
        if certificate.status == "valid" and (tested := certificate.silence) is not None:
            low, high = 1 - tested["high"], 1 - tested["low"]
            reason += f": of {tested['questions']:.0f} tested answers like it {1 - tested['risk']:.0%} were right "
            reason += f"(95% interval {low:.0%} to {high:.0%})"
    if verified.by_model and turn.crossing is None:
        reason = f"the passage quoted bears on the question; that it means {draft.verdict} is the model's reading, "
        reason += "which nothing verifies"
        if MAYBE.match(draft.text or ""):
            reason = f"the model says maybe and leans to {draft.verdict}; {reason}"
    if seen:
        rest = "; the other sentences are cited and verified" if verified.citations else ""
        reason = f"what the image shows was {SEEN}{rest}"
    if turn.crossing is not None:
        reason = turn.crossing.note
    if turn.looked_up is not None:
        reason = turn.looked_up.note
    if any(e.of_similar_image for e in turn.evidence):
        reason += "; similar images need not share a diagnosis"
    if domain.out_of_domain:
        reason += "; the image is out of domain, unlike those of every domain that the router was trained on"
    if draft.left_out:
        reason += f"; {len(draft.left_out)} of {len(turn.evidence)} passages were not shown to the model"
    if taken := turn.taken_for:
        reason = f"{taken}; {reason}"
        problem = problem and f"{problem}; {taken}"
    sentences, citations = turn.numbers.renumber(verified.sentences, verified.citations)
    said = [f"{s.text} {'[image]' if s.seen_by else ''.join(f'[{n}]' for n in s.citations)}" for s in sentences]
    listed = turn.asked.for_list and draft.verdict is None and turn.looked_up is None and len(said) > 1
    body = "\n".join(f"- {line}" for line in said) if listed else " ".join(said)
    return Answer(
        question=turn.as_asked,
        answer=f"Not answered: {problem}." if problem else body,
        verdict=None if problem else "not_mentioned" if silent else draft.verdict,
        probability=draft.probability,
        decision="abstained" if problem else "answered",
        reason=problem or reason,
        confidence=confidence,
        domain=domain,
        sentences=sentences,
        citations=citations,
        image_citations=_image_citations(turn.question.image, sentences),
        evidence=turn.numbers.order(turn.evidence),
        selection=turn.selection,
        certificate=certificate,
        table=turn.looked_up.table if turn.looked_up and not problem else None,
        second_opinion=turn.second_opinion,
        audit_id=new_audit_id(),
        index_version=index_version,
        prompt_sha256=prompt_sha256,
        timings_ms=turn.clock.timings(),
    )


def _image_citations(image: str | None, sentences: Sequence[Sentence]) -> tuple[ImageCitation, ...]:
    """Of the sentences that were seen in the question's image."""
    seen = [(n, s.seen_by) for n, s in enumerate(sentences) if s.seen_by is not None]
    if not seen or image is None:
        return ()
    sha256 = sha256_of_file(Path(image))
    return tuple(ImageCitation(sentence=n, sha256=sha256, seen_by=by) for n, by in seen)
