"""What a generator wrote, before and after anyone verified it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag.types.noun import Noun

Side = Literal["yes", "no"]


class Quote(Noun):
    """A generator's pointer into one piece of evidence; offsets are in the document."""

    number: int
    start: int
    end: int


class DraftSentence(Noun):
    """What a generator wrote, before anyone verified it.

    ``seen_by`` names the model that saw it in the question's image, where no passage is meant to bear it out.
    """

    text: str
    quotes: tuple[Quote, ...] = ()
    seen_by: str | None = Field(None, exclude_if=lambda seen_by: seen_by is None)


class Dropped(Noun):
    """A sentence of the draft that did not pass, and why."""

    text: str
    verdict: str
    reason: str = ""


class Draft(Noun):
    """A generator's answer before verification.

    Whoever generates it parses it: a draft always has its sentences, with what they cite.
    """

    sentences: tuple[DraftSentence, ...] = ()
    text: str | None = Field(None, description="What the sentences were read from, where a language model wrote it.")
    truncated: bool = Field(False, description="The text ends where the model was stopped, perhaps in mid-sentence.")
    verdict: Side | None = Field(None, description="For yes/no questions.")
    probability: float | None = Field(None, description="P(yes) in [0, 1] for yes/no questions.")
    confidence: float = Field(ge=0, le=1)
    refusal: str | None = Field(None, description="Why the generator cannot answer from this evidence.")
    left_out: tuple[str, ...] = Field((), description="Ids of passages that the model was not shown.")
    messages_sha256: str | None = Field(None, description="Of what was sent to the model, images by their content.")
