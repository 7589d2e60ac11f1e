"""The nouns that travel between packages.

All are immutable pydantic models, so every one of them has a JSON form. Offsets are Python string indices
(Unicode code points, end exclusive) into ``Document.text``, and ``quote == document.text[start:end]`` holds for
every citation that leaves the engine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Kind = Literal["image", "report", "literature"]
Verdict = Literal["supported", "contradicted", "unsupported", "not_mentioned", "cited"]
Side = Literal["yes", "no"]
THREAD = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # the name of a conversation
Decision = Literal["answered", "abstained"]


class Noun(BaseModel):
    """Base of the travelling models: frozen, and unknown fields are an error."""

    # Of what is parsed only keys come again: values would push one another out of pydantic's cache of strings.
    # Each is made ready when it is first used: a question needs few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys", defer_build=True)


def sha256_of(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Document(Noun):
    """One record of a corpus: a report, a piece of literature, or an image.

    An image document usually has no text of its own: what is quoted for it is the text of the other documents
    of its case (same ``case_id``).

    >>> report = Document(id="r1", kind="report", text="No effusion.", case_id="c1", group_id="p1", source="mine")
    >>> report.domain, len(report.sha256)
    ('general', 64)
    """

    id: str = Field(min_length=1, description="Unique within an index; stable across re-ingests of its source.")
    kind: Kind
    domain: str = "general"
    text: str = ""
    image: str | None = Field(None, description="Path of the image file; the file stays where it is.")
    image_sha256: str | None = Field(None, description="SHA-256 of the image file's bytes.")
    title: str = ""
    case_id: str = Field(description="Ties an image to its report.")
    group_id: str = Field(description="Patient or article: the unit of exclusion and of statistics.")
    source: str = Field(description="Name of the corpus, e.g. 'open-i' or 'hpo 2025-01-16'.")
    licence: str = "unknown"
    metadata: dict[str, Any] = Field(default_factory=dict, description="JSON values only: codes, references, sections.")

    @property
    def sha256(self) -> str:
        """Content hash over every field: unchanged documents are recognised by it and cost no encoding."""
        return sha256_of(json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False))

    @property
    def retracted(self) -> bool:
        """Whether its publisher has taken it back, as far as its source says."""
        return "retracted" in (self.metadata.get("status") or ())


class Passage(Noun):
    """A character span of a document: the unit of retrieval and of citation. An image is one passage.

    >>> Passage(id="r1#0", document_id="r1", start=0, end=12, text="No effusion.").sha256[:8]
    '32aedc5e'
    """

    id: str
    document_id: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str = Field(description="document.text[start:end]; empty for an image without text.")

    @property
    def sha256(self) -> str:
        return sha256_of(self.text)


class TakenAs(Noun):
    """What a question was read as, where that is not what stands in it: in its thread, or with its spelling mended.

    >>> TakenAs(means="Is the pleural effusion on the left?").notes
    ()
    """

    means: str
    notes: tuple[str, ...] = Field((), description="What was taken for what, in words; said with the answer.")


class AskedBack(Noun):
    """The one sentence that asks which of two readings is meant; such a question is not answered.

    >>> AskedBack(back="do you mean cardiomegaly or pleural effusion?").back
    'do you mean cardiomegaly or pleural effusion?'
    """

    back: str


class Question(Noun):
    """What the user asks, and what the search may not see.

    >>> asked = Question(text="Is there an effusion?", image="chest.png", exclude_groups=("patient-7",))
    >>> asked.study is None
    True
    """

    text: str
    image: str | None = None
    study: str | None = Field(None, description="Answer from this case's own documents only (its case_id).")
    exclude_groups: tuple[str, ...] = ()
    domain: str | None = Field(None, description="Overrides the router.")
    thread: str | None = Field(
        None,
        exclude_if=lambda thread: thread is None,  # questions are written as they were before there were any
        pattern=THREAD,
        description="A conversation of one caller: its last turns say what a short question means.",
    )
    language: str | None = Field(
        None,
        exclude_if=lambda language: language is None,
        max_length=2,
        description="ISO 639-1 code of a language other than English; found out by the engine.",
    )
    taken: TakenAs | AskedBack | None = Field(
        None,
        exclude_if=lambda taken: taken is None,
        description="What it was read as; found out by the engine, and kept so that a replay reads the same.",
    )

    @property
    def of_image(self) -> bool:
        """Whether it is about an image alone, and no study whose report could tell."""
        return self.image is not None and self.study is None

    @property
    def read_as(self) -> Question:
        """The question whose words are what it is taken to mean; these are English."""
        if not isinstance(self.taken, TakenAs):
            return self
        return self.model_copy(update={"text": self.taken.means, "taken": None, "language": None})

    @field_validator("study", "domain")
    @classmethod
    def _given(cls, name: str | None) -> str | None:
        """Forms and assistants send an empty text for what is not given."""
        return name if name and name.strip() else None


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


class Domain(Noun):
    """The router's opinion of where a question belongs."""

    name: str
    probability: float = Field(ge=0, le=1)
    out_of_domain: bool
    searched: tuple[str, ...] = Field((), description="Domains whose indexes were searched; empty: all of them.")
    kinds: tuple[Kind, ...] = Field((), description="Kinds of evidence that were searched; empty: all of them.")
    why: str = Field("", description="Why those kinds; empty where the question did not ask for some above others.")
    basis: str = Field("", description="What was judged: 'words', or how the image was ('trained router', …).")


