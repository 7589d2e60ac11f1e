"""What requests may hold, and what answers look like on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from rag.cohorts.criteria import Cohort, CohortQuestion
from rag.corpus.pdf_file import ORIGINAL
from rag.grounding.answers import MOST, CitedRegion
from rag.grounding.region import Region
from rag.settings import Deidentify
from rag.types import THREAD, Answer, Citation, Evidence, Hit, Sentence

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Perhaps = Annotated[str, StringConstraints(max_length=1000)]  # empty: not given
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


ThreadName = Annotated[str, StringConstraints(pattern=THREAD)]


class Body(BaseModel):
    """Base of requests: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AskBody(Body):
    """A question."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"question": "Does study CXR2814 show cardiomegaly?"}]})

    question: Text
    index: Name | None = Field(None, description="The server's first index unless given.")
    image: str | None = Field(None, description="What the question is about: base64, or a base64 data URL.")
    study: Perhaps | None = Field(None, description="Answer from this study's own documents.")
    domain: Perhaps | None = Field(None, description="Overrides the router.")
    exclude_groups: tuple[Short, ...] = Field((), max_length=100, description="Patients or articles not to look at.")
    thread: ThreadName | None = Field(
        None, description="A conversation: its last turns, of this caller, say what a short question means."
    )
    stream: bool = Field(False, description="Tell what happens as it happens, as server-sent events.")


class SearchBody(Body):
    """What to look for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"question": "hyperinflated lungs", "k": 5}]})

    question: Text
    index: Name | None = None
    k: int = Field(10, ge=1, le=100)
    image: str | None = Field(None, description="Base64, or a base64 data URL.")
    study: Perhaps | None = None
    domain: Perhaps | None = None
    exclude_groups: tuple[Short, ...] = Field((), max_length=100)


class FindBody(Body):
    """What to count: plain words, or criteria."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"question": "left but not right pleural effusion", "limit": 5}]}
    )

    question: Text | None = Field(None, description="In plain words; or give 'criteria'.")
    criteria: CohortQuestion | None = Field(None, description="What the words would be read as.")
    index: Name | None = None
    offset: int = Field(0, ge=0, le=2**31)
    limit: int = Field(20, ge=0, le=1000)
    format: Literal["json", "csv", "jsonl"] = Field("json", description="csv and jsonl hold every hit, not a page.")


class FoundOut(Cohort):
    """How many reports, with a page of quotes."""

    words: str = Field(description="The count in one sentence.")
    notes: list[str] = Field(description="How often the reader is wrong; reports that are not counted.")
    next_offset: int | None = Field(description="Of the next page; null where this is the last.")


class BatchBody(Body):
    """Several questions at once; none of them streamed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"questions": [{"question": "What is drusen?"}, {"question": "Is CXR1 normal?"}]}]
        }
    )

    questions: tuple[AskBody, ...] = Field(min_length=1, max_length=1000)


class FeedbackBody(Body):
    """Whether an answer was right; ``corrected`` brings the right one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"verdict": "corrected", "correction": "No, the heart is normal."}]}
    )

    verdict: Literal["right", "wrong", "corrected"]
    correction: str | None = Field(None, max_length=10_000)
    reason: str | None = Field(None, max_length=10_000)


class RollbackBody(Body):
    """Which version to return to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: int = Field(ge=1, le=2**53)


class IngestBody(Body):
    """A corpus that the server can reach: a path under one of its roots, or the name of a packaged one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"path": "reports-2026", "format": "open-i"}]})

    path: Short | None = Field(None, description="Relative to an allowed root, or absolute inside one.")
    packaged: Literal["openi", "hpo", "pubmed", "pubmed-1970s", "notes", "samples"] | None = None
    format: Short | None = Field(None, description="Of the source; guessed unless given.")
    name: Name | None = Field(
        None, description="What the source is called: sent again under this name, its documents are corrected in place."
    )
    deidentify: Deidentify | None = Field(
        None, description="What becomes of identifiers of people; as the settings say unless given."
    )
    sync: bool = Field(False, description="Also remove documents that have left this source.")


class RegionsBody(Body):
    """What to look for in an image that is sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"phrases": ["drusen"], "image": ""}]})

    phrases: tuple[Phrase, ...] = Field(min_length=1, max_length=MOST, description="Findings, as 'pleural effusion'.")
    image: str | None = Field(None, description="Base64, or a base64 data URL; it must be sent one way or the other.")
    index: Name | None = Field(None, description="Whose models look; the server's first index unless given.")
    domain: Perhaps | None = Field(None, description="Overrides the router.")


