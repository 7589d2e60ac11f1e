"""A certificate on disk, and what it says of an answer given later.

The guarantee holds for questions like those it was computed from, answered by the system as it then was. So it carries
the fingerprints of everything an answer depends on; when one differs it is stale, and says which. It covers the kinds
of questions that it was calibrated on and no others, and no question outside the domains.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import IndexStateError
from rag.selection.policy import Policy
from rag.types import Certificate, Domain

FILE = "certificate.json"
Scope = Literal["study", "image", "literature"]


class StoredCertificate(BaseModel):
    """What ``rag calibrate`` writes beside the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risk: Literal["wrong-answer"] = "wrong-answer"
    alpha: float = Field(gt=0, lt=1)
    delta: float = Field(gt=0, lt=1)
    k: int | None = Field(None, ge=1, description="None where nothing could be certified.")
    gamma: float | None = None
    tau: float | None = None
    n: int = Field(ge=0, description="Groups tested.")
    coverage: float = Field(ge=0, le=1)
    observed_risk: float | None = Field(None, ge=0, le=1)
    risk_interval: tuple[float, float]
    scope: tuple[Scope, ...] = Field(description="Kinds of yes/no questions in the calibration data.")
    fingerprints: dict[str, str]
    why: str

    @property
    def policy(self) -> Policy | None:
        if self.k is None or self.gamma is None or self.tau is None:
            return None
        return Policy(self.k, self.gamma, self.tau)

    def save(self, folder: Path) -> Path:
        """Write it beside the index; a crash leaves the old one or the new one."""
        path, aside = folder / FILE, folder / f".{FILE}.new"
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(self.model_dump_json(indent=2))
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        return path


def load_certificate(folder: Path) -> StoredCertificate | None:
    """The certificate of an index, or None where none was computed.

    Raises:
        IndexStateError: the file is damaged.
    """
    path = folder / FILE
    try:
        return StoredCertificate.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError) as error:
        raise IndexStateError(f"{path} is damaged; compute it again with: rag calibrate, or delete it") from error


def certificate_for(
    stored: StoredCertificate | None, fingerprints: Mapping[str, str], scope: Scope | None, domain: Domain
) -> Certificate:
    """What can be promised for one answer.

    Args:
        stored: the index's certificate, if any.
        fingerprints: those of the system that answers now.
        scope: the kind of yes/no question; None for an open question.
        domain: the router's opinion.
    """
    if stored is None:
        return Certificate(status="uncertified", why="no certificate has been computed for this index")
    changed = sorted(
        name
        for name in {*stored.fingerprints, *fingerprints}
        if stored.fingerprints.get(name) != fingerprints.get(name)
    )
    if changed:
        status, why = "stale", f"since it was computed, these have changed: {', '.join(changed)}"
    elif stored.policy is None:
        status, why = "uncertified", stored.why
    elif domain.out_of_domain:
        status, why = "uncertified", "the question is out of domain, outside the guarantee"
    elif scope is None:
        status, why = "uncertified", "the certificate covers yes/no questions, and this is an open one"
    elif scope not in stored.scope:
        status, why = "uncertified", f"the certificate was computed on questions about a {', '.join(stored.scope)} only"
    else:
        status, why = "valid", stored.why
    policy = stored.policy
    return Certificate.model_validate(
        {
            "status": status,
            "why": why,
            "risk": stored.risk,
            "alpha": stored.alpha,
            "delta": stored.delta,
            "policy": policy and {"k": policy.k, "gamma": policy.gamma, "tau": policy.tau},
            "n": stored.n,
            "coverage": stored.coverage,
        }
    )
