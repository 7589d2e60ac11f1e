"""Everything that decides the training of a reranker. The defaults are the recipe of the shipped one."""

from __future__ import annotations

from pydantic import Field

from rag.encoders.cross import PairReading
from rag.training.hyperparameters import Hyperparameters


class RerankerRecipe(Hyperparameters):
    """Hyperparameters of a reranker.

    >>> RerankerRecipe(epochs=1).reading.apart
    6
    """

    reading: PairReading = Field(
        PairReading(), description="How question and passage are read; the lower layers are frozen."
    )
    depth: int = Field(50, ge=2, le=1000, description="Passages that each channel brings; wrong ones to learn from.")
    candidates: int = Field(20, ge=2, le=1000, description="Of those fused, how many are ranked again when measuring.")
    wrong: int = Field(5, ge=1, le=100, description="Passages without a judgement that stand beside a relevant one.")
    lists: int = Field(4, ge=1, le=1024, description="Questions a step.")
    epochs: int = Field(2, ge=1, le=1000, description="Passes over the questions; the best by dev is kept.")
    rate: float = Field(2e-5, gt=0, le=1, description="Highest learning rate of the layers.")
    head_rate: float = Field(3e-4, gt=0, le=1, description="The same of what makes a score of their states.")
    weight_decay: float = Field(0.01, ge=0, le=10)
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises; it falls after.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    dev: int = Field(60, ge=1, description="Dev questions that an epoch is measured on, at most.")
    weight: float = Field(8.0, gt=0, le=100, description="Of the reranker beside the channels, when measuring.")
    seed: int = Field(0, ge=0, lt=2**31)
