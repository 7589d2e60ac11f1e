"""Where evidence is looked for, and how much of it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from rag.settings.group import SettingsGroup

Channel = Literal["text", "words", "image", "image-report", "text-image", "bridge", "rerank"]


class RetrievalSettings(SettingsGroup):
    """Where to look and how to merge what was found."""

    depth: int = Field(50, ge=1, le=1000, description="Candidates taken from each channel before fusion.")
    rrf_constant: float = Field(60.0, gt=0, description="k of reciprocal rank fusion (Cormack et al. 2009).")
    weights: dict[Channel, PositiveFloat] = Field(
        {"text-image": 0.25, "rerank": 8.0},
        description="Weight of each channel in the fusion; channels that are not named have 1. The default was learned "
        "with a compact image-text model by 'rag evaluate retrieval --learn-weights', and by the reranker's dev parts.",
    )
    domain_weights: dict[str, dict[Channel, PositiveFloat]] = Field(
        default_factory=dict, description="The same for questions of one domain, in place of the weights above."
    )
    reranker: str | None = Field(
        None,
        description="What reads a question with each piece of literature found, and ranks them once more: 'compact' "
        "(shipped) or a folder of 'rag train reranker'. Its order is a channel, 'rerank', beside the others.",
    )
    rerank: int = Field(
        20,
        ge=2,
        le=200,
        description="How many of the passages that were fused it reads: 0.03 seconds of processor time each.",
    )
    min_relevance: float = Field(
        0.9,
        ge=0,
        le=1,
        description="A question has no evidence where none of the passages found bears on it with this probability; "
        "chosen so that questions foreign to an index are not answered from it (rag.retrieval.relevance).",
    )
    literature_first: bool = Field(
        True,
        description="A question about medicine in general is searched in the literature, and elsewhere only if nothing "
        "there reaches min_relevance. A plain search is never narrowed.",
    )
    min_image_similarity: float = Field(0.25, ge=-1, le=1, description="Images less alike than this bring no case.")
    min_quoted_similarity: float = Field(
        0.7,
        ge=-1,
        le=1,
        description="Cases whose image is less alike than this answer no open question about an image. With "
        "the compact encoder 94% of radiological images at least so alike show the same region of the body, and 55% "
        "of those below 0.6.",
    )


class RoutingSettings(SettingsGroup):
    """Which domains a question is looked for in; see ``rag train router``."""

    model: Path | None = Field(
        None, description="A trained router; router.safetensors beside the index or the image model unless given."
    )
    domains: Path | None = Field(None, description="The list of domains; knowledge/domains.toml unless given.")
    mass: float = Field(0.95, gt=0, le=1, description="Probability that the searched domains reach together.")


class SelectionSettings(SettingsGroup):
    """How many contexts the generator may see."""

    k_max: int = Field(
        8, ge=1, le=100, description="Most contexts handed to the generator, where no certificate asks for more."
    )
    gamma: float = Field(0.35, gt=0, description="Gap rule: cut where log(S_i / S_{i+1}) exceeds this (MMed-RAG).")
