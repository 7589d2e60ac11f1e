"""A certificate on disk, and what it says of an answer given later.

The guarantee holds for questions like those it was computed from, answered by the system as it then was. So it carries
the fingerprints of everything an answer depends on; when one differs it is stale, and says which. It covers the kinds
of questions that it was calibrated on and no others, and no question outside the domains.

It has one part for each stratum of domains (:mod:`rag.risk_control.strata`), each with a policy and a share of delta
of its own. A question falls under the part that holds the domain its router names. A domain that no part holds was not
in the calibration, or too thinly, and is uncertified.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.answering.confidence import Combiner
from rag.audit.ledger import LEDGER, Ledger
from rag.errors import IndexStateError
from rag.language.forms import Form
from rag.language.question import Asked
from rag.risk_control.drift import Reference
from rag.risk_control.policy import Policy
from rag.types import Certificate, Domain, Hit, sha256_of

FILE = "certificate.json"
FORMAT = 4
_EDITED = {"certificate file": "edited since it was computed"}
Scope = Literal["study", "image", "literature"]


def scope_of(asked: Asked, hits: Sequence[Hit]) -> Scope | None:
    """The kind of yes/no question, as certificates name it; None for an open one."""
    if not asked.yes_no:
        return None
    if any(h.channel == "study" for h in hits):
        return "study"
    return "image" if any(h.by_image for h in hits) else "literature"


class CertificatePart(BaseModel):
    """The promise for the questions of some domains; numbers are of the questions tested on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: tuple[str, ...] = Field(
        min_length=1, description="Several: true on average over them, mixed as they were."
    )
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
    scores: dict[str, Reference] = Field(default_factory=dict, description="Of the calibration, to see drift by.")

    @property
    def policy(self) -> Policy | None:
        if self.k is None or self.gamma is None or self.tau is None:
            return None
        return Policy(self.k, self.gamma, self.tau, self.rho or 0.0)


class StoredCertificate(BaseModel):
    """What ``rag calibrate`` writes beside the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2, 3, 4] = Field(3, description="2 knew no combiners, 3 only the risk of wrong answers.")
    created: str = Field("", description="UTC, ISO 8601.")
    risk: str = Field("wrong-answer", description="What at most alpha of the answers have: a risk's name.")
    alpha: float = Field(gt=0, lt=1)
    delta: float = Field(gt=0, lt=1, description="Of all parts together.")
    scope: tuple[Scope, ...] = Field(description="Kinds of yes/no questions in the calibration data.")
    forms: tuple[Form, ...] = Field(("presence",), description="What they ask for, as far as enough groups asked it.")
    fingerprints: dict[str, str]
    parts: tuple[CertificatePart, ...]

    @property
    def widest(self) -> int:
        """The most contexts that any part's policy may ask for; 0 where none has a policy."""
        return max((part.k or 0 for part in self.parts), default=0)

    def part_for(self, domain: str) -> CertificatePart | None:
        """The part that covers a domain."""
        return next((part for part in self.parts if domain in part.domains), None)

    @property
    def promises(self) -> bool:
        """Whether any part has a policy."""
        return any(part.policy for part in self.parts)

    def save(self, folder: Path) -> Path:
        """Write it beside the index, noted in its ledger; a crash leaves the old one or the new one."""
        return write_noted(folder / FILE, self.model_dump_json(indent=2))


def write_noted(path: Path, text: str) -> Path:
    """Write a certificate's file after noting its hash in the ledger; a crash leaves the old file or the new one."""
    Ledger(path.parent / LEDGER).note_certificate(sha256_of(text))
    aside = path.with_name(f".{path.name}.new")
    with aside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    return path


def was_edited(path: Path, text: str) -> bool:
    """Whether a certificate's file is none that was computed here; where no ledger tells, it is taken as it is."""
    noted = Ledger(path.parent / LEDGER).certificates()
    return bool(noted) and sha256_of(text) not in noted


