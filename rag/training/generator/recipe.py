"""Everything that decides a supervised tuning, in one model. The defaults are for the compact vision-language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag.training.hyperparameters import Hyperparameters

Precision = Literal["auto", "float32", "bfloat16"]


class Schedule(Hyperparameters):
    """What supervised and preference tuning have in common: batches, steps and how the rate changes."""

    tokens: int = Field(8192, ge=64, le=1_000_000, description="Most tokens of a batch, padding included.")
    longest: int = Field(1024, ge=16, le=32_768, description="Longer examples are left out, and counted.")
    minutes: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Stop by then, the rate falling by the clock; None: by epochs alone.",
    )
    warmup: float = Field(0.03, ge=0, lt=1, description="Share of the training in which the rate rises.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    save_minutes: float = Field(2.0, ge=0, description="How often the state is saved; a killed run goes on from there.")
    precision: Precision = Field("auto", description="'auto': bfloat16 on CUDA, float32 on a processor.")
    image_side: int = Field(512, ge=16, le=4096, description="Longer sides of images are scaled down to this.")
    seed: int = Field(0, ge=0, lt=2**31)


class GeneratorRecipe(Schedule):
    """Hyperparameters of ``rag train generator``."""

    epochs: float = Field(3.0, gt=0, le=1000, description="Passes over the examples, at most.")
    projector_epochs: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Before that, passes over images in which the projector alone learns.",
    )
    rank: int = Field(32, ge=1, le=1024, description="Of the adapter's matrices (LoRA).")
    scale: float = Field(2.0, gt=0, le=64, description="alpha / rank of the adapter.")
    rate: float = Field(6e-4, gt=0, le=1, description="Learning rate of the adapter.")
    projector_rate: float = Field(1e-3, gt=0, le=1, description="Learning rate of the projector; alone, it is doubled.")
    unfreeze: int = Field(
        0, ge=0, le=64, description="Last stages of the image tower that learn, too, with what follows them."
    )
    tower_rate: float = Field(1e-4, gt=0, le=1, description="Learning rate of these stages.")
    image_size: int | None = Field(
        None,
        ge=32,
        le=2048,
        multiple_of=32,
        description="Side in pixels of what the image tower sees; None: as the base has it. An assembled base alone "
        "can be given another.",
    )
    align_epochs: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Before all else, passes over images with captions that bring each image near its own caption.",
    )
    first_weight: float = Field(
        3.0, ge=1, le=100, description="Weight of an answer's first token: yes, no or a refusal hang on it."
    )
    versions: int = Field(
        1, ge=1, le=100, description="Prompts made of each question, with other passages beside its own."
    )
    refusals: float = Field(0.15, ge=0, le=1, description="Share of questions with a version that must be refused.")
    misleading: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How often a misleading passage is among the others: one that is known, or the text of an image "
        "for which the same question has another answer; else it is of one for which it has the same.",
    )
    similar: float = Field(0.5, ge=0, le=1, description="How often an image is shown beside texts of similar cases.")
    own_words: int = Field(110, ge=8, le=4000, description="Most words of a passage that holds the answer.")
    other_words: int = Field(80, ge=8, le=4000, description="Most words of any other passage.")
    views: int | None = Field(
        None, ge=1, le=1000, description="Different looks at each image, kept in memory; None: always a new one."
    )
    crop: float = Field(0.7, gt=0, le=1, description="Smallest share of the image's square that a view shows.")
    rotation: float = Field(8.0, ge=0, le=180, description="Most degrees that a view is turned.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Most relative change of contrast and of brightness.")


class PreferenceRecipe(Schedule):
    """Hyperparameters of ``rag tune dpo``. Pairs show images as they are, so views do not vary."""

    epochs: float = Field(2.0, gt=0, le=1000, description="Passes over the pairs, at most.")
    rate: float = Field(5e-5, gt=0, le=1, description="Learning rate of the adapter; the projector stays.")
    beta: float = Field(0.1, gt=0, le=10, description="How much is paid for leaving the reference.")
    chosen_weight: float = Field(
        0.2, ge=0, le=100, description="Weight of the chosen answers' own loss, which keeps them from fading as well."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the training in which the rate rises.")
    crop: float = Field(1.0, gt=0, le=1, description="Smallest share of the image's square that a view shows.")
    rotation: float = Field(0.0, ge=0, le=180, description="Most degrees that a view is turned.")
    contrast: float = Field(0.0, ge=0, lt=1, description="Most relative change of contrast and of brightness.")
