"""Which evidence may answer, whoever writes the answer.

A report says something about its own patient, and about one whose image looks alike as far as images that look alike
share findings. About anybody else it says nothing, however well it matches the question's words.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.findings.question import Asked
from rag.generation.protocol import Request
from rag.types import Evidence


def admissible(asked: Asked, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """The evidence that a generator may see.

    All of it for an open question, and where it is the study's own or of similar images; for any other yes/no question
    literature alone, and none if that question is about a patient.
    """
    if not asked.yes_no or _own(evidence):
        return tuple(evidence)
    return () if asked.about_patient else tuple(e for e in evidence if e.kind == "literature")


def inadmissible(request: Request, evidence: Sequence[Evidence]) -> str | None:
    """Why nothing of what was found may answer; None where something may, or nothing was found."""
    if request.evidence or not evidence:
        return None
    if not request.asked.about_patient:
        return "no literature in the index says yes or no to it"
    if request.question.image is not None:
        return "no indexed image is like this one, and only similar cases may say what it shows"
    return "it is about a patient: name the study, or give the image"


def _own(evidence: Sequence[Evidence]) -> bool:
    return any(e.channel in ("study", "image") for e in evidence)
