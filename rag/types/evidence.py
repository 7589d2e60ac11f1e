"""What a search found, and how much of it became evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag.types.certificates import Certificate
from rag.types.documents import Document, Kind, Passage
from rag.types.noun import Noun


class Hit(Noun):
    """A passage found by search, with the rank each channel gave it.

    >>> hit = engine.search("pleural effusion", k=1)[0]                     # doctest: +SKIP
    >>> hit.passage.text, hit.document.id, hit.ranks                        # doctest: +SKIP
    """

    passage: Passage
    document: Document
    score: float = Field(description="Fused score in (0, 1]; larger is better. 1 is first place in every channel.")
    channel: str = Field(description="The channel that ranked it best.")
    ranks: dict[str, int] = Field(description="1-based rank per channel.")
    similarities: dict[str, float] = Field(default_factory=dict, description="Raw score per channel; not comparable.")
    found_image: str | None = Field(None, description="The image that brought this passage of its case.")
    relevance: float | None = Field(
        None,
        description="Probability that it bears on the question's words; None where an image or a study brought it.",
    )

    @property
    def by_image(self) -> bool:
        """Whether an image like the question's brought it."""
        return "image" in self.ranks


class PrintBox(Noun):
    """Where characters of a document stand in print: one line of a page of the file that it was read from.

    x runs to the right and y down from the page's top left corner, as shares of its width and height, so that the box
    can be drawn over a picture of the page in any size: ``/v1/answers/{audit_id}/evidence/{number}/pages/{page}``.

    >>> PrintBox(start=0, end=40, page=3, x0=0.1, y0=0.2, x1=0.9, y1=0.22).page
    3
    """

    start: int = Field(ge=0, description="Offsets in the document of the line's characters.")
    end: int = Field(ge=0)
    page: int = Field(ge=1, description="Of the file, the first page being 1.")
    x0: float = Field(ge=0, le=1)
    y0: float = Field(ge=0, le=1)
    x1: float = Field(ge=0, le=1)
    y1: float = Field(ge=0, le=1)


class Evidence(Noun):
    """A numbered passage handed to the generator.

    >>> answer = engine.ask("What is drusen?")                              # doctest: +SKIP
    >>> [(e.number, e.title, e.references) for e in answer.evidence]        # doctest: +SKIP
    """

    number: int = Field(ge=1)
    document_id: str
    passage_id: str
    kind: Kind
    domain: str
    title: str
    source: str
    licence: str
    case_id: str
    group_id: str
    channel: str
    score: float = Field(description="Fused score; for the text of a similar image, that image's cosine.")
    text: str
    start: int = Field(description="Offset of text in the document.")
    sha256: str = Field(description="SHA-256 of text.")
    image: str | None = None
    series: str = Field(
        "",
        exclude_if=lambda series: not series,  # evidence without one is written as it was before there were any
        description="Of a DICOM file, the series that it belongs to, as a pseudonym of the index.",
    )
    references: tuple[str, ...] = Field((), description="Published references of the document, e.g. 'PMID:123'.")
    relevance: float | None = Field(
        None,
        exclude_if=lambda relevance: relevance is None,  # evidence is written as it was before it was judged
        description="Probability that it bears on the question's words; absent where an image or a study brought it.",
    )
    boxes: tuple[PrintBox, ...] = Field(
        (),
        exclude_if=lambda boxes: not boxes,
        description="Where its lines are printed, for a page of a PDF file.",
    )

    def boxes_between(self, start: int, end: int) -> tuple[PrintBox, ...]:
        """Where these characters of the document are printed, line by line; empty where that is not known."""
        return tuple(box for box in self.boxes if box.start < end and start < box.end)

    @property
    def of_study(self) -> bool:
        """Whether it belongs to the study that the question names."""
        return self.channel == "study"

    @property
    def of_similar_image(self) -> bool:
        """Whether it belongs to a case whose image is like the question's."""
        return self.channel == "image"

    @property
    def in_general(self) -> bool:
        """Whether it speaks of medicine and of nobody: literature that no case brought."""
        return self.kind == "literature" and not self.of_case

    @property
    def of_case(self) -> bool:
        """Either of the two: it may say something about the patient who is asked about."""
        return self.of_study or self.of_similar_image


class Candidate(Noun):
    """A passage that search brought, chosen as evidence or not."""

    passage_id: str
    document_id: str
    title: str = ""
    score: float = Field(description="What the gap rule read: fused score, or the cosine of a similar image.")


Rule = Literal["gap", "ceiling", "all", "study", "floor"]


class Selection(Noun):
    """How many of the passages found became evidence, and why no more; with the curve that decided."""

    candidates: tuple[Candidate, ...] = Field(description="Best first; the first ``kept`` of them became evidence.")
    kept: int = Field(ge=0)
    rule: Rule = Field(
        description="gap: the scores fell by more than gamma; ceiling: k were kept and more were found; "
        "all: nothing was left out; study: the question's own case is read whole; floor: the scores or k would have "
        "kept fewer than a certificate about missed evidence asks for."
    )
    gamma: float = Field(gt=0, description="Gap rule: cut after the first i with log(S_i / S_{i+1}) > gamma.")
    k: int = Field(ge=1, description="Most passages that the policy allows.")
    promise: Certificate | None = Field(
        None,
        exclude_if=lambda promise: promise is None,  # answers are written as they were before there was any
        description="How seldom evidence is missed among the first ``kept``; absent where that was not calibrated.",
    )
