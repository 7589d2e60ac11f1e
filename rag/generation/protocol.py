"""What every generator takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rag.findings.question import Asked
from rag.types import Draft, Evidence, Question


@dataclass(frozen=True)
class Request:
    """A question, read, with its numbered evidence."""

    question: Question
    asked: Asked
    evidence: tuple[Evidence, ...]
    max_sentences: int = 6


class Generator(Protocol):
    """Writes a draft from evidence. It never sees anything else, and what it writes is verified afterwards."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the generator would write something else from the same request."""
        ...

    def generate(self, request: Request) -> Draft: ...


def refusal(why: str) -> Draft:
    """A draft that says nothing but why."""
    return Draft(sentences=(), confidence=0.0, refusal=why)
