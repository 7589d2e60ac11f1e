"""How many contexts are enough, certified: for retrieval alone, and applied to every answer.

The risk, *missed evidence*, is that no passage which supports the answer is among those that the generator is handed.
It can only fall as more are handed over, so a certified number is a floor: whatever the gap rule or a policy would
keep, at least so many passages become contexts, where so many were found. A floor changes what the generator sees;
hence it is among the fingerprints that a certificate about wrong answers depends on, and is best computed first.

The promise depends on what finds passages and on nothing that writes, so another generator leaves it valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from rag.answering.noted import NotedFile
from rag.answering.posed import Scope
from rag.types import Certificate, Domain


class EvidenceCertificate(NotedFile):
    """What ``rag calibrate --risk missed-evidence`` writes beside the index."""

    FILE: ClassVar[str] = "evidence-certificate.json"
    FORMAT: ClassVar[int] = 1
    COMMAND: ClassVar[str] = "rag calibrate --risk missed-evidence"

    format: Literal[1] = 1
    created: str = Field("", description="UTC, ISO 8601.")
    risk: str = "missed-evidence"
    alpha: float = Field(gt=0, lt=1)
    delta: float | None = Field(None, gt=0, lt=1, description="None: alpha holds in expectation.")
    k: int | None = Field(None, ge=1, description="Least number of contexts; None where nothing could be certified.")
    n: int = Field(ge=0, description="Groups tested.")
    risks: tuple[float, ...] = Field((), description="Observed share of missed evidence for 1, 2, … contexts.")
    scope: tuple[Scope, ...] = Field(description="Kinds of yes/no questions in the calibration data.")
    domains: tuple[str, ...] = Field(description="True on average over them, mixed as they were.")
    fingerprints: dict[str, str] = Field(description="Of what finds passages.")
    why: str

    def least(self, fingerprints: Mapping[str, str]) -> int:
        """How many contexts an answer must have; 0 where nothing holds (any more), or where any number will do."""
        return self.k if self.k is not None and self.k > 1 and not self._changed(fingerprints) else 0

    def promise(
        self, fingerprints: Mapping[str, str], scope: Scope | None, domain: Domain, routed: bool = True
    ) -> Certificate:
        """What can be promised of the passages behind one answer; arguments as for
        :func:`~rag.answering.certificate.certificate_for`.
        """
        if changed := self._changed(fingerprints):
            status, why = "stale", f"since it was computed, these have changed: {', '.join(changed)}"
        elif domain.out_of_domain or not routed or domain.name not in self.domains:
            status, why = "uncertified", f"it is about questions that the router assigns to {', '.join(self.domains)}"
        elif scope not in self.scope:
            status, why = "uncertified", f"it was computed on yes/no questions about a {', '.join(self.scope)} only"
        else:
            status, why = ("uncertified" if self.k is None else "valid"), self.why
        return Certificate.model_validate(
            {
                "status": status,
                "why": why,
                "risk": self.risk,
                "alpha": self.alpha,
                "delta": self.delta,
                "domains": self.domains,
                "policy": None if self.k is None else {"least": self.k},
                "n": self.n,
            }
        )

    def report(self) -> str:
        """A few honest lines."""
        about = f"yes/no questions about: {', '.join(self.scope)}; domains, on average over them: "
        lines = [f"{self.n} groups; {self.why}", f"covers {about}{', '.join(self.domains)}"]
        if self.k is not None and self.k > 1:
            lines.append(
                f"every answer has at least {self.k} contexts from now on, where so many are found; a certificate "
                "about answers must be computed anew: rag calibrate"
            )
        return "\n".join(lines)

    def edited(self) -> EvidenceCertificate:
        return self.model_copy(update={"k": None, "why": "its file was edited; compute it again"})

    def _changed(self, fingerprints: Mapping[str, str]) -> list[str]:
        names = sorted({*self.fingerprints, *fingerprints})
        return [name for name in names if self.fingerprints.get(name) != fingerprints.get(name)]
