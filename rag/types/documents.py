"""What a corpus is made of: documents, and the passages that are searched and cited."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from rag.types.noun import Noun, sha256_of

Kind = Literal["image", "report", "literature"]


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
        """Of the passage's text alone, as hex: what a citation's evidence is checked by."""
        return sha256_of(self.text)