def load_certificate(folder: Path) -> StoredCertificate | None:
    """The certificate of an index, or None where none was computed.

    One of the first format knew no domains, so nobody can say which questions it covers: it comes back stale. So does
    one that was edited since it was computed.

    Raises:
        IndexStateError: the file is damaged, or of a later format.
    """
    path = folder / FILE
    try:
        return _read(path, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError) as error:
        raise IndexStateError(f"{path} is damaged; compute it again with: rag calibrate, or delete it") from error


@lru_cache(maxsize=16)
def _read(path: Path, text: str) -> StoredCertificate:
    """What a certificate's file says. Every question looks at the file, and hardly ever has it changed."""
    values = json.loads(text)
    form = values.get("format", 1) if isinstance(values, dict) else None
    if isinstance(form, int) and form > FORMAT:
        raise IndexStateError(
            f"{path} was written by a newer ClinCite (format {form}); upgrade, or compute it again: rag calibrate"
        )
    if form == 1:
        kept = {name: values.get(name) for name in ("alpha", "delta", "scope")}
        values = kept | {"fingerprints": {"certificate format": "1"}, "parts": ()}
    stored = StoredCertificate.model_validate_json(json.dumps(values))
    if was_edited(path, text):
        return stored.model_copy(update={"fingerprints": _EDITED, "parts": ()})
    return stored


def certificate_for(
    stored: StoredCertificate | None,
    fingerprints: Mapping[str, str],
    scope: Scope | None,
    domain: Domain,
    routed: bool = True,
    form: Form = "presence",
) -> Certificate:
    """What can be promised for one answer.

    Args:
        stored: the index's certificate, if any.
        fingerprints: those of the system that answers now.
        scope: the kind of yes/no question; None for an open question.
        domain: where the question belongs.
        routed: whether that is the router's opinion, as it was in the calibration, or the asker's.
        form: what the question asks for; see :mod:`rag.language.forms`.
    """
    if stored is None:
        return Certificate(status="uncertified", why="no certificate has been computed for this index")
    part = stored.part_for(domain.name)
    policy = part.policy if part else None
    changed = sorted(
        name
        for name in {*stored.fingerprints, *fingerprints}
        if stored.fingerprints.get(name) != fingerprints.get(name)
    )
    if stored.fingerprints.get("certificate format") == "1":
        status, why = "stale", "the certificate's format has changed; compute it again with: rag calibrate"
    elif stored.fingerprints == _EDITED:
        status, why = "stale", "the certificate's file was edited; compute it again with: rag calibrate"
    elif changed:
        status, why = "stale", f"since it was computed, these have changed: {', '.join(changed)}"
    elif domain.out_of_domain:
        status, why = "uncertified", "the question is out of domain, outside the guarantee"
    elif not routed:
        status, why = "uncertified", "its domain was given, and the certificate is about those that the router names"
    elif scope is None:
        status, why = "uncertified", "the certificate covers yes/no questions, and this is an open one"
    elif scope not in stored.scope:
        status, why = "uncertified", f"the certificate was computed on questions about a {', '.join(stored.scope)} only"
    elif form not in stored.forms:
        status, why = (
            "uncertified",
            f"the certificate was tested on questions of {', '.join(stored.forms)}, not of {form}",
        )
    elif part is None:
        covered = ", ".join(d for p in stored.parts for d in p.domains)
        status, why = "uncertified", f"the certificate covers {covered}, and this is {domain.name}"
    else:
        status, why = ("valid" if policy else "uncertified"), part.why
    return Certificate.model_validate(
        {
            "status": status,
            "why": why,
            "risk": stored.risk,
            "alpha": stored.alpha,
            "delta": part.delta if part else stored.delta,
            "domains": part.domains if part else (),
            "policy": policy and policy.as_dict(),
            "weights": part and part.combiner and (*part.combiner.weights, part.combiner.intercept),
            "n": part and part.n,
            "coverage": part and part.coverage,
        }
    )
