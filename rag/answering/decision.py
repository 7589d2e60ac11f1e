"""Answer or abstain, with the reason in words: the last step before an answer is recorded."""

from __future__ import annotations

from rag.answering.confidence import Combiner, Signals
from rag.answering.drafting import Attempt
from rag.answering.numbering import numbered
from rag.answering.pipeline import View
from rag.audit.ledger import new_audit_id
from rag.risk_control.policy import Policy
from rag.timing import Clock
from rag.types import Answer, Certificate, Domain, Evidence, Question, Selection


def decide(
    q: Question,
    attempt: Attempt,
    signals: Signals,
    evidence: tuple[Evidence, ...],
    chosen: Selection,
    domain: Domain,
    policy: Policy,
    certificate: Certificate,
    view: View,
    clock: Clock,
    *,
    certified_only: bool,
) -> Answer:
    """The answer that an attempt makes, or what is shown of it where it is withheld.

    Args:
        q: the question.
        attempt: the last draft with its verdicts, and why it may not be given.
        signals: of which its confidence is made, by the certificate's weights or as their product.
        evidence: all that was selected, as numbered for the generator.
        chosen: how it was selected.
        domain: the router's opinion.
        policy: least confidence, and least probability of the domain, of an answer.
        certificate: what covers the question, or why nothing does.
        view: the index.
        clock: of all the steps.
        certified_only: an answer that no valid certificate covers is withheld.
    """
    draft, verified, problem = attempt
    weights = certificate.weights if certificate.status == "valid" and verified.sentences else None
    confidence = round(Combiner.of(weights)(signals) if weights else signals.product, 4)
    least = policy.tau
    if problem is None and confidence < least:
        problem = f"confidence {confidence:.2f} is below the least allowed, {least:.2f}"
    if problem is None and domain.probability < policy.rho:
        problem = f"the router is not sure enough of the domain ({domain.name}, {domain.probability:.2f})"
    if problem is None and certificate.status != "valid" and certified_only:
        problem = f"no valid certificate covers it ({certificate.why})"
    reason = "every sentence is cited and verified"
    if any(e.channel == "image" for e in evidence):
        reason += "; similar images need not share a diagnosis"
    if domain.out_of_domain:
        reason += "; the image is out of domain, unlike those of every domain that the router was trained on"
    if draft.left_out:
        reason += f"; {len(draft.left_out)} of {len(evidence)} passages did not fit into the model's window"
    sentences, citations, evidence = numbered(verified, evidence)
    body = " ".join(f"{s.text} {''.join(f'[{n}]' for n in s.citations)}" for s in sentences)
    return Answer(
        question=q,
        answer=f"Not answered: {problem}." if problem else body,
        verdict=None if problem else draft.verdict,
        probability=draft.probability,
        decision="abstained" if problem else "answered",
        reason=problem or reason,
        confidence=confidence,
        domain=domain,
        sentences=sentences,
        citations=citations,
        evidence=evidence,
        selection=chosen,
        certificate=certificate,
        audit_id=new_audit_id(),
        index_version=view.snapshot.version,
        prompt_sha256=view.generator.prompt_sha256,
        timings_ms=clock.timings(),
    )
