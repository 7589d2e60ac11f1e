"""A certificate on disk, and what it says of an answer given later.

The guarantee holds for questions like those it was computed from, answered by the system as it then was. So it carries
the fingerprints of everything an answer depends on; when one differs it is stale, and says which. It covers the kinds
of questions that it was calibrated on and no others: their scope, their form, and wordings that a conformal test takes
for one of theirs (:mod:`rag.risk_control.novelty`); and no question outside the domains.

It has one part for each stratum (:mod:`rag.risk_control.strata`) of domains, or of forms of question in a domain, each
with a policy and a share of delta of its own. A question falls under the part that holds the domain its router names. A
domain that no part holds was not in the calibration, or too thinly, and is uncertified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag.answering.confidence import Combiner
from rag.answering.noted import NotedFile
from rag.answering.posed import Posed, Scope
from rag.language.forms import Form
from rag.risk_control.drift import Reference
from rag.risk_control.novelty import Familiar
from rag.risk_control.policy import Policy
from rag.types import Certificate, Domain

FORMAT = 5
_EDITED = {"certificate file": "edited since it was computed"}


class Tested(BaseModel):
    """What was seen of some of the tested questions under the policy: a description after selection, no promise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(ge=0)
    groups: int = Field(ge=0)
    coverage: float = Field(ge=0, le=1, description="Answered, for a random question of a random group.")
    risk: float | None = Field(None, ge=0, le=1, description="Lost among the answers; None where none was given.")
    interval: tuple[float, float] = Field(description="Of the risk, at 95%, with the effective number of answers.")

    def as_dict(self) -> dict[str, float] | None:
        """As an answer's certificate shows it; None where nothing was answered."""
        if self.risk is None:
            return None
        low, high = self.interval
        return {"questions": self.questions, "risk": round(self.risk, 6), "low": round(low, 6), "high": round(high, 6)}


class CertificatePart(BaseModel):
    """The promise for the questions of some domains; numbers are of the questions tested on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: tuple[str, ...] = Field(
        min_length=1, description="Several: true on average over them, mixed as they were."
    )
    forms: tuple[Form, ...] = Field((), description="Of question; none: those of the whole certificate, as mixed.")
    delta: float = Field(gt=0, lt=1, description="This part's share of the certificate's delta.")
    k: int | None = Field(None, ge=1, description="None where nothing could be certified.")
    gamma: float | None = None
    tau: float | None = None
    rho: float | None = Field(None, description="Least probability of the router.")
    n: int = Field(ge=0, description="Groups tested.")
    coverage: float = Field(ge=0, le=1)
    observed_risk: float | None = Field(None, ge=0, le=1)
    risk_interval: tuple[float, float]
    why: str
    combiner: Combiner | None = Field(None, description="How signals become confidence; without one, their product.")
    by_form: dict[str, Tested] = Field(default_factory=dict, description="What was seen of each form of question.")
    silence: Tested | None = Field(None, description="What was seen of answers that the report does not mention it.")
    scores: dict[str, Reference] = Field(default_factory=dict, description="Of the calibration, to see drift by.")

    @property
    def about(self) -> tuple[str, ...]:
        """Its domains, and its forms of question where it is about some alone."""
        return (*self.domains, *self.forms)

    @property
    def policy(self) -> Policy | None:
        if self.k is None or self.gamma is None or self.tau is None:
            return None
        return Policy(self.k, self.gamma, self.tau, self.rho or 0.0)


class StoredCertificate(NotedFile):
    """What ``rag calibrate`` writes beside the index."""

    FILE: ClassVar[str] = "certificate.json"
    FORMAT: ClassVar[int] = FORMAT
    COMMAND: ClassVar[str] = "rag calibrate"

    format: Literal[2, 3, 4, 5] = Field(
        3, description="2 knew no combiners, 3 only the risk of wrong answers, 4 neither wordings nor parts by form."
    )
    created: str = Field("", description="UTC, ISO 8601.")
    risk: str = Field("wrong-answer", description="What at most alpha of the answers have: a risk's name.")
    alpha: float = Field(gt=0, lt=1)
    delta: float = Field(gt=0, lt=1, description="Of all parts together.")
    scope: tuple[Scope, ...] = Field(description="Kinds of yes/no questions in the calibration data.")
    forms: tuple[Form, ...] = Field(("presence",), description="What they ask for, as far as enough groups asked it.")
    familiar: Familiar | None = Field(None, description="How they are worded; None: nothing is known of that.")
    fingerprints: dict[str, str]
    parts: tuple[CertificatePart, ...]

    @property
    def widest(self) -> int:
        """The most contexts that any part's policy may ask for; 0 where none has a policy."""
        return max((part.k or 0 for part in self.parts), default=0)

    def part_for(self, domain: str, form: Form = "presence") -> CertificatePart | None:
        """The part that covers questions of a form in a domain."""
        return next((p for p in self.parts if domain in p.domains and (not p.forms or form in p.forms)), None)

    @property
    def promises(self) -> bool:
        """Whether any part has a policy."""
        return any(part.policy for part in self.parts)

    @classmethod
    def upgraded(cls, values: dict[str, Any]) -> dict[str, Any]:
        """One of the first format knew no domains, so nobody can say which questions it covers: it is stale."""
        if values.get("format", 1) != 1:
            return values
        kept = {name: values.get(name) for name in ("alpha", "delta", "scope")}
        return kept | {"fingerprints": {"certificate format": "1"}, "parts": ()}

    def edited(self) -> StoredCertificate:
        return self.model_copy(update={"fingerprints": _EDITED, "parts": ()})

    def outdated(self, fingerprints: Mapping[str, str]) -> str:
        """Why nothing of it holds for the system that answers now; empty where it does."""
        if self.fingerprints.get("certificate format") == "1":
            return f"the certificate's format has changed; compute it again with: {self.COMMAND}"
        if self.fingerprints == _EDITED:
            return f"the certificate's file was edited, or is another index's; compute it again with: {self.COMMAND}"
        names = sorted({*self.fingerprints, *fingerprints})
        changed = [name for name in names if self.fingerprints.get(name) != fingerprints.get(name)]
        return f"since it was computed, these have changed: {', '.join(changed)}" if changed else ""

    def untested(self, posed: Posed) -> str:
        """Why a question that is about what the certificate is about is unlike those tested; empty where it is not."""
        if posed.form not in self.forms:
            return f"the certificate was tested on questions of {', '.join(self.forms)}, not of {posed.form}"
        if self.familiar is None:
            return ""
        if not self.familiar.reads(posed.unread):
            return f"the report is unlike those tested: {posed.unread:.0%} of its words are unknown"
        if self.familiar.knows(posed.wording.keys()):
            return ""
        strange = sorted({posed.wording[f] for f in self.familiar.strange(posed.wording.keys())})
        words = f": none of them has {', '.join(f'“{word}”' for word in strange)}" if strange else ""
        return f"the question is worded unlike those that the certificate was tested on{words}"