class FoundRegion(Region):
    """A region in an image that was sent."""

    map: str | None = Field(description="PNG as a data URL, to lay over the image; null where no place is told.")


class FoundRegionsOut(BaseModel):
    """In the order of the phrases."""

    regions: list[FoundRegion]


class RegionOut(CitedRegion):
    """A region of a recorded answer; ``boxes`` are in shares of the image's width and height, from its top left."""

    image: str = Field(description="Address of the image, on this server.")
    map: str | None = Field(description="Address of the heat map, a PNG to lay over the image; null as for boxes.")


class RegionsOut(BaseModel):
    """The regions of an answer, or of a report that is its evidence; none where nothing is said to be there."""

    audit_id: str
    regions: list[RegionOut] = []
    cannot_say: str | None = Field(None, description="Why there are none at all: no model here tells places apart.")


class EvidenceOut(Evidence):
    """Evidence; ``image`` is an address on this server, once the answer is recorded."""


class AnswerOut(Answer):
    """An answer as it is given; images are addresses on this server."""

    evidence: tuple[EvidenceOut, ...]


class SearchOut(BaseModel):
    """What a search found."""

    hits: list[Hit]
    index: str
    index_version: int


class BatchItem(BaseModel):
    """The answer to one question of a batch, or the problem with it."""

    answer: AnswerOut | None = None
    problem: dict[str, Any] | None = None


class BatchOut(BaseModel):
    """In the order of the questions."""

    results: list[BatchItem]


class IndexOut(BaseModel):
    """One index that is served."""

    name: str
    version: int
    documents: dict[str, int] = Field(description="By kind.")


class Corpus(BaseModel):
    source: str
    kind: str
    domain: str
    licence: str
    documents: int


class Space(BaseModel):
    dim: int
    fingerprint: str
    vectors: int
    backends: dict[str, int]


class IndexDetail(IndexOut):
    corpora: list[Corpus]
    spaces: dict[str, Space]
    certificate: dict[str, Any] | None = Field(None, description="Without the scores of its calibration.")
    evidence_certificate: dict[str, Any] | None = Field(None, description="How many contexts are enough.")
    image_effects: dict[str, Any] | None = Field(
        None, description="Of which kinds of questions about images the answers depend on the image."
    )


class VersionOut(BaseModel):
    number: int
    created: str
    note: str
    added: int
    updated: int
    removed: int
    documents: int


class RolledBack(BaseModel):
    index: str
    version: int


Stage = Annotated[list[int | None], Field(min_length=2, max_length=2)]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


class JobOut(BaseModel):
    """Work in the background. ``interrupted``, ``failed`` and ``cancelled`` jobs can be resumed."""

    id: str
    kind: Literal["ingest", "compact"]
    index: str
    state: JobState
    created: str
    started: str | None = None
    finished: str | None = None
    progress: dict[str, Stage] = Field(
        default_factory=dict, description="Per stage: units done, and all of them where that is known, else null."
    )
    result: dict[str, Any] | None = Field(None, description="Of an ingest: counts, quarantined records, times.")
    error: str | None = None


def answer_out(answer: Answer) -> dict[str, Any]:
    """The answer for the wire: nothing of the server's disk."""
    whole: dict[str, Any] = answer.model_dump(mode="json")
    if whole["question"]["image"] is not None:
        whole["question"]["image"] = f"/v1/answers/{answer.audit_id}/image"
    for evidence in whole["evidence"]:
        if evidence["image"] is not None:
            evidence["image"] = f"/v1/answers/{answer.audit_id}/evidence/{evidence['number']}/image"
    return whole


def evidence_out(evidence: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    """Evidence before its answer is recorded: its images have no address yet."""
    return [e.model_dump(mode="json") | {"image": None} for e in evidence]


def hit_out(hit: Hit) -> dict[str, Any]:
    """A hit without the paths of its image and of its file."""
    whole: dict[str, Any] = hit.model_dump(mode="json")
    whole["document"]["image"] = None
    whole["document"]["metadata"].pop(ORIGINAL, None)
    return whole


def sentence_out(sentence: Sentence | None, citations: tuple[Citation, ...]) -> dict[str, Any]:
    return {
        "sentence": sentence.model_dump(mode="json") if sentence else None,
        "citations": [c.model_dump(mode="json") for c in citations],
    }


def json_bytes(value: Any) -> bytes:
    return to_json(value, inf_nan_mode="null")
