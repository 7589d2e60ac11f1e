"""What leaves the engine: answers, what their sentences rest on, and the events on the way to them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag.types.certificates import Certificate
from rag.types.drafts import Side
from rag.types.evidence import Evidence, PrintBox, Selection
from rag.types.noun import Noun
from rag.types.questions import Domain, Question

Verdict = Literal["supported", "contradicted", "unsupported", "not_mentioned", "cited"]


Decision = Literal["answered", "abstained"]


class Citation(Noun):
    """One sentence's support: an exact quote of one piece of evidence, and the verifier's verdict on it.

    >>> answer = engine.ask("What is drusen?")                              # doctest: +SKIP
    >>> [(c.number, c.quote, c.verdict) for c in answer.citations]          # doctest: +SKIP
    """

    sentence: int = Field(description="0-based index of the answer's sentence.")
    number: int = Field(description="Evidence number.")
    document_id: str
    passage_id: str
    source: str
    quote: str
    start: int = Field(description="Offsets in the document: quote == document.text[start:end].")
    end: int
    verdict: Verdict = Field(
        description="not_mentioned: the passage says nothing of it, and is cited for that alone; cited: the passage "
        "bears on the question and is quoted; that it means yes or no is a model's reading, which nothing verifies."
    )
    score: float = Field(ge=0, le=1)
    boxes: tuple[PrintBox, ...] = Field(
        (),
        exclude_if=lambda boxes: not boxes,
        description="Where the quote is printed, line by line, for a page of a PDF file.",
    )


SeenOnly = Literal["seen by the model in the image, not verified by a text"]


SEEN: SeenOnly = "seen by the model in the image, not verified by a text"


class ImageCitation(Noun):
    """What a sentence rests on that no passage bears out: the question's own image, as somebody sees it.

    It is no :class:`Citation`: nothing is quoted, and nothing was verified.

    >>> ImageCitation(sentence=0, sha256="32aedc5e", seen_by="compact-lvlm").label
    'seen by the model in the image, not verified by a text'
    """

    sentence: int = Field(description="0-based index of the answer's sentence.")
    sha256: str = Field(description="SHA-256 of the bytes of the question's image.")
    seen_by: str = Field(description="The model that looked.")
    label: SeenOnly = SEEN


class Sentence(Noun):
    """A sentence of the answer with the numbers of the evidence that it cites.

    One that cites no evidence was ``seen_by`` a model in the question's image; see :class:`ImageCitation`.
    """

    text: str
    citations: tuple[int, ...] = ()
    seen_by: str | None = Field(None, exclude_if=lambda seen_by: seen_by is None)


class AnswerTable(Noun):
    """Counts or a comparison, as a table of texts beside the sentences that quote it.

    >>> AnswerTable(title="two studies", columns=("finding", "change"), rows=(("nodule", "new"),)).columns
    ('finding', 'change')
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class SecondOpinion(Noun):
    """What a second model says to a yes/no question about a study, apart from whoever wrote the answer.

    >>> SecondOpinion(model="compact-lvlm", probability=0.29).says
    'no'
    """

    model: str = Field(description="The profile that names it.")
    probability: float = Field(ge=0, le=1, description="P(yes).")

    @property
    def says(self) -> Side:
        return "yes" if self.probability >= 0.5 else "no"


class AnsweredPart(Noun):
    """One of several things that a question asks for: answered apart, under its own certificate.

    >>> [(p.question, p.verdict) for p in answer.parts]                     # doctest: +SKIP
    """

    question: str
    study: str | None = None
    answer: str
    verdict: Literal["yes", "no", "not_mentioned"] | None = None
    probability: float | None = None
    decision: Decision
    reason: str
    confidence: float = Field(ge=0, le=1)
    certificate: Certificate
    second_opinion: SecondOpinion | None = Field(None, exclude_if=lambda said: said is None)
    sentences: tuple[int, int] = Field(description="Its sentences of the whole answer: [first, last).")


class Answer(Noun):
    """The contract between the engine and everyone who shows, stores or checks an answer.

    >>> answer = engine.ask("Does study CXR1 show a pleural effusion?")     # doctest: +SKIP
    >>> answer.decision, answer.verdict, answer.certificate.status          # doctest: +SKIP
    >>> answer.model_dump(mode="json")["audit_id"]                          # doctest: +SKIP
    """

    question: Question
    answer: str
    verdict: Literal["yes", "no", "not_mentioned"] | None = Field(
        None,
        description="For yes/no questions that were answered. not_mentioned: the study's report is silent about it.",
    )
    probability: float | None = Field(None, description="P(yes) for yes/no questions.")
    decision: Decision
    reason: str
    confidence: float = Field(ge=0, le=1)
    domain: Domain
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    image_citations: tuple[ImageCitation, ...] = Field(
        (),
        exclude_if=lambda cited: not cited,  # answers are written as they were before there were any
        description="Of the sentences that rest on the question's image and on no text.",
    )
    evidence: tuple[Evidence, ...]
    selection: Selection | None = Field(None, description="None in answers recorded before this was kept.")
    certificate: Certificate
    table: AnswerTable | None = Field(
        None, exclude_if=lambda table: table is None, description="Counts, or two studies side by side."
    )
    parts: tuple[AnsweredPart, ...] = Field(
        (), exclude_if=lambda parts: not parts, description="Where several things were asked for, each of them."
    )
    second_opinion: SecondOpinion | None = Field(
        None, exclude_if=lambda said: said is None, description="Where a second model was asked and could say."
    )
    audit_id: str
    index_version: int
    prompt_sha256: str | None = Field(None, description="Of the template and its settings, where there is a prompt.")
    timings_ms: dict[str, float]

    @property
    def side(self) -> Side | None:
        """What it comes to where one must choose: of what is not mentioned, the side that silence makes likelier."""
        if self.verdict != "not_mentioned":
            return self.verdict
        return "yes" if (self.probability or 0.0) >= 0.5 else "no"


class Event(Noun):
    """One thing that happened while a question was being answered; exactly the fields of its kind are set.

    Evidence has the generator's numbers; a sentence and its citations have the answer's. Passage ids tie them together.
    """

    kind: Literal["stage", "evidence", "sentence", "answer"]
    stage: str | None = Field(None, description="What begins now: read, retrieve, generate, …")
    evidence: tuple[Evidence, ...] = ()
    sentence: Sentence | None = None
    citations: tuple[Citation, ...] = ()
    answer: Answer | None = None