class ImageEffect(Noun):
    """Whether answers to one kind of question about images depend on the image, as it was measured.

    Accuracies count silence as half right. *sees*: answers are right more often with the right image than with another
    one in its place, and than with noise; *blind*: that could not be shown, so such a question is not answered from its
    image; *untested*: from too few patients to say, so the mark of its domain counts, where that has one.
    """

    domain: str
    form: str | None = Field(None, description="What is asked for, as 'presence'; None: all forms of the domain.")
    status: Literal["sees", "blind", "untested"]
    questions: int
    groups: int = Field(description="Patients.")
    right: float = Field(description="Accuracy with the right image.")
    swapped: float = Field(description="Accuracy with an image of another patient in its place.")
    noised: float = Field(description="Accuracy with the image drowned in noise.")
    effect: tuple[float, float, float] = Field(description="right - swapped: mean over groups, low, high.")
    noise_effect: tuple[float, float, float] = Field(description="right - noised, likewise.")
    level: float = Field(description="Each interval misses with at most this probability.")

    @property
    def kind(self) -> str:
        """In words: 'presence in radiology'."""
        return f"{self.form or 'any form'} in {self.domain}"

    def __str__(self) -> str:
        value, low, high = self.effect
        found = f"right {self.right:.2f}, with another's image {self.swapped:.2f}, with noise {self.noised:.2f}"
        of = f"{self.questions} questions, {self.groups} patients"
        if self.status == "untested":
            return f"{self.kind}: not shown, too few for that ({found}; {of})"
        return f"{self.kind}: {self.status}; {found}; image effect {value:+.2f} ({low:+.2f} to {high:+.2f}), {of}"


class Certificate(Noun):
    """The statistical guarantee an answer was given under, or the reason there is none."""

    status: Literal["valid", "stale", "uncertified"]
    why: str
    risk: str | None = None
    alpha: float | None = None
    delta: float | None = Field(None, description="This certificate's share, where several share one delta.")
    domains: tuple[str, ...] = Field((), description="That it covers; several: on average over them.")
    forms: tuple[str, ...] = Field((), description="Of question that it is about alone; none: all that were tested.")
    policy: dict[str, float] | None = None
    weights: tuple[float, ...] | None = Field(
        None,
        description="Of the signals that the confidence was combined from, the intercept last; None: their product.",
    )
    n: int | None = None
    coverage: float | None = None
    image_effect: ImageEffect | None = Field(
        None,
        exclude_if=lambda effect: effect is None,  # certificates are written as they were before there was any
        description="For a yes/no question about an image: whether such answers depend on the image, where measured.",
    )
    silence: dict[str, float] | None = Field(
        None,
        exclude_if=lambda silence: silence is None,
        description="Of tested answers that the report does not mention it: how many, their risk, and its interval.",
    )


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
