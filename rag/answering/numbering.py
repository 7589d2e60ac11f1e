"""The numbers of evidence: the generator's, by rank, become the answer's, by first citation."""

from __future__ import annotations

from collections.abc import Sequence

from rag.types import Citation, Evidence, Sentence


class Numbering:
    """New numbers, given in the order in which evidence is first cited.

    Sentences are told before all of them are known, so numbers are given as they come and never change.
    """

    def __init__(self) -> None:
        self._new: dict[int, int] = {}

    def renumber(
        self, sentences: Sequence[Sentence], citations: Sequence[Citation]
    ) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
        """Sentences with their citations, in the order of the answer."""
        new = [c.model_copy(update={"number": self._of(c.number)}) for c in citations]
        return (
            tuple(s.model_copy(update={"citations": tuple(sorted(map(self._of, s.citations)))}) for s in sentences),
            tuple(new),
        )

    def order(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """All evidence in the answer's order; what is not cited follows."""
        renumbered = [e.model_copy(update={"number": self._of(e.number)}) for e in evidence]
        return tuple(sorted(renumbered, key=lambda e: e.number))

    def _of(self, number: int) -> int:
        return self._new.setdefault(number, len(self._new) + 1)
