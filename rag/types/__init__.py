"""The nouns that travel between packages.

All are immutable pydantic models, so every one of them has a JSON form. Offsets are Python string indices
(Unicode code points, end exclusive) into ``Document.text``, and ``quote == document.text[start:end]`` holds for
every citation that leaves the engine.
"""

from __future__ import annotations

from rag.types.answers import (
    SEEN,
    Answer,
    AnsweredPart,
    AnswerTable,
    Citation,
    Decision,
    Event,
    ImageCitation,
    SecondOpinion,
    SeenOnly,
    Sentence,
    Verdict,
)
from rag.types.certificates import Certificate, ImageEffect
from rag.types.documents import Document, Kind, Passage
from rag.types.drafts import Draft, DraftSentence, Dropped, Quote, Side
from rag.types.evidence import Candidate, Evidence, Hit, PrintBox, Rule, Selection
from rag.types.noun import Noun, sha256_of
from rag.types.questions import THREAD, AskedBack, Domain, Question, TakenAs

__all__ = [
    "SEEN",
    "THREAD",
    "Answer",
    "AnswerTable",
    "AnsweredPart",
    "AskedBack",
    "Candidate",
    "Certificate",
    "Citation",
    "Decision",
    "Document",
    "Domain",
    "Draft",
    "DraftSentence",
    "Dropped",
    "Event",
    "Evidence",
    "Hit",
    "ImageCitation",
    "ImageEffect",
    "Kind",
    "Noun",
    "Passage",
    "PrintBox",
    "Question",
    "Quote",
    "Rule",
    "SecondOpinion",
    "SeenOnly",
    "Selection",
    "Sentence",
    "Side",
    "TakenAs",
    "Verdict",
    "sha256_of",
]
