"""What every verifier takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.language.question import Asked
from rag.types import Citation, Draft, Dropped, Evidence, Sentence


@dataclass(frozen=True)
class Verified:
    """The sentences that passed with their citations, what was dropped and why, and which citations were repaired."""

    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    dropped: tuple[Dropped, ...]
    repaired: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Mean support of the citations, in [0, 1]; 1 where all that passed was seen in the image.

        No text was asked to support that, so none may take from the confidence of whoever saw it.
        """
        if self.citations:
            return sum(c.score for c in self.citations) / len(self.citations)
        return 1.0 if any(s.seen_by for s in self.sentences) else 0.0

    @property
    def silent(self) -> bool:
        """Whether all that passed says that the evidence does not mention what is asked."""
        return bool(self.citations) and all(c.verdict == "not_mentioned" for c in self.citations)

    @property
    def by_model(self) -> bool:
        """Whether the yes or no is a model's own reading of a passage that bears on the question."""
        return any(c.verdict == "cited" for c in self.citations)

    @property
    def passed(self) -> float:
        """Share of the draft's sentences that passed, in [0, 1]; 0 for an empty draft."""
        total = len(self.sentences) + len(self.dropped)
        return len(self.sentences) / total if total else 0.0


class Verifier(Protocol):
    """Decides which sentences of a draft stand; nothing that it drops is ever shown as part of an answer."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the verifier would make something else of the same draft."""
        ...

    def verify(self, draft: Draft, asked: Asked, evidence: Sequence[Evidence]) -> Verified:
        """Check each sentence of ``draft`` against the spans of ``evidence`` that it cites.

        Every sentence that passes has citations, whose quotes are spans of the evidence, character for character; but
        those that somebody has seen in the question's image, which pass as they are. ``evidence`` is all that there
        was: passages that ``draft.left_out`` names were not shown to whoever wrote it, and may not be cited.
        """
        ...