def certificate_for(
    stored: StoredCertificate | None,
    fingerprints: Mapping[str, str],
    posed: Posed,
    domain: Domain,
    routed: bool = True,
) -> Certificate:
    """What can be promised for one answer.

    Args:
        stored: the index's certificate, if any.
        fingerprints: those of the system that answers now.
        posed: what of the question decides whether it is covered.
        domain: where the question belongs.
        routed: whether that is the router's opinion, as it was in the calibration, or the asker's.
    """
    if stored is None:
        return Certificate(status="uncertified", why="no certificate has been computed for this index")
    part = stored.part_for(domain.name, posed.form)
    outdated, outside = stored.outdated(fingerprints), _outside(stored, posed, domain, routed)
    why = outdated or outside or stored.untested(posed)
    if not why and part is None:
        covered = ", ".join(dict.fromkeys(d for p in stored.parts for d in p.domains))
        this = domain.name if domain.name not in covered.split(", ") else f"{posed.form} in {domain.name}"
        why = f"the certificate covers {covered}, and this is {this}"
    policy = part.policy if part else None
    learned = (part or stored.part_for(domain.name)) if not outdated and not outside else None
    weights = learned.combiner.at(posed.form) if learned and learned.combiner else None
    return Certificate.model_validate(
        {
            "status": "stale" if outdated else "uncertified" if why or policy is None else "valid",
            "why": why or (part.why if part else ""),
            "risk": stored.risk,
            "alpha": stored.alpha,
            "delta": part.delta if part else stored.delta,
            "domains": part.domains if part else (),
            "forms": part.forms if part else (),
            "policy": policy and policy.as_dict(),
            "weights": weights and (*weights.weights, weights.intercept),
            "n": part and part.n,
            "coverage": part and part.coverage,
            "silence": part.silence.as_dict() if part and part.silence else None,
        }
    )


def _outside(stored: StoredCertificate, posed: Posed, domain: Domain, routed: bool) -> str:
    """Why the certificate is about something else altogether; empty where it is not."""
    if domain.out_of_domain:
        return "the image is out of domain, outside the guarantee"
    if not routed:
        return "its domain was given, and the certificate is about those that the router names"
    if posed.scope is None:
        return "the certificate covers yes/no questions, and this is an open one"
    if posed.scope not in stored.scope:
        return f"the certificate was computed on questions about a {', '.join(stored.scope)} only"
    return ""
