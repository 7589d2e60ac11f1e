"""From settings to the verifier.

A verifier plugs in as a function of the settings, of what reads texts, and of the text encoder's ``encode``; its entry
is in :mod:`rag.plugins`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.language.clinical_text import Texts
from rag.language.question import Asked
from rag.plugins import find
from rag.settings import VerificationSettings
from rag.types import Draft, Evidence
from rag.verification.base import Verified, Verifier
from rag.verification.nli import CrossEncoderEntailment
from rag.verification.rules.wording import Embed
from rag.verification.verify import verify


def load_verifier(settings: VerificationSettings, texts: Texts, embed: Embed) -> Verifier:
    """The verifier that ``settings.kind`` names.

    Raises:
        InputError: there is no such verifier.
        MissingDependencyError: its library is not on this machine.
    """
    made: Verifier = find("verifier", settings.kind, setting="verification.kind")(settings, texts, embed)
    return made


class RulesVerifier:
    """Findings, numbers and words decide; then a cross-encoder and words of like meaning, where the settings ask so."""

    def __init__(self, settings: VerificationSettings, texts: Texts, embed: Embed) -> None:
        self._texts = texts
        self._embed = embed if settings.paraphrase else None
        self._entailment = CrossEncoderEntailment(settings.cross_encoder) if settings.cross_encoder else None

    @property
    def fingerprint(self) -> str:
        opinions = [self._entailment.fingerprint] if self._entailment else []
        return ", ".join([self._texts.lexicon.fingerprint, *opinions, *(["paraphrases"] if self._embed else [])])

    def verify(self, draft: Draft, asked: Asked, evidence: Sequence[Evidence]) -> Verified:
        """See :func:`rag.verification.verify.verify`."""
        return verify(draft, asked, evidence, self._texts, embed=self._embed, entailment=self._entailment)
